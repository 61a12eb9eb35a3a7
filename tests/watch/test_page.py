"""`/metrics` by Prometheus' own parser, `/health`, lines of the journal, notices for systemd."""

from __future__ import annotations

import asyncio
import io
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dialtone.redact import secrets
from dialtone.watch import page
from dialtone.watch.metrics import Board, Last
from dialtone.watch.notify import ERROR, Log, Supervisor


def board() -> Board:
    """A watch of two checks, one of them with a name that needs care."""
    made = Board("preview", {"dialtone_watch_checks": 2, "dialtone_watch_looks_total": 7})
    made.checks['odd["a\\b\n"]'] = Last("breach", "P1", 1_780_000_000.25, 0.5, 60.0)
    made.checks["good"] = Last("ok", "P0", 1_780_000_001.0, 0.01, 5.0)
    for seconds in (0.001, 0.2, 0.2, 7.0, 500.0):
        made.late.add(seconds)
    return made


def test_prometheus_understands_it() -> None:
    """Every sample has a type and belongs to one family; the histogram adds up; names survive."""
    families = {family.name: family for family in text_string_to_metric_families(board().text())}
    assert families["dialtone_watch_looks"].type == "counter"
    assert families["dialtone_check_verdict"].type == "gauge"
    told = {(s.labels["check"], s.labels["verdict"]) for s in families["dialtone_check_verdict"].samples if s.value}
    assert told == {('odd["a\\b\n"]', "breach"), ("good", "ok")}
    late = families["dialtone_watch_lateness_seconds"]
    assert late.type == "histogram"
    counts = [s.value for s in late.samples if s.name.endswith("_bucket")]
    assert counts == sorted(counts)
    assert counts[-1] == next(s.value for s in late.samples if s.name.endswith("_count")) == 5
    assert all(family.documentation for family in families.values())


def test_why_a_watch_is_not_well() -> None:
    """In words; nothing where it is."""
    made = board()
    assert made.troubles(sessions=True, clerk=True, waited=0.0) == []
    made.figures |= {"dialtone_watch_history_trouble": 1.0, "dialtone_watch_undelivered": 2}
    told = made.troubles(sessions=False, clerk=False, waited=31.0)
    assert len(told) == 5
    assert "2 messages reached nobody" in told


async def _asked(text: bytes) -> bytes:
    """What the pages answer to a request, byte for byte."""
    pages = {"/health": lambda: (503, "application/json", '{"status": "trouble"}\n')}
    server = await page.serve("127.0.0.1", 0, pages)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(text)
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
    return answer


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"503", b'{"status": "trouble"}\n'),
        (b"HEAD /health?x=1 HTTP/1.1\r\n\r\n", b"503", b""),
        (b"GET /secret HTTP/1.1\r\n\r\n", b"404", b"there are /health\n"),
        (b"POST /health HTTP/1.1\r\n\r\n", b"405", b"GET or HEAD\n"),
    ],
)
def test_two_pages_and_no_more(asked: bytes, status: bytes, body: bytes) -> None:
    """Read only, and whole."""
    head, _, rest = asyncio.run(_asked(asked)).partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert rest == body


@pytest.mark.parametrize("asked", [b"\r\n\r\n", b"GET /health\r\n\r\n", b"A" * 20_000, b"GET / X\n" + b"a: b\n" * 200])
def test_what_is_no_request_is_hung_up_on(asked: bytes) -> None:
    """Without an answer, and without a line in the log."""
    assert asyncio.run(_asked(asked)) == b""


def test_addresses() -> None:
    """Loopback unless somebody says otherwise, and that is known to be open."""
    assert page.address("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert page.address("[::1]:80") == ("::1", 80)
    assert page.address(":80") == ("0.0.0.0", 80)
    assert [page.is_open(h) for h in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "host.example")] == [False] * 3 + [
        True
    ] * 2
    with pytest.raises(ValueError, match="no address to listen on"):
        page.address("9464")


def test_the_journal_gets_priorities_and_people_get_times() -> None:
    """One line for each line, no secret in any."""
    secrets.add("hunter2hunter2")
    journal, terminal = io.StringIO(), io.StringIO()
    Log({"JOURNAL_STREAM": "8:1"}, journal)("it broke\nhunter2hunter2", ERROR)
    Log({}, terminal, clock=lambda: 1_780_315_200.0)("well")
    assert journal.getvalue().splitlines()[0] == "<3>it broke"
    assert "hunter2" not in journal.getvalue()
    assert terminal.getvalue() == "2026-06-01T12:00:00Z well\n"


def test_the_same_is_said_once_an_hour() -> None:
    """A history that is down is no reason for a line every half second."""
    now, out = [0.0], io.StringIO()
    log = Log({"JOURNAL_STREAM": "x"}, out, clock=lambda: now[0])
    for moment in (0.0, 10.0, 3599.0, 3601.0):
        now[0] = moment
        log.once("trouble")
    assert out.getvalue() == "<4>trouble\n" * 2


def test_systemd_is_told(tmp_path: Path) -> None:
    """sd_notify(3): states as lines in one datagram; without a socket nothing happens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        manager = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"})
        assert manager.every == 30.0
        manager.tell(READY=1, STATUS="watching")
        assert channel.recv(100) == b"READY=1\nSTATUS=watching"
    assert Supervisor({}).every is None
    Supervisor({}).tell(READY=1)
