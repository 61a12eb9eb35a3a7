"""A real Chromium, driven over a pipe (Chrome DevTools Protocol, `--remote-debugging-pipe`): for pictures of our pages,
for tests of them and for measuring how fast they open. One process serves many pages; no port, no package.

    with Chromium() as browser:
        page = browser.page(360, 800, dark=True)
        page.go(path.as_uri())
        page.ask("document.documentElement.scrollWidth")
        page.requests, page.picture()
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Self

_NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars --mute-audio"
    " --disable-background-networking --disable-component-update --disable-sync --disable-extensions"
    " --disable-default-apps --no-default-browser-check --remote-debugging-pipe"
).split()
_PATIENCE = 60.0  # seconds for one answer: a busy machine starts slowly
_SETTLED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
_KEYS = {"Tab": 9, "Enter": 13, " ": 32}


def executable() -> str | None:
    """The path of this machine's Chromium (`CHROMIUM` names another one), or None."""
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, _NAMES)), None)


class Chromium:
    """A headless browser with a profile that is thrown away."""

    def __enter__(self) -> Self:
        program = executable()
        if program is None:
            raise FileNotFoundError("no Chromium on this machine: apt-get install chromium, or name it in CHROMIUM")
        self._folder = tempfile.mkdtemp(prefix="dialtone-chromium-")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # Above the numbers that the browser reads from (3) and writes to (4), so that neither is closed on the way.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 32) for fd in (theirs_in, theirs_out)]
        null = os.open(os.devnull, os.O_RDWR)
        actions = [(os.POSIX_SPAWN_DUP2, null, n) for n in (0, 1, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, high[0], 3), (os.POSIX_SPAWN_DUP2, high[1], 4)]
        command = [program, *_OPTIONS, f"--user-data-dir={self._folder}"]
        self._pid = os.posix_spawn(program, command, os.environ, file_actions=actions, setpgroup=0)
        for fd in (theirs_in, theirs_out, *high, null):
            os.close(fd)
        self._numbers, self._rest = itertools.count(1), b""
        self.events: list[dict[str, Any]] = []
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._out)
        os.close(self._in)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        for _attempt in range(20):  # its children may still be writing
            shutil.rmtree(self._folder, ignore_errors=True)
            if not Path(self._folder).exists():
                break
            time.sleep(0.05)

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Ask and wait; what happens meanwhile is kept in `events`. Raises RuntimeError, TimeoutError."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            told = self.read()
            if told.get("id") == number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']['message']}")
                return dict(told["result"])
            self.events.append(told)

    def read(self) -> dict[str, Any]:
        """The next message."""
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], _PATIENCE)[0]:
                raise TimeoutError(f"Chromium said nothing for {_PATIENCE:g} s")
            part = os.read(self._in, 1 << 20)
            if not part:
                raise RuntimeError("Chromium ended")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def page(self, width: int = 1000, height: int = 800, *, dark: bool = False, scale: float = 1.0) -> Page:
        """A window of this size in CSS pixels."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session, width, height, dark=dark, scale=scale)


class Page:
    """One window; `requests` are the addresses that its page asked for."""

    def __init__(
        self, browser: Chromium, session: str, width: int, height: int, *, dark: bool, scale: float = 1.0
    ) -> None:
        self._browser, self._session = browser, session
        self.requests: list[str] = []
        for domain in ("Page", "Network", "Runtime"):
            self._call(f"{domain}.enable")
        self.size(width, height, scale=scale)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def size(self, width: int, height: int, *, scale: float = 1.0) -> None:
        """Make the window so large."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def go(self, url: str) -> float:
        """Load a page to its end and until it is drawn; milliseconds by its own clock."""
        self._browser.events.clear()
        self._call("Page.navigate", url=url)
        while not any(self._of(event, "Page.loadEventFired") for event in self._browser.events):
            self._browser.events.append(self._browser.read())
        took = float(self.ask(_SETTLED))
        self.requests = [
            event["params"]["request"]["url"]
            for event in self._browser.events
            if self._of(event, "Network.requestWillBeSent")
        ]
        return took

    def _of(self, event: dict[str, Any], method: str) -> bool:
        return event.get("method") == method and event.get("sessionId") == self._session

    def ask(self, script: str) -> Any:
        """What an expression gives, as plain data."""
        told = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(str(told["exceptionDetails"].get("exception", told["exceptionDetails"])))
        return told["result"].get("value")

    def key(self, name: str) -> None:
        """Press a key and let it go."""
        told = {"key": name, "code": "Space" if name == " " else name, "windowsVirtualKeyCode": _KEYS[name]}
        text = {"Enter": "\r", " ": " "}.get(name)
        self._call("Input.dispatchKeyEvent", type="keyDown", **told, **({"text": text} if text else {}))
        self._call("Input.dispatchKeyEvent", type="keyUp", **told)

    def picture(self, height: int | None = None) -> bytes:
        """The page as PNG: its window, or from the top so many pixels of it."""
        clip = {}
        if height is not None:
            width = self.ask("innerWidth")
            clip = {"clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}}
        told = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=height is not None, **clip)
        return base64.b64decode(told["data"])

    def close(self) -> None:
        """Close the window."""
        self._call("Page.close")
