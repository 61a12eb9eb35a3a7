"""What the clerk does with slices: history, incidents across slices, trouble, and the heartbeat."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import PROFILE

from dialtone.history import Store
from dialtone.incidents.records import Records
from dialtone.standins.nearby import Nearby
from dialtone.standins.slack_api import CHANNEL, SlackApi
from dialtone.standins.state import Clock
from dialtone.watch import clerk as clerks
from dialtone.watch.clerk import Clerk

NOW = 1_780_315_200.0


@pytest.fixture
def nearby() -> Iterator[Nearby]:
    """A Slack in which nothing is open: a clerk reads back what it was told."""
    with Nearby([SlackApi("xoxb-clerk-0123456789", Clock())]) as opened:
        yield opened


@pytest.fixture
def made(tmp_path: Path, nearby: Nearby, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clerk]:
    """A clerk of a target whose incidents go to it; two looks confirm."""
    monkeypatch.chdir(tmp_path)
    routes = (
        f'[channels.slack]\nkind = "slack"\nsecret = "T"\nto = ["{CHANNEL}"]\nurl = "{nearby.url("slack_api")}"\n'
        '[people.ada]\n[on_call]\nprimary = "ada"\n[routes.all]\nchannels = ["slack"]\n'
    )
    more = f"[target.preview.history]\nfalse_pages = 1000000\n{routes}"
    config = tmp_path / "dialtone.toml"
    config.write_text(PROFILE.format(base="http://127.0.0.9:1", witness="http://127.0.0.9:1", more=more))
    clerk = Clerk(config, "preview", {"T": "xoxb-clerk-0123456789", "DIALTONE_HISTORY": "history.db"},
                  folder=tmp_path, clock=lambda: NOW + 10)  # fmt: skip
    yield clerk
    clerk.close()


def entry(name: str, verdict: str = "ok", **more: Any) -> dict[str, Any]:
    """One check of a slice."""
    return {
        "id": name, "severity": "P0", "runbook": "x", "effect": "reads", "proof": None, "experiment": False,
        "verdict": verdict, "kind": None, "value": None, "unit": None, "samples": 1, "seconds": 0.1, "at": None,
        "levels": {"target": None, "alert": None, "critical": None}, "armed": True, "reason": f"{name} is {verdict}",
        "trace": None, **more,
    }  # fmt: skip


def taken(clerk: Clerk, number: int, now: float, *entries: dict[str, Any], every: float = 60.0) -> None:
    """A slice of looks."""
    looks = [{"at": now, "entry": one, "measured": None} for one in entries]
    clerk.take(
        {"token": f"t-{number}", "planned": now, "started": now, "finished": now, "every": every, "suite": 10,
         "diagnosis": None, "looks": looks}, now,
    )  # fmt: skip


def causes(path: Path) -> dict[str, list[str]]:
    """The incidents, with their checks."""
    store = Store.open(path / "history.db")
    found = {i.cause: sorted(i.members) for i in Records(store.engine).latest(100)}
    store.close()
    return found


def test_a_slice_is_a_run(made: Clerk, tmp_path: Path) -> None:
    """With its interval and its results; taken in twice it changes nothing."""
    for _ in range(2):
        taken(made, 1, NOW, entry("a"), entry("b", "breach"), every=300.0)
    store = Store.open(tmp_path / "history.db")
    (run,) = store.runs("preview")
    assert (run.token, run.every, run.planned) == ("t-1", 300.0, NOW)
    assert [len(store.results("preview", name)) for name in ("a", "b")] == [1, 1]
    store.close()


def test_one_cause_across_slices(made: Clerk, tmp_path: Path) -> None:
    """What is red in another slice is the cause of what depends on it, and no second incident."""
    taken(made, 1, NOW, entry("database", "critical"))
    taken(made, 2, NOW + 5, entry("booking", "breach", depends=["database"]))
    assert causes(tmp_path) == {"database": ["booking", "database"]}
    taken(made, 3, NOW + 10, entry("unrelated"))
    assert causes(tmp_path) == {"database": ["booking", "database"]}


def test_a_cause_that_was_red_long_ago_is_none(made: Clerk, tmp_path: Path) -> None:
    """After a quarter of an hour without a look it says nothing of now."""
    taken(made, 1, NOW, entry("database", "critical"))
    taken(made, 2, NOW + 1000, entry("booking", "breach", depends=["database"]))
    assert {"database", "booking"} <= set(causes(tmp_path))


def test_people_are_told_without_a_history(made: Clerk, tmp_path: Path, nearby: Nearby) -> None:
    """Results go to files beside it, incidents are judged in memory, and both end when it is back."""
    before = len(list(nearby.journal._entries))
    history = tmp_path / "history.db"
    assert made._store is not None
    made._store.close()
    made._store = None
    history.rename(tmp_path / "away.db")
    history.mkdir()
    for number in range(6):
        taken(made, number, NOW + number, entry("health", "critical"))
    made.tick(NOW + 10)
    assert made.trouble
    assert any("the history is in trouble" in line for line in made.words)
    posted = [e for e in list(nearby.journal._entries)[before:] if e.path.endswith("chat.postMessage")]
    assert len(posted) == 1
    history.rmdir()
    (tmp_path / "away.db").rename(history)
    made.tick(NOW + 100)
    assert made.trouble is None
    store = Store.open(history)
    assert len(store.results("preview", "health")) == 6
    store.close()


def test_the_heartbeat_needs_looks_and_a_history(made: Clerk) -> None:
    """Once a minute, only if somebody looked since, never while nothing is stored."""
    assert not made.beat(NOW)
    taken(made, 1, NOW, entry("a"))
    assert made.beat(NOW)
    taken(made, 2, NOW + 30, entry("a"))
    assert not made.beat(NOW + 30)
    assert made.beat(NOW + 61)
    assert not made.beat(NOW + 200)
    taken(made, 3, NOW + 200, entry("a"))
    made.trouble = "gone"
    assert not made.beat(NOW + 300)


def test_it_hangs_up_when_the_other_side_does(tmp_path: Path, made: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it is ready, serves until nothing more comes, and keeps nothing open."""
    ours, theirs = socket.socketpair()
    held: list[socket.socket] = []
    serve = clerks._serve
    monkeypatch.setattr(clerks, "_serve", lambda argv, channel: held.append(channel) or serve(argv, channel))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv(clerks.CHANNEL, str(theirs.detach()))
    monkeypatch.setenv("T", "xoxb-clerk-0123456789")
    monkeypatch.setenv("DIALTONE_HISTORY", "history.db")
    with ours:
        ours.shutdown(socket.SHUT_WR)
        assert clerks.main([str(tmp_path / "dialtone.toml"), "preview"]) == 0
        assert ours.recv(4096) == b'{"ready": true}\n'
    assert [channel.fileno() for channel in held] == [-1]
