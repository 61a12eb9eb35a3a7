"""Two processes on one port: as one to clients and to a controller, and none outlives its owner."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interceptor.conftest import ANSWER, Proxy, ask

from dialtone.interceptor.board import Board
from dialtone.interceptor.client import ControlError, Controller
from dialtone.interceptor.listeners import Listener
from dialtone.interceptor.plan import parse
from dialtone.interceptor.server import Interceptor
from dialtone.interceptor.settings import BadSettingsError, build
from dialtone.interceptor.tls import Authority

GET = b"GET /x HTTP/1.1\r\nHost: api.test\r\n\r\n"


class Pair:
    """An interceptor of two processes; its owner runs here."""

    def __init__(self, proxy: Proxy, authority: Authority, folder: Path) -> None:
        self.proxy = proxy
        settings = build(
            {
                "hosts": {
                    "api.test": {"upstream": str(proxy.core.hosts["api.test"].upstream), "listen": "127.77.0.9:0"}
                },
                "folder": str(folder),
                "processes": 2,
            }
        )
        self.interceptor = Interceptor(settings, authority=authority)
        proxy.await_(self.interceptor.start())
        self.address = (self.interceptor.listeners["api.test"].address, self.interceptor.listeners["api.test"].port)

    def ask(self, times: int) -> Counter[bytes]:
        """So many connections, one request each; status lines."""
        seen: Counter[bytes] = Counter()
        for _ in range(times):
            with socket.create_connection(self.address, timeout=30) as sock:
                seen[ask(sock, GET).partition(b"\r\n")[0]] += 1
        return seen


@pytest.fixture(scope="module")
def _pair(_proxy: Proxy, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(_proxy, authority, tmp_path_factory.mktemp("pair"))
    yield made
    _proxy.await_(made.interceptor.close())


@pytest.fixture
def pair(_pair: Pair, proxy: Proxy) -> Pair:
    """It, with its listeners open, and an upstream that answers `ANSWER`."""
    proxy.await_(_pair.interceptor.turned())
    return _pair


@pytest.fixture
def controller(pair: Pair) -> Iterator[Controller]:
    """A client of its control API."""
    folder = pair.interceptor.settings.folder
    with Controller.attached(folder, ttl=20) as made:
        yield made
        made.end()


def until(true: Callable[[], Any], what: str) -> None:
    """Wait for it, with an end."""
    last = time.monotonic() + 60
    while not true():
        assert time.monotonic() < last, what
        time.sleep(0.01)


def test_both_serve_and_one_journal_tells(pair: Pair, controller: Controller) -> None:
    """Every request arrives once in the count and in the journal, which is numbered through."""
    before = controller.state()
    since, arrived = before["journal"], before["arrived"].get("api.test", 0)
    assert len(set(before["processes"])) == 2
    assert pair.ask(40) == {b"HTTP/1.1 200 OK": 40}
    assert controller.state()["arrived"]["api.test"] == arrived + 40
    lines = [line for line in controller.journal(since) if line["kind"] == "exchange"]
    assert len(lines) == 40
    assert [line["n"] for line in controller.journal()] == list(range(1, controller.state()["journal"] + 1))
    by = Counter(line.get("process", 0) for line in lines)
    assert set(by) == {0, 1}
    assert len({(line.get("process", 0), line["connection"]) for line in lines}) == 40


def test_a_fault_acts_in_both_and_ends_in_both(pair: Pair, controller: Controller) -> None:
    """With one count of what it matched; after the lever no request meets it any more."""
    fault = controller.put("status", status=503)
    assert pair.ask(30) == {b"HTTP/1.1 503 Service Unavailable": 30}
    assert (fault.matched(), fault.acted()) == (30, 30)
    assert controller.pull("test") == 1
    assert pair.ask(30) == {b"HTTP/1.1 200 OK": 30}
    with pytest.raises(ControlError, match="lever is pulled"):
        controller.put("status", status=503)
    controller.release()
    assert fault.shown()["matched"] == 30
    (ended,) = [line for line in controller.journal() if line["kind"] == "fault ends" and line["fault"] == fault.id]
    assert ended["matched"] == 30


def test_a_share_is_one_share(pair: Pair, controller: Controller) -> None:
    """Of all requests, drawn apart: both processes together, within four standard deviations of it."""
    with controller.put("status", status=503, match={"share": 0.5}, seed=3) as fault:
        seen = pair.ask(200)
        assert fault.shown()["matched"] == 200
        assert fault.shown()["acted"] == seen[b"HTTP/1.1 503 Service Unavailable"]
    assert 72 <= seen[b"HTTP/1.1 503 Service Unavailable"] <= 128


def test_draws_are_apart() -> None:
    """No two processes draw with the same number: else they would break the same requests."""
    numbers = []
    for process in (0, 1):
        board = Board(lambda: 1.0)
        board.process, board.processes = process, 2
        (fault,) = board.put(parse({"faults": [{"fault": "latency"}]}))
        acts = [board.act(fault, "api.test", None) for _ in range(3)]
        numbers.append([act.number for act in acts if act is not None])
    assert numbers == [[1, 3, 5], [2, 4, 6]]


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"fault": "status", "status": 503, "match": {"nth": 3}}, "match.nth"),
        ({"fault": "status", "status": 503, "match": {"after": 3}}, "match.after"),
        ({"fault": "connection-limit", "most": 3, "match": {"host": "api.test"}}, "connection-limit"),
        ({"fault": "stale"}, "stale"),
    ],
)
def test_what_needs_one_process_is_refused(controller: Controller, spec: dict[str, Any], word: str) -> None:
    """With the fault, the reason and the remedy; nothing has begun."""
    with pytest.raises(ControlError, match=rf"fault 1 \(.*\): {word}: .* processes = 1"):
        controller.plan({"faults": [spec]})
    assert controller.faults()["active"] == []


def test_who_is_silent_leaves_both_clean(pair: Pair, controller: Controller) -> None:
    """Nobody renews: each process ends it by its own clock."""
    controller.call("POST", "/faults", {"faults": [{"fault": "status", "status": 503, "ttl": 2, "id": "left"}]})
    assert pair.ask(5) == {b"HTTP/1.1 503 Service Unavailable": 5}
    until(lambda: not controller.faults()["active"], "its TTL is over")
    until(lambda: pair.ask(20) == {b"HTTP/1.1 200 OK": 20}, "both clean")


def test_refused_and_swallowed_by_both(pair: Pair, controller: Controller) -> None:
    """No process answers for the other; afterwards both are there again."""
    with controller.put("refuse", match={"host": "api.test"}):
        for _ in range(20):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(pair.address, timeout=5)
    until(lambda: _answers(pair), "open again")
    with controller.put("blackhole", match={"host": "api.test"}) as fault:
        pair.proxy.await_(pair.interceptor.turned())
        for _ in range(4):
            with pytest.raises(TimeoutError):
                socket.create_connection(pair.address, timeout=0.1)
        assert fault.matched() == 4
    assert fault.matched() == 4
    until(lambda: _answers(pair), "open again")
    assert pair.ask(20) == {b"HTTP/1.1 200 OK": 20}


def test_the_first_opens_again_after_the_others(pair: Pair) -> None:
    """A worker that is back sooner is no stranger on the port: the first does not wait for it to go."""
    first, other = (Listener("127.77.0.10", 0, asyncio.Protocol, shared=shared) for shared in (True, False))

    async def again() -> None:
        await first.open()
        await first.turn("refuse")
        other.port = first.port
        await other.open()
        async with asyncio.timeout(20):
            await first.turn("")
        first.close()
        other.close()

    pair.proxy.await_(again())


def _answers(pair: Pair) -> bool:
    try:
        return pair.ask(1) == {b"HTTP/1.1 200 OK": 1}
    except OSError:
        return False


def test_one_authority(pair: Pair, authority: Authority) -> None:
    """Whichever process speaks TLS, its certificate is of the authority that the client trusts."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    for _ in range(12):
        with (
            socket.create_connection(pair.address, timeout=30) as sock,
            context.wrap_socket(sock, server_hostname="api.test") as tls,
        ):
            assert ask(tls, GET) == ANSWER


def test_a_worker_that_dies_is_replaced(pair: Pair, controller: Controller) -> None:
    """With the faults that are active; what had arrived there is not forgotten."""
    controller.put("status", status=503)
    state = controller.state()
    os.kill(state["processes"][1], signal.SIGKILL)
    until(lambda: len(set(controller.state()["processes"]) - set(state["processes"])) == 1, "another one")
    assert pair.ask(20) == {b"HTTP/1.1 503 Service Unavailable": 20}
    assert controller.state()["arrived"]["api.test"] == state["arrived"].get("api.test", 0) + 20
    assert any(line["kind"] == "process" and "another is started" in line["why"] for line in controller.journal())


def test_a_second_interceptor_does_not_join(pair: Pair, proxy: Proxy, authority: Authority) -> None:
    """Sharing is for processes of one interceptor: another one, of two processes too, is refused."""
    place = f"{pair.address[0]}:{pair.address[1]}"
    for processes in (1, 2):
        other = Interceptor(build({"listen": place, "processes": processes}), authority=authority)
        with pytest.raises(BadSettingsError, match=f"{place} is taken"):
            proxy.await_(other.start())


def test_no_worker_outlives_its_owner(tmp_path: Path) -> None:
    """SIGKILL: its worker is gone, and the next starts on the same port."""
    with socket.socket() as free:
        free.bind(("127.77.0.10", 0))
        port = free.getsockname()[1]
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"hosts": {}, "listen": f"127.77.0.10:{port}", "processes": 2}))
    pids = []
    for _ in range(2):
        command = [sys.executable, "-m", "dialtone.interceptor", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            pids.append(json.loads(process.stdout.readline())["processes"][1])
            process.kill()
    until(lambda: not any(_runs(pid) for pid in pids), "the workers ended")


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.parametrize("processes", [0, 65, "2", True])
def test_how_many(processes: Any) -> None:
    """From 1 to 64."""
    with pytest.raises(BadSettingsError, match=r"processes: .* from 1 to 64"):
        build({"processes": processes})
