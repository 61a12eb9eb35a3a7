"""No way to a real provider: the application and what it starts cannot connect to the ports at which providers are.

Landlock (Linux 6.7 and later, no rights needed) allows TCP by port: a call that heeds no proxy fails with EACCES and
does not leave this machine. https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CLOSED = frozenset((25, 80, 443, 465, 587, 5432, 6543))
"""Mail, HTTP, HTTPS, Postgres and Supabase's pooler. Everything of a sandbox listens elsewhere."""
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, the same on all architectures
_VERSION, _NET_PORT, _CONNECT_TCP = 1, 2, 1 << 1  # linux/landlock.h
_PR_SET_NO_NEW_PRIVS = 38  # prctl(2)
_SINCE = 4  # the version of the interface that knows TCP


@contextmanager
def fence(prepare: Callable[[], None], *, closed: bool = True) -> Iterator[Callable[[], None]]:
    """What a child does between fork and exec: `prepare`, and then it and its children connect to no port of CLOSED.

    `prepare` alone where it is not to be closed, or where `works` says that it cannot be.
    """
    rules = _rules() if closed and works() else None
    if rules is None:
        yield prepare
        return
    import ctypes

    libc = ctypes.CDLL(None)

    def enter() -> None:
        prepare()
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(_RESTRICT, rules, ctypes.c_uint32(0)):
            os._exit(126)  # never outside of it

    try:
        yield enter
    finally:
        os.close(rules)


def works() -> bool:
    """Whether this system has Landlock for TCP."""
    if sys.platform != "linux":
        return False
    import ctypes

    version = ctypes.CDLL(None).syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    return bool(version >= _SINCE)


def _rules() -> int:
    """The descriptor of the rules: it closes with exec. Raises OSError."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    attributes = struct.pack("=QQ", 0, _CONNECT_TCP)
    rules = int(libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)))
    if rules < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for port in range(1, 65_536):
        if port not in CLOSED:
            libc.syscall(_ADD, rules, _NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port), ctypes.c_uint32(0))
    return rules
