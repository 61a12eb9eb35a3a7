"""The processes of the resident watch, seen from the one that rules them: started, spoken with, ended in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialtone.watch.warm import CHANNEL
from dialtone.watch.wire import LINE_LIMIT, pack


class Gone(Exception):
    """The other side is not there any more."""


class Refused(Exception):
    """A process did not come up; the message says why, in words for people."""


class Talk:
    """One end of a pair of sockets, spoken over in lines of JSON."""

    def __init__(self, raw: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.raw, self._reader, self._writer = raw, reader, writer

    @classmethod
    async def over(cls, raw: socket.socket) -> Talk:
        """Speak over a connected socket."""
        reader, writer = await asyncio.open_connection(sock=raw, limit=LINE_LIMIT)
        return cls(raw, reader, writer)

    def send(self, told: Mapping[str, Any]) -> None:
        """Send a message; what cannot be sent is lost, and `hear` tells that nobody is there."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.write(pack(told))

    async def hear(self) -> dict[str, Any]:
        """The next message. Raises Gone."""
        try:
            line = await self._reader.readline()
        except (OSError, ValueError) as error:
            raise Gone(str(error)) from None
        if not line.endswith(b"\n"):
            raise Gone("closed")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.close()


class Child:
    """A process of ours with a talk to it."""

    def __init__(self, process: subprocess.Popen[bytes], talk: Talk, words: Path | None = None) -> None:
        self.process, self.talk, self._words = process, talk, words

    @classmethod
    async def start(
        cls, command: Sequence[str], variable: str, *, environment: Mapping[str, str], words: Path | None = None
    ) -> Child:
        """Start a command that finds the number of its socket in a variable. What it says goes to a file, if named."""
        ours, theirs = socket.socketpair()
        output = subprocess.DEVNULL
        try:
            if words is not None:
                output = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            process = subprocess.Popen(  # noqa: ASYNC220 - a fork takes a millisecond, and happens at start and reload
                command,
                env={**environment, variable: str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if words is None else output,
                process_group=0,  # Ctrl-C is for the one that rules them
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            if output != subprocess.DEVNULL:
                os.close(output)
        return cls(process, await Talk.over(ours), words)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def said(self) -> str:
        """The end of what it wrote, for people."""
        if self._words is None:
            return ""
        lines = [line for line in self._words.read_text(errors="replace").splitlines() if line.strip()]
        return "\n".join(lines[-12:])

    async def end(self, grace: float) -> None:
        """Hang up and wait; SIGKILL for its whole group after `grace` seconds."""
        self.talk.close()
        end = asyncio.get_running_loop().time() + grace
        while self.alive and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if self.alive:
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Warm:
    """The warm session, and the copies that it makes."""

    def __init__(self, child: Child, catalogue: dict[str, Any]) -> None:
        self.child, self.catalogue = child, catalogue

    @classmethod
    async def start(
        cls, arguments: Sequence[str], target: str, config: Path, words: Path, environment: Mapping[str, str]
    ) -> Warm:
        """Import, collect, read the profile. Raises Refused with what pytest or the profile has to say."""
        command = [
            sys.executable, "-m", "pytest", "-p", "dialtone.watch.warm", "-p", "no:cacheprovider", "-p", "no:randomly",
            "-q", "--capture=sys", "--target", target, "--dialtone-config", str(config), *arguments,
        ]  # fmt: skip
        child = await Child.start(command, CHANNEL, environment=environment, words=words)
        try:
            told = await child.talk.hear()
        except Gone:
            await child.end(5.0)
            raise Refused(child.said() or "pytest ended without a word") from None
        except asyncio.CancelledError:
            await child.end(0.5)
            raise
        if "refused" in told:
            await child.end(5.0)
            raise Refused(str(told["refused"]))
        return cls(child, told["ready"])

    async def copy(self) -> Talk:
        """Another session; it says hello when it is there. Raises Gone."""
        ours, theirs = socket.socketpair()
        try:
            socket.send_fds(self.child.talk.raw, [b"f"], [theirs.fileno()])
        except OSError as error:
            ours.close()
            raise Gone(str(error)) from None
        finally:
            theirs.close()
        return await Talk.over(ours)
