"""`dialtone watch` as a process: looks, tells, reloads, ends what hangs, and goes when it is told to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import PROFILE, Server

from dialtone.history import Store
from dialtone.watch.notify import Log

CHECKS = '''
import os
import time
from dialtone import check, expect, fail, ok
@check(runbook="x", severity="P0", every="1s")
def test_good(http, target):
    """Answers."""
    expect(http.get(target.route("good"))).status(200)
@check(runbook="x", every="1s")
def test_red():
    """Is red while a file is there."""
    fail("the file is there") if os.path.exists("red") else ok("fine")
@check(runbook="x", every="1s")
def test_hangs():
    """Hangs while a file is there, deaf to SIGINT."""
    while os.path.exists("hang"):
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass
    ok("fine")
@check(runbook="x", every="1s")
def test_dies():
    """Takes its session with it while a file is there."""
    os._exit(3) if os.path.exists("die") else ok("fine")
@check(runbook="x", needs=["routes.missing"])
def test_unarmed(target):
    """Lacks something."""
'''


class Watch:
    """A running watch."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.profile('limit = "1s"')
        (folder / "test_it.py").write_text(CHECKS)
        self._words = (folder / "words").open("w")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "GITHUB_"))}
        environment |= {"DIALTONE_HISTORY": "history.db", "PREVIEW_KEY": "key-0123456789"}
        self.port = _free()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dialtone.cli", "watch", "--target", "preview", "--listen",
             f"127.0.0.1:{self.port}", "--", "test_it.py"],
            cwd=folder, env=environment, stdout=self._words, stderr=self._words,
        )  # fmt: skip

    def profile(self, schedule: str, more: str = "") -> None:
        """Write the profile."""
        table = f'[target.preview.schedule]\nevery = "1s"\n{schedule}\n{more}'
        text = PROFILE.format(base=self.server.url, witness=self.server.url, more=table)
        (self.folder / "dialtone.toml").write_text(text)

    @property
    def words(self) -> str:
        """What it has said."""
        return (self.folder / "words").read_text()

    def page(self, path: str) -> tuple[int, str]:
        """A page of it."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def figure(self, name: str, **labels: str) -> float:
        """One sample."""
        for family in text_string_to_metric_families(self.page("/metrics")[1]):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return 0.0

    def until(self, what: Callable[[], object], patience: float = 120.0) -> None:
        """Wait until it is so."""
        end = time.monotonic() + patience
        while not what():
            assert self.process.poll() is None, self.words
            assert time.monotonic() < end, self.words
            time.sleep(0.05)

    def close(self) -> None:
        """End it, whatever has happened."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._words.close()


def _free() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def watch(tmp_path: Path, server: Server) -> Iterator[Watch]:
    """One, ended after the test."""
    made = Watch(tmp_path, server)
    yield made
    made.close()


def test_a_life(watch: Watch) -> None:
    """From the first look to SIGTERM: what is red, what hangs, what dies, a reload that holds and one that does not;
    its processes killed, and started again."""
    watch.until(lambda: "watching preview: 4 checks every 1 s, 1 are not armed" in watch.words)
    watch.until(lambda: watch.figure("dialtone_check_verdict", check="good", verdict="ok") == 1)
    watch.until(lambda: watch.page("/health")[0] == 200)
    assert json.loads(watch.page("/health")[1])["status"] == "ok"

    (watch.folder / "red").touch()
    watch.until(lambda: "red: breach, was ok: the file is there" in watch.words)
    (watch.folder / "red").unlink()
    watch.until(lambda: "red: ok, was breach" in watch.words)

    (watch.folder / "hang").touch()
    watch.until(lambda: "hangs: unknown (broken)" in watch.words)
    before = watch.figure("dialtone_watch_looks_total")
    watch.until(lambda: watch.figure("dialtone_watch_hung_total") >= 2)
    watch.until(lambda: "moments were missed (dialtone_watch_missed_total)" in watch.words)
    assert watch.figure("dialtone_watch_looks_total") > before
    (watch.folder / "hang").unlink()
    watch.until(lambda: "hangs: ok, was unknown" in watch.words)

    watch.until(lambda: watch.figure("dialtone_check_verdict", check="dies", verdict="ok") == 1)
    (watch.folder / "die").touch()
    watch.until(lambda: "dies: unknown (broken), was ok: the session died in this check" in watch.words)
    (watch.folder / "die").unlink()

    watch.profile('limt = "1s"')
    watch.process.send_signal(signal.SIGHUP)
    watch.until(lambda: "not reloaded, the watch goes on as it was" in watch.words)
    assert "unknown key" in watch.words
    watch.profile('limit = "1s"\nchecks = { good = "2s" }')
    watch.process.send_signal(signal.SIGHUP)
    watch.until(lambda: "reloaded: watching preview: 4 checks every 1 to 2 s" in watch.words)
    looks = watch.figure("dialtone_watch_looks_total")
    watch.until(lambda: watch.figure("dialtone_watch_looks_total") > looks + 3)
    assert watch.figure("dialtone_watch_reloads_total", result="refused") == 1

    for child in psutil.Process(watch.process.pid).children():  # the warm session and the clerk
        with contextlib.suppress(psutil.NoSuchProcess):  # one that the reload ended just now
            child.kill()
    watch.until(lambda: "a process of the watch died: it is started again" in watch.words)
    watch.until(lambda: watch.page("/health")[0] == 200)
    looks = watch.figure("dialtone_watch_looks_total")
    watch.until(lambda: watch.figure("dialtone_watch_looks_total") > looks + 4)

    (watch.folder / "hang").touch()
    watch.until(lambda: watch.figure("dialtone_watch_running") >= 1)
    whole = psutil.Process(watch.process.pid).children(recursive=True)
    watch.process.send_signal(signal.SIGTERM)
    assert watch.process.wait(60) == 0
    _, left = psutil.wait_procs(whole, timeout=30)
    assert [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    store = Store.open(watch.folder / "history.db")
    verdicts = [str(result.kind or result.verdict) for result in store.results("preview", "hangs")]
    store.close()
    assert {"ok", "broken"} <= set(verdicts)


@pytest.mark.parametrize(
    ("profile", "checks", "says"),
    [
        ("limt = 1", CHECKS, "unknown key"),
        ("", "import nothing_of_this_name\n", "nothing_of_this_name"),
    ],
    ids=["profile", "checks"],
)  # fmt: skip
def test_it_does_not_begin(tmp_path: Path, server: Server, profile: str, checks: str, says: str) -> None:
    """In words, with 4."""
    table = f'[target.preview.schedule]\nevery = "1s"\n{profile}'
    (tmp_path / "dialtone.toml").write_text(PROFILE.format(base=server.url, witness=server.url, more=table))
    (tmp_path / "test_it.py").write_text(checks)
    done = subprocess.run(
        [sys.executable, "-m", "dialtone.cli", "watch", "--target", "preview", "--listen", "off", "--", "test_it.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("DIALTONE_")},
    )  # fmt: skip
    assert done.returncode == 4, done.stdout
    assert says in done.stdout + done.stderr


def test_a_log_for_nobody() -> None:
    """Without a journal the lines go to standard output."""
    assert Log({})._stream is sys.stdout
