"""Faults through the control API: taken whole, leased, ended at once, and told what they did."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interceptor.conftest import ANSWER, Clock, Proxy, Slack, ask

from dialtone import cli
from dialtone.interceptor.board import Board
from dialtone.interceptor.client import ControlError, Controller
from dialtone.interceptor.plan import BadPlanError, parse
from dialtone.interceptor.server import Interceptor
from dialtone.interceptor.settings import BadSettingsError, build
from dialtone.interceptor.tls import Authority


@pytest.fixture
def controller(proxy: Proxy) -> Iterator[Controller]:
    """A client of the control API."""
    with Controller.attached(proxy.folder, ttl=20) as made:
        yield made


def test_end_to_end(proxy: Proxy, controller: Controller) -> None:
    """Put, seen on the wire, counted, ended, gone."""
    with controller.put("status", status=503, match={"path": "/v1/*"}) as fault, proxy.connect() as sock:
        assert ask(sock, b"GET /v1/x HTTP/1.1\r\nHost: api.test\r\n\r\n").startswith(b"HTTP/1.1 503")
        assert ask(sock) == ANSWER
        assert (fault.matched(), fault.acted()) == (1, 1)
    with proxy.connect() as sock:
        assert ask(sock, b"GET /v1/x HTTP/1.1\r\nHost: api.test\r\n\r\n") == ANSWER
    assert fault.shown()["ended"] == "ended by its controller"


def test_without_the_token_nothing_is_said(proxy: Proxy) -> None:
    """No token, a wrong one: 401 on every route, and no fault."""
    for token in ("", "Bearer wrong"):
        for path in ("/health", "/faults", "/journal", "/nowhere"):
            client = http.client.HTTPConnection(*proxy.interceptor.control_url[7:].split(":"), timeout=30)  # type: ignore[arg-type]
            client.request("GET", path, headers={"Authorization": token} if token else {})
            assert client.getresponse().status == 401
            client.close()


def test_a_plan_is_taken_whole_or_not_at_all(controller: Controller) -> None:
    """Everything that is wrong is told at once, and the good fault beside it does not start."""
    plan = {
        "faults": [
            {"fault": "latency"},
            {"fault": "latncy"},
            {"fault": "status", "status": 99, "match": {"share": 2, "nth": 0}},
            {"fault": "refuse", "match": {"path": "/x"}},
        ]
    }
    with pytest.raises(ControlError) as caught:
        controller.plan(plan)
    told = "\n".join(caught.value.problems)
    for words in ("fault 2 (latncy): no such fault", "status: 99 is not between 200 and 599", "match.share: 2", "nth"):
        assert words in told
    assert controller.faults()["active"] == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"fault": "latency", "seconds": "2"}, "seconds: '2' is no number"),
        ({"fault": "latency", "seconds": True}, "is no number"),
        ({"fault": "latency", "seconds": float("nan")}, "is no number"),
        ({"fault": "latency", "match": {"nth": 2, "every": 3}}, "nth with every"),
        ({"fault": "latency", "match": {"share": 0}}, "can match nothing"),
        ({"fault": "latency", "ttl": 3600}, "ttl: 3600 is not between"),
        ({"fault": "latency", "course": {"kind": "flap"}}, "course.period: is needed"),
        ({"fault": "latency", "course": {"kind": "wave"}}, "course.kind: 'wave' is none of"),
        ({"fault": "latency", "id": "a b"}, "id: letters"),
        ({"fault": "latency", "match": {"header": {"a": 1}}}, "an object of texts"),
        ({"fault": "latency", "match": []}, "an object is needed"),
        ({"fault": "blackhole"}, "match a host and nothing else"),
        ({"fault": "certificate", "match": {"method": "GET"}}, "before a request is seen"),
        ({"fault": "latency", "second": 1}, "second: no such key"),
        ("latency", "a fault is"),
    ],
)
def test_what_is_wrong_with_a_plan(entry: Any, words: str) -> None:
    """Said in words that name the key."""
    with pytest.raises(BadPlanError, match=words):
        parse({"faults": [entry]})


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ([{"fault": "refuse"}, {"fault": "blackhole"}], "1-refuse and 2-blackhole contradict: a.test cannot be"),
        (
            [{"fault": "certificate", "wrong": "expired"}, {"fault": "certificate", "wrong": "wrong-host", "start": 9}],
            "cannot be expired and wrong-host at once",
        ),
        ([{"fault": "latency", "duration": 5}, {"fault": "refuse", "duration": 5}], "1-latency can match nothing"),
        ([{"fault": "refuse"}, {"fault": "status", "start": 60}], "2-status can match nothing: 1-refuse"),
    ],
)
def test_faults_that_contradict_each_other(faults: list[dict[str, Any]], words: str) -> None:
    """Named both, with what they contradict in; one after the other, or at other hosts, they are a plan."""
    same = [{**fault, "match": {"host": "a.test"}} for fault in faults]
    with pytest.raises(BadPlanError, match=words):
        parse({"faults": same})
    assert len(parse({"faults": [same[0], {**same[1], "match": {"host": "b.test"}}]})) == 2
    after = [{**same[0], "duration": 5, "start": 0}, {**same[1], "start": 5}]
    assert len(parse({"faults": after})) == 2


def test_a_host_that_the_interceptor_does_not_stand_for(controller: Controller) -> None:
    """Refused with those that there are: the fault could never match. A glob and a wildcard host meet both ways."""
    with pytest.raises(ControlError) as caught:
        controller.put("hang", match={"host": "api.tset"})
    [problem] = caught.value.problems
    assert re.match(r"fault 1 \(hang-.*\): match\.host: no host here is api\.tset; there are ", problem)
    assert "api.test" in problem
    for host in ("API.test", "*.test", "abc.supabase.co", "*.supabase.co"):
        controller.put("hang", match={"host": host}).end()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"fault": "status"}, r"status acts on HTTP, and tcp\.test speaks plain TCP; there act bandwidth, blackhole, "),
        ({"fault": "in-doubt"}, "in-doubt acts on HTTP"),
        ({"fault": "certificate"}, "certificate acts on HTTP"),
        (
            {"fault": "reset", "match": {"path": "/x"}},
            r"match\.path: tcp\.test speaks plain TCP, which has no requests",
        ),
    ],
)
def test_what_cannot_be_at_a_host_of_plain_tcp(controller: Controller, fault: dict[str, Any], words: str) -> None:
    """Refused with what can act there; for HTTP, or for all hosts together, it is a plan."""
    match = {**fault.get("match", {}), "host": "tcp.test"}
    with pytest.raises(ControlError) as caught:
        controller.call("POST", "/faults", {"faults": [{**fault, "match": match}]})
    [problem] = caught.value.problems
    assert re.match(rf"fault 1 \(1-{fault['fault']}\): {words}", problem)
    for host in ("api.test", "*.test", None):
        controller.call("POST", "/faults", {"faults": [{**fault, "match": {**match, "host": host}}]})
        controller.end()


def test_what_was_planned_can_be_planned_again() -> None:
    """The printed plan, defaults and all, is a plan, and the same one."""
    plan = {
        "seed": 3,
        "faults": [
            {"fault": "latency", "match": {"host": "a.test", "share": 0.5}, "course": {"kind": "grow", "over": 3}}
        ],
    }
    [spec] = parse(plan)
    assert parse({"faults": [spec.shown()]}) == (spec,)
    assert spec.seed == 3


def acting(board: Board, number: int) -> list[bool]:
    """Whether the one fault acts on each of so many requests."""
    [fault] = board.faults.values()
    return [board.act(fault, "h", None) is not None for _ in range(number)]


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        ({"nth": 2}, "01000000"),
        ({"after": 5}, "00000111"),
        ({"every": 3}, "10010010"),
        ({"after": 1, "every": 3}, "01001001"),
    ],
)
def test_which_of_the_requests(match: dict[str, int], wanted: str) -> None:
    """nth, a quota that is used up, every so many."""
    board = Board(Clock())
    board.put(parse({"faults": [{"fault": "hang", "match": match}]}))
    assert acting(board, 8) == [c == "1" for c in wanted]


def test_the_share_follows_the_seed() -> None:
    """The same seed draws the same requests, another others, and about the share of them."""
    drawn = []
    for seed in (1, 1, 2):
        board = Board(Clock())
        board.put(parse({"seed": seed, "faults": [{"fault": "hang", "match": {"share": 0.3}}]}))
        drawn.append(acting(board, 2_000))
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(540 <= sum(one) <= 660 for one in drawn)


@pytest.mark.parametrize(
    ("course", "shares"),
    [
        ({"kind": "grow", "over": 10}, [0, 0.5, 1]),
        ({"kind": "recover", "over": 10}, [1, 0.5, 0]),
        ({"kind": "flap", "period": 8, "duty": 0.25}, [1, 0, 1]),
    ],
)
def test_the_share_moves_with_time(course: dict[str, Any], shares: list[float]) -> None:
    """At the beginning, 5 s in, and 9 s in (grow and recover: 10 s)."""
    clock = Clock()
    board = Board(clock)
    board.put(parse({"faults": [{"fault": "hang", "ttl": 60, "course": course}]}))
    for age, share in zip((0, 5, 9 if "period" in course else 10), shares, strict=True):
        clock.now = 100.0 + age
        assert share * 1_000 - 60 <= sum(acting(board, 1_000)) <= share * 1_000 + 60


def test_leases_durations_and_starts() -> None:
    """Renewed it lives on, never longer than its duration; before its start it does nothing."""
    clock = Clock()
    board = Board(clock)
    [fault] = board.put(parse({"faults": [{"fault": "hang", "ttl": 2, "start": 1, "duration": 5}]}))
    assert acting(board, 1) == [False]
    clock.now += 1.5
    assert acting(board, 1) == [True]
    assert board.renew() == [fault.id]
    clock.now += 1.9
    assert board.renew([fault.id]) == [fault.id]
    clock.now += 1.9
    assert board.renew() == [fault.id]
    clock.now = 106.1
    board.expire()
    assert board.faults == {}
    assert board.ended[fault.id].why == "its duration is over"
    [fault] = board.put(parse({"faults": [{"fault": "hang", "ttl": 2}]}))
    clock.now += 2
    assert board.renew() == []
    assert board.ended[fault.id].why == "nobody renewed it"


def test_a_controller_that_goes_silent_leaves_a_clean_proxy(proxy: Proxy) -> None:
    """Its faults end within their TTL: nothing renews them any more."""
    silent = Controller.attached(proxy.folder, ttl=2.0)
    fault = silent.put("status", status=500)
    with proxy.connect() as sock:
        time_to_die = time.monotonic() + 2.5
        while time.monotonic() < time_to_die:  # alive as long as its controller is
            assert ask(sock).startswith(b"HTTP/1.1 500")
            time.sleep(0.02)
        silent._end.set()
        begin = time.monotonic()
        while ask(sock) != ANSWER:
            assert time.monotonic() - begin < 20
    assert fault.shown()["ended"] == "nobody renewed it"
    silent.close()


def test_the_lever_ends_everything_within_100_ms(proxy: Proxy, controller: Controller, slack: Slack) -> None:
    """A client that hangs is let go, new faults are refused, and taken again after the release."""
    controller.put("hang")
    ended: list[float] = []
    sock = proxy.connect()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")

    def wait() -> None:
        sock.recv(1)
        ended.append(time.perf_counter())

    thread = threading.Thread(target=wait)
    thread.start()
    deadline = time.monotonic() + 30
    while not controller.faults()["active"][0]["acted"] and time.monotonic() < deadline:
        pass
    begin = time.perf_counter()
    assert controller.pull("the test says so") == 1
    thread.join(30)
    sock.close()
    assert ended[0] - begin <= 0.1 + slack()
    with pytest.raises(ControlError, match="lever is pulled: the test says so"):
        controller.put("hang")
    controller.release()
    controller.put("latency", seconds=0)


@pytest.mark.parametrize("broken", [False, True])
def test_a_guard_pulls_the_lever(proxy: Proxy, controller: Controller, broken: bool) -> None:
    """When the indicator is past its limit, or cannot be read."""
    values = iter([0.0, 0.5, 2.0])

    def read() -> float:
        if broken:
            raise OSError("gone")
        return next(values)

    controller.put("latency", seconds=0)
    with controller.guard(read, 1.0, "error rate", every=0.01):
        deadline = time.monotonic() + 30
        while not controller.faults()["lever"] and time.monotonic() < deadline:
            pass
    told = controller.faults()
    assert told["lever"] == ("error rate cannot be read: OSError" if broken else "error rate is 2, past 1")
    assert told["active"] == []
    controller.release()


def test_the_same_plan_and_traffic_give_the_same_journal(proxy: Proxy, controller: Controller) -> None:
    """Apart from times, and numbers that only count."""
    plan = {
        "seed": 11,
        "faults": [
            {"id": "a", "fault": "status", "status": 500, "match": {"path": "/a*", "share": 0.5}},
            {"id": "b", "fault": "corrupt", "match": {"share": 0.3}},
            {"id": "c", "fault": "latency", "seconds": 0.001, "jitter": 0.001, "match": {"every": 4}},
        ],
    }
    told = []
    for _ in range(2):
        proxy.reset()
        active = controller.plan(plan)
        with proxy.connect() as sock:
            answers = [
                ask(sock, b"GET /%s%d HTTP/1.1\r\nHost: api.test\r\n\r\n" % (b"ab"[n % 2 : n % 2 + 1], n))
                for n in range(40)
            ]
        for fault in active:
            fault.end()
        lines = proxy.lines()
        told.append(([{k: v for k, v in line.items() if k not in ("n", "t", "ms", "connection")} for line in lines],
                     [a.partition(b"\r\ncontent-type")[2] or a for a in answers]))  # fmt: skip
    assert told[0] == told[1]
    assert len({str(line.get("faults")) for line in told[0][0]}) > 3


def test_a_fault_that_matched_nothing_is_told(
    proxy: Proxy, controller: Controller, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the journal, by the client, by the command line."""
    fault = controller.put("hang", match={"host": "other.test"})
    assert fault.matched() == 0
    assert cli.main(["faults", "list", "--at", str(proxy.folder)]) == 0
    assert "MATCHED NOTHING" in capsys.readouterr().out
    fault.end()
    assert proxy.lines("fault ends")[-1]["matched"] == 0


def test_matching_by_body_header_and_host(proxy: Proxy) -> None:
    """A tenant's outage: only requests that carry its name."""
    proxy.put(
        {"fault": "status", "status": 500, "match": {"body": {"tenant.id": "t_*"}, "header": {"X-Region": "eu-*"}}}
    )

    def post(body: bytes, region: bytes, kind: bytes = b"application/json") -> bytes:
        head = b"POST / HTTP/1.1\r\nHost: api.test\r\nX-Region: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
        with proxy.connect() as sock:
            sock.sendall(head % (region, kind, len(body)))
            return ask(sock, body)[9:12]

    assert post(b'{"tenant": {"id": "t_1"}}', b"eu-west") == b"500"
    assert post(b'{"tenant": {"id": "x_1"}}', b"eu-west") == b"200"
    assert post(b'{"tenant": {"id": "t_1"}}', b"us-west") == b"200"
    assert post(b"{broken", b"eu-west") == b"200"
    assert post(b"tenant.id=t_7", b"eu-west", b"application/x-www-form-urlencoded") == b"500"
    assert proxy.upstream.requests[0].endswith(b'{"tenant": {"id": "x_1"}}')


def test_open_to_the_network_has_to_be_said_twice() -> None:
    """Once is refused, in words that name both places."""
    for settings, allowed in (({"listen": "0.0.0.0:0"}, True), ({"listen": "0.0.0.0:0", "open": True}, False)):
        with pytest.raises(BadSettingsError, match="open = true in the settings and --open"):
            Interceptor(build(settings), allow_open=allowed)
    Interceptor(build({"listen": "0.0.0.0:0", "open": True}), allow_open=True)


def test_a_second_interceptor_on_a_port_is_refused(proxy: Proxy, authority: Authority) -> None:
    """With the address, and without leaving anything open."""
    address, port = proxy.address("*")

    async def start() -> None:
        await Interceptor(build({"listen": ["127.0.0.1:0", f"{address}:{port}"]}), authority=authority).start()

    with pytest.raises(BadSettingsError, match=f"{address}:{port} is taken"):
        proxy.await_(start())


def test_the_command_line(proxy: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """check, run, journal, lever, mechanisms, answers, with their exit codes."""
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"faults": [{"fault": "latency", "seconds": 0}]}))
    at = ["--at", str(proxy.folder)]
    assert cli.main(["faults", "check", str(plan)]) == 0
    assert json.loads(capsys.readouterr().out)["faults"][0]["ttl"] == 10
    assert cli.main(["faults", "run", str(plan), "--for", "0.05", *at]) == 1
    assert "MATCHED NOTHING" in capsys.readouterr().err
    with proxy.connect() as sock:
        ask(sock)
    assert cli.main(["faults", "journal", *at]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["status"] == 200
    assert cli.main(["faults", "lever", "pull", *at]) == 0
    assert cli.main(["faults", "run", str(plan), "--for", "0.05", *at]) == 1
    assert "lever is pulled" in capsys.readouterr().err
    assert cli.main(["faults", "lever", "release", *at]) == 0
    plan.write_text('{"faults": [{"fault": "no"}]}')
    assert cli.main(["faults", "check", str(plan)]) == 2
    assert cli.main(["faults", "mechanisms"]) == 0
    assert "in-doubt" in capsys.readouterr().out
    assert cli.main(["faults", "list", "--at", str(tmp_path)]) == 1
    assert "no interceptor runs in" in capsys.readouterr().err


def test_a_slow_client_is_told_so(proxy: Proxy) -> None:
    """A head that does not come to its end: 408, after the time that the interceptor allows."""
    proxy.core.head_timeout = 0.5
    try:
        with proxy.connect() as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost:")
            assert ask(sock, b" api").startswith(b"HTTP/1.1 408 ")
    finally:
        proxy.core.head_timeout = 30.0


def test_idle_connections_cost_little(proxy: Proxy) -> None:
    """Hundreds of idle ones leave room for one that works."""
    socks = [proxy.connect() for _ in range(300)]
    with proxy.connect() as sock:
        assert ask(sock) == ANSWER
    for one in socks:
        one.close()


def test_ipv6_loopback_is_loopback() -> None:
    """And a name that is not an address is not trusted to be."""
    assert build({"listen": "[::1]:0"}).exposed() == []
    assert build({"listen": "example.com:80"}).exposed() == ["example.com"]


def test_what_was_swallowed_is_counted(proxy: Proxy, controller: Controller) -> None:
    """A SYN that the kernel dropped is a match: none without a client, one for each that tried, and in the journal."""
    with controller.put("blackhole", match={"host": "api.test"}) as fault:
        proxy.settle()
        assert fault.matched() == 0
        for _ in range(3):
            with pytest.raises(TimeoutError):
                proxy.connect(timeout=0.05)
        assert (fault.matched(), fault.acted()) == (3, 3)
    (line,) = proxy.lines("fault ends")
    assert line["matched"] == 3
