"""Bad input and faults of a history: in words, with the remedy, and nothing is lost."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.history.conftest import NOON, Server, free_port, run

from dialtone.history import Recorder, Store, StoreError, location, spool
from dialtone.redact import secrets
from dialtone.target import Target, load

ENTRY = {
    "id": "health",
    "severity": "P0",
    "verdict": "ok",
    "kind": None,
    "value": None,
    "samples": 1,
    "armed": True,
    "reason": "fine",
    "seconds": 0.5,
}


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        """The moment."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock for a recorder."""
    return Clock()


def recorder(place: str | Path, clock: Clock, name: str = "r1") -> Recorder:
    """A recorder whose run began at noon."""
    return Recorder(str(place), run(name), clock=clock, monotonic=clock)


def stored(place: str | Path) -> list[str]:
    """The verdicts that a history holds of the check `health`."""
    store = Store.open(place)
    try:
        return [str(r.verdict) for r in store.results("production", "health")]
    finally:
        store.close()


def test_a_run_is_stored_while_it_goes_on(place: str, clock: Clock) -> None:
    """About once a second; the end of the run is told at its end. A run that is killed has left what it knew."""
    running = recorder(place, clock)
    running.add(ENTRY)
    clock.now += 2
    running.add({**ENTRY, "verdict": "breach", "reason": "slow"})
    assert stored(place) == ["ok", "breach"]
    store = Store.open(place)
    assert store.runs("production")[0].finished is None
    running.finish(1)
    assert running.trouble is None
    assert (store.runs("production")[0].finished, store.runs("production")[0].exit_code) == (NOON + 2, 1)
    store.close()


def test_unarmed_checks_have_no_results(place: str, clock: Clock) -> None:
    """Nobody looked: that is a gap, not a result."""
    running = recorder(place, clock)
    running.add({**ENTRY, "armed": False, "verdict": None})
    running.finish(13)
    assert stored(place) == []


def _damaged(path: Path) -> None:
    path.write_bytes(b"this is no database, " * 1000)


def _is_a_folder(path: Path) -> None:
    path.mkdir()


def _newer(path: Path) -> None:
    store = Store.open(path)
    store.engine.many("INSERT INTO dialtone_schema VALUES (?, ?)", [(99, 0)])
    store.close()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(_damaged, "damaged; move it away"), (_is_a_folder, "unable to open"), (_newer, "update pytest-dialtone")],
)
def test_results_wait_in_a_file_until_the_history_is_well(  # type: ignore[no-untyped-def]
    tmp_path: Path, clock: Clock, spoil, words: str
) -> None:
    """A file that is damaged, unusable or too new: the run says so, and the next good one takes in what it left."""
    path = tmp_path / "history.db"
    spoil(path)
    running = recorder(path, clock)
    running.add(ENTRY)
    running.finish(0)
    assert running.trouble is not None
    assert words in running.trouble
    assert "1 results are kept in" in running.trouble
    path.rename(tmp_path / "away")
    following = recorder(path, clock, "r2")
    following.add(ENTRY)
    following.finish(0)
    assert following.trouble is None
    assert stored(path) == ["ok", "ok"]
    assert list(spool.folder(str(path)).iterdir()) == []


def test_results_of_a_time_that_is_rolled_up_are_told(place: str, clock: Clock) -> None:
    """A clock that was set back by months: the run says that its results are not in the history; the next is well."""
    first = recorder(place, clock)
    first.add(ENTRY)
    first.finish(0)
    clock.now += 90 * 86400
    recorder(place, clock, "r2").finish(0)  # raw results of the first are gone
    clock.now -= 85 * 86400
    late = recorder(place, clock, "r3")
    late.add(ENTRY)
    late.add(ENTRY)
    late.finish(0)
    assert late.trouble is not None
    assert late.trouble.startswith("2 results are of a time of which only sums are kept, and are not stored")
    clock.now += 86 * 86400
    following = recorder(place, clock, "r4")
    following.add(ENTRY)
    following.finish(0)
    assert following.trouble is None


def test_a_locked_history_is_waited_for_and_then_told(tmp_path: Path) -> None:
    """Another program holds the lock for longer than the patience."""
    path = tmp_path / "history.db"
    Store.open(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    mine = Store.open(path, patience=0.05)
    with pytest.raises(StoreError, match="locked: another program has held it"):
        mine.add(run())
    other.execute("ROLLBACK")
    mine.add(run())
    mine.close()
    other.close()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """SQLite's own limit on pages stands for it: nothing is half there, and it goes on when there is room."""
    store = Store.open(tmp_path / "history.db")
    store.engine.do("PRAGMA max_page_count = 16")
    big = [{**ENTRY, "id": f"check_{i}", "verdict": "breach", "reason": "x" * 3000} for i in range(100)]
    from dialtone.history.recorder import result_of

    rows = [found for e in big if (found := result_of(e, {}, NOON))]
    with pytest.raises(StoreError, match="full: make room"):
        store.add(run(), rows)
    assert store.runs("production") == []
    store.engine.do("PRAGMA max_page_count = 100000")
    assert store.add(run(), rows) == 100
    store.close()


def test_a_disk_that_keeps_nothing_is_told(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the history nor the file beside it: the verdicts of the run are all that there is."""

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "keep", full)
    _damaged(tmp_path / "history.db")
    running = recorder(tmp_path / "history.db", clock)
    running.add(ENTRY)
    running.finish(0)
    assert "(No space left on device): the verdicts file alone holds them" in str(running.trouble)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may be ended."""
    made = Server(tmp_path_factory.mktemp("mortal"))
    yield made
    if made.process.poll() is None:
        made.stop()


def test_a_server_that_goes_in_the_middle_of_a_run(
    mortal: Server, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored is stored, the rest waits in a file, no password is told; the next run takes it in."""
    monkeypatch.chdir(tmp_path)
    running = recorder(mortal.url(), clock)
    for _ in range(2):
        clock.now += 2
        running.add(ENTRY)
    mortal.stop()
    for _ in range(2):
        clock.now += 2
        running.add(ENTRY)
    running.finish(0)
    assert running.trouble is not None
    assert "2 results are kept in build/history.spool/" in running.trouble
    assert mortal.password not in running.trouble
    mortal.start()
    following = recorder(mortal.url(), clock, "r2")
    following.finish(0)
    assert following.trouble is None
    assert stored(mortal.url()) == ["ok"] * 4


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    """Host, port and name are told; the password is known to be a secret from then on."""
    with pytest.raises(StoreError) as caught:
        Store.open(f"postgresql://me:hunter2-hunter2@127.0.0.1:{free_port()}/x", patience=1)
    assert "postgresql://127.0.0.1:" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert secrets.scrub("hunter2-hunter2") != "hunter2-hunter2"


def test_other_kinds_of_address_are_refused() -> None:
    """A typo is no new file."""
    with pytest.raises(StoreError, match="a history lives in a file"):
        Store.open("mysql://host/name")


def test_a_file_of_results_that_makes_no_sense_is_told_and_left(tmp_path: Path, clock: Clock) -> None:
    """It may be somebody's only copy."""
    path = tmp_path / "history.db"
    place = spool.folder(str(path))
    place.mkdir()
    (place / "odd.json").write_text("{")
    running = recorder(path, clock)
    running.add(ENTRY)
    running.finish(0)
    assert "odd.json is no file of results" in str(running.trouble)
    assert (place / "odd.json").exists()
    assert stored(path) == ["ok"]


PROFILE = """
[target.production]
kind = "production"
base_url = "http://{host}"
witnesses = ["http://192.0.2.1", "http://192.0.2.2"]
{more}
"""


def target(tmp_path: Path, host: str, more: str = "") -> Target:
    """A production on this host."""
    path = tmp_path / "dialtone.toml"
    path.write_text(PROFILE.format(host=host, more=more))
    return load(path, "production", {})


@pytest.mark.parametrize("named", ["127.0.0.1", "localhost"])
def test_a_history_on_the_targets_own_host_is_refused(tmp_path: Path, named: str) -> None:
    """By name or by address: it would be lost with the incident."""
    watched = target(tmp_path, "127.0.0.1:8080")
    with pytest.raises(StoreError, match="a host of the target production: it would be lost"):
        location.where(watched, {"DIALTONE_HISTORY": f"postgresql://u:p@{named}:5432/x"})
    elsewhere = "postgresql://u:p@192.0.2.7/x"
    assert location.where(watched, {"DIALTONE_HISTORY": elsewhere}) == elsewhere


def test_a_file_on_the_targets_own_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an address of the target is this machine's. Loopback is not known: a tunnel may begin there."""
    monkeypatch.setattr(location, "ours", lambda address: address == "192.0.2.1")
    with pytest.raises(StoreError, match="a file of this machine, on which the target production runs"):
        location.where(target(tmp_path, "192.0.2.1"), {"DIALTONE_HISTORY": "history.db"})
    assert location.where(target(tmp_path, "192.0.2.9"), {"DIALTONE_HISTORY": "history.db"}) == "history.db"


def test_an_address_is_this_machines_own_or_not() -> None:
    """By the way to it; documentation's addresses, loopback and what is none are not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        try:
            outward.connect(("198.51.100.1", 9))
            assert location.ours(outward.getsockname()[0])
        except OSError:
            pass  # a machine without a network has loopback only
    others = ("198.51.100.1", "127.0.0.1", "::1", "0.0.0.0", "fe80::1%eth0", "nonsense")
    assert not any(map(location.ours, others))


def test_where_a_history_is(tmp_path: Path) -> None:
    """The environment counts more than the profile, the profile more than the default; `off` is none."""
    assert location.where(target(tmp_path, "192.0.2.1"), {}) == "build/history.db"
    named = target(tmp_path, "192.0.2.1", '[target.production.history]\nstore = "/var/x.db"')
    assert location.where(named, {}) == "/var/x.db"
    assert location.where(named, {"DIALTONE_HISTORY": "y.db"}) == "y.db"
    assert location.where(named, {"DIALTONE_HISTORY": "off"}) is None
