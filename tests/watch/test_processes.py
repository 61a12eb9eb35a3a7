"""Processes of the watch: what does not start leaves nothing open."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from dialtone.watch.processes import Child


@pytest.mark.parametrize(("command", "words"), [("no-such-program", "words"), ("true", "no/such/folder")])
def test_what_does_not_start_keeps_no_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, words: str
) -> None:
    """Neither a program that is not there nor a file for its words that cannot be made."""
    made: list[socket.socket] = []

    def pair() -> tuple[socket.socket, socket.socket]:
        made.extend(real())
        return made[0], made[1]

    real = socket.socketpair

    async def start() -> None:
        monkeypatch.setattr(socket, "socketpair", pair)
        await Child.start([str(tmp_path / command)], "CHANNEL", environment={}, words=tmp_path / words)

    with pytest.raises(FileNotFoundError):
        asyncio.run(start())
    assert [one.fileno() for one in made] == [-1, -1]
