"""A wait without a limit gets one."""

from __future__ import annotations

import socket

import pytest

from dialtone.probes import watchdog
from dialtone.probes.watchdog import Watchdog


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_INTERVAL", 0.01)


def test_wait_is_ended() -> None:
    """The socket is shut down for who waits for it, and stays its owner's to close."""
    one, other = socket.socketpair()
    with one, other:
        dog = Watchdog()
        dog.watch(one.fileno(), 0.05)
        assert one.recv(1) == b""
        assert dog.has_cut
        assert one.fileno() >= 0


def test_wait_that_ends_by_itself() -> None:
    """Nothing is cut after `rest`, and the next wait starts anew."""
    one, other = socket.socketpair()
    with one, other:
        dog = Watchdog()
        dog.watch(one.fileno(), 0.0)
        dog.rest()
        one.settimeout(0.1)
        with pytest.raises(TimeoutError):
            one.recv(1)
        assert not dog.has_cut


def test_thread_ends_by_itself() -> None:
    """Without anything to watch there is no thread, until there is something again."""
    dog = Watchdog()
    one, other = socket.socketpair()
    with one, other:
        for _ in range(2):
            dog.watch(one.fileno(), 60)
            thread = dog._thread
            assert thread is not None
            dog.rest()
            thread.join(30)
            assert dog._thread is None
