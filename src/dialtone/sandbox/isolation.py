"""What happens in a child between fork and exec: it dies with its supervisor, and Postgres gets an identity it accepts.

Postgres refuses to run as root. In a user namespace root can be somebody else without a user being created or a
folder being opened up; an IPC namespace beside it makes the kernel remove Postgres' System V segment with the last
process, however that dies. Where namespaces are forbidden (a container's seccomp profile, AppArmor) Postgres runs as
this user, or, for root, as another user that keeps the one right it needs (`setpriv`).
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

NOBODY = 65_534
_INSIDE = 1000  # any identity but 0 will do: it exists in the namespace only
_PR_SET_PDEATHSIG = 1  # prctl(2)
_CLONE_NEWUSER, _CLONE_NEWIPC = 0x1000_0000, 0x0800_0000  # sched.h


class Identity(StrEnum):
    """As whom Postgres runs."""

    NAMESPACE = "namespace"  # own user and IPC namespace
    OWN = "own"  # the caller's own user
    NOBODY = "nobody"  # root steps down to nobody and keeps CAP_DAC_OVERRIDE, since the run folder stays private


def identity_for_postgres() -> Identity:
    """The best identity that this system permits, found by trying. Raises PermissionError when there is none."""
    if sys.platform == "linux" and _namespace_works():
        return Identity.NAMESPACE
    if os.getuid() != 0:
        return Identity.OWN
    if shutil.which("setpriv"):
        return Identity.NOBODY
    raise PermissionError(
        "PostgreSQL does not run as root, and neither user namespaces nor setpriv are at hand:"
        " run as an ordinary user, or install util-linux"
    )


def _namespace_works() -> bool:
    child = os.fork()
    if child == 0:
        try:
            enter_namespace()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def enter_namespace() -> None:
    """Move this process into a user and an IPC namespace of its own, as somebody who is not root there."""
    import ctypes

    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER | _CLONE_NEWIPC) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    # user_namespaces(7): an unprivileged process may map its own identity only, and its group after giving up setgroups
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user or _INSIDE} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group or _INSIDE} {group} 1")


def die_with(parent: int, number: signal.Signals) -> None:
    """Have the kernel send `number` to this process when `parent` dies (Linux); end now if that happened already.

    The kernel forgets this whenever the process' credentials change, so it comes after entering a namespace.
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def before_exec(identity: Identity, number: signal.Signals) -> Callable[[], None]:
    """The function that a child runs between fork and exec. To be made in the parent, which has one thread only."""
    parent = os.getpid()

    def prepare() -> None:
        # Who is started by a script with `&` ignores it, and so would the child, which is ended by it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if identity is Identity.NAMESPACE:
            enter_namespace()
        die_with(parent, number)

    return prepare


def stepping_down(command: list[str], identity: Identity, number: signal.Signals) -> list[str]:
    """The command as this identity has to run it."""
    if identity is not Identity.NOBODY:
        return command
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    rights = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    death = ["--pdeathsig", number.name.removeprefix("SIG")] if sys.platform == "linux" else []
    return ["setpriv", *user, *rights, *death, *command]
