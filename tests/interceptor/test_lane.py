"""The short way decides what the long way decides, from the same bytes, or leaves them to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialtone.interceptor import inbound, lane
from dialtone.interceptor.core import Core
from dialtone.interceptor.exchange import Exchange
from dialtone.interceptor.inbound import Inbound
from dialtone.interceptor.outbound import Outbound
from dialtone.interceptor.plan import parse
from dialtone.interceptor.settings import build
from dialtone.interceptor.tls import Authority

GET = b"GET /v1/x?a=b HTTP/1.1\r\nHost: api.test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Wire:
    """A transport that keeps what was written and how it ended."""

    def __init__(self) -> None:
        self.sent = b""
        self.end = ""

    def write(self, data: bytes) -> None:
        """As a transport."""
        self.sent += data

    def is_closing(self) -> bool:
        """As a transport."""
        return self.end in ("close", "abort")

    def get_extra_info(self, _: str) -> None:
        """Nothing."""

    def __getattr__(self, name: str) -> Any:
        def ended() -> None:
            if name in ("close", "abort", "write_eof"):
                self.end = name

        return ended


@pytest.fixture(scope="module")
def core(authority: Authority) -> Iterator[Core]:
    """What connections share; its loop does not run."""
    settings = build({"hosts": {"api.test": {"upstream": "http://127.0.0.1:1", "listen": "127.0.0.1:2"}}})

    async def made() -> Core:
        return Core(settings, authority)

    with asyncio.Runner() as runner:
        core = runner.run(made())
        yield core
        core.close()


def once(core: Core, short: bool, request: bytes, answer: bytes) -> tuple[Any, ...]:
    """One exchange over a kept connection: both sides' bytes, their ends, and the journal."""
    client, server = Wire(), Wire()
    here = Inbound(core, "api.test")
    here.connection_made(client)
    outbound = Outbound(here, core.hosts["api.test"].upstream)
    outbound.connection_made(server)
    here.outbound, here.lane = outbound, outbound if short else None
    core.arrived["api.test"] = 1
    before = core.journal.count
    here.data_received(request)
    outbound.data_received(answer)
    lines = [json.loads(line) for line in core.journal.since(before)]
    unlike = ("n", "t", "connection", "ms")
    told = [{k: v for k, v in line.items() if k not in unlike} for line in lines]
    here.connection_lost(None)
    core.arrived["api.test"] -= 1
    return server.sent, server.end, client.sent, client.end, told, core.arrived["api.test"]


NAMES = ["Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Expect", "X-A", "content-length "]
VALUES = [b"api.test", b"0", b"2", b"02", b"+2", b"chunked", b"keep-alive", b"close", b"Upgrade", b"\xe9"]
FIELD = st.tuples(st.sampled_from(NAMES), st.sampled_from([b": ", b":", b":\t", b" : "]), st.sampled_from(VALUES))
LINES = st.lists(
    FIELD.map(lambda f: f[0].encode() + f[1] + f[2] + b"\r\n")
    | st.sampled_from(
        [b" folded\r\n", b"Bare: lf\n", b"Bare: c\rr\r\n", b": none\r\n", b"No colon\r\n", b"Connection: close\r\n"]
    ),
    max_size=4,
)
BODIES = st.sampled_from([b"", b"ok", b"0\r\n\r\n", b"okk", GET, OK, b"\r\n", b"2\r\nok\r\n0\r\n\r\n"])
FIRST = st.just(b"GET / HTTP/1.1") | st.sampled_from(
    [
        b"GET / HTTP/1.1", b"POST /a?b HTTP/1.1", b"HEAD / HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET  / HTTP/1.1",
        b"GET / HTTP/1.0", b"GET / HTTP/2.0", b"get / HTTP/1.1", b"GET http://api.test/ HTTP/1.1", b"GET / http/1.1",
        b"GET /x\r\nA:b HTTP/1.1", b"GET /\x00 HTTP/1.1", b"\r\nGET / HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"GET /",
    ]
)  # fmt: skip
STATUS = st.just(b"HTTP/1.1 200 OK") | st.sampled_from(
    [
        b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.1 304 Not", b"HTTP/1.1 100 Go", b"HTTP/1.0 200 OK",
        b"HTTP/1.1 599 \xe9", b"HTTP/1.1 2000 X", b"HTTP/1.1 200", b"HTTP/1.1  200 OK", b"ICY 200 OK",
    ]
)  # fmt: skip
LIKELY = LINES.map(lambda lines: [b"Content-Length: 2\r\n", *lines])
"""Half the answers have a length that is right, so that the short way is taken often enough."""


@settings(max_examples=400, deadline=None)
@given(FIRST, st.just([]) | LINES, st.just(b"") | BODIES, STATUS, LIKELY | LINES, st.just(b"ok") | BODIES)
def test_both_ways_are_one(
    core: Core, first: bytes, lines: list[bytes], body: bytes, status: bytes, more: list[bytes], text: bytes
) -> None:
    """The same bytes on both sides, the same ends, the same journal, for heads that are valid and for those not."""
    request = first + b"\r\nHost: api.test\r\n" + b"".join(lines) + b"\r\n" + body
    answer = status + b"\r\n" + b"".join(more) + b"\r\n" + text
    assert once(core, True, request, answer) == once(core, False, request, answer)


@pytest.mark.parametrize(
    ("request_", "answer", "short"),
    [
        (GET, OK, True),
        (GET.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), OK, True),
        (b"POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", OK, True),
        (GET, OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), False),
        (GET.replace(b"GET", b"HEAD"), OK, False),
        (GET + GET, OK, False),
        (GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), OK, False),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", OK, False),
    ],
)
def test_which_way(core: Core, monkeypatch: pytest.MonkeyPatch, request_: bytes, answer: bytes, short: bool) -> None:
    """Usual requests take the short way: no exchange is made for them."""
    made: list[bool] = []

    class Told(Exchange):
        def __init__(self, *given: Any) -> None:
            made.append(True)
            super().__init__(*given)

    for module in (lane, inbound):
        monkeypatch.setattr(module, "Exchange", Told)
    once(core, True, request_, answer)
    assert bool(made) is not short


def test_a_fault_takes_the_long_way(core: Core) -> None:
    """A candidate among the faults is never passed by; one for another path is."""
    core.board.put(parse({"faults": [{"fault": "status", "status": 503, "match": {"path": "/v1/*"}}]}))
    try:
        here, client = Inbound(core, "api.test"), Wire()
        here.connection_made(client)
        outbound = Outbound(here, core.hosts["api.test"].upstream)
        outbound.connection_made(Wire())
        here.outbound = here.lane = outbound
        core.arrived["api.test"] = 1
        assert not here.short(outbound, GET)
        assert here.short(outbound, GET.replace(b"/v1/", b"/v2/"))
    finally:
        core.board.end()
        here.exchange = None
        here.connection_lost(None)


def test_an_answer_in_two_pieces_lands(core: Core) -> None:
    """A request in flight becomes an exchange when its answer is not whole, and the next flies again."""
    client, server = Wire(), Wire()
    here = Inbound(core, "api.test")
    here.connection_made(client)
    outbound = Outbound(here, core.hosts["api.test"].upstream)
    outbound.connection_made(server)
    here.outbound = here.lane = outbound
    core.arrived["api.test"] = 1
    for cut in range(1, len(OK)):
        here.data_received(GET)
        outbound.data_received(OK[:cut])
        outbound.data_received(OK[cut:])
        here.data_received(GET)
        outbound.data_received(OK)
    assert server.sent == GET * 2 * (len(OK) - 1)
    assert client.sent == OK * 2 * (len(OK) - 1)
    assert here.requests == 2 * (len(OK) - 1)
    here.connection_lost(None)


def test_who_leaves_in_flight_is_told(core: Core) -> None:
    """A client that goes away, and an upstream that does, before the answer to a request that went the short way."""
    for side in ("client", "upstream"):
        before = core.journal.count
        here = Inbound(core, "api.test")
        here.connection_made(Wire())
        outbound = Outbound(here, core.hosts["api.test"].upstream)
        outbound.connection_made(Wire())
        here.outbound = here.lane = outbound
        core.arrived["api.test"] = 1
        here.data_received(GET)
        assert here.flight
        (here if side == "client" else outbound).connection_lost(None)
        if side == "upstream":
            here.connection_lost(None)
        (line,) = [json.loads(line) for line in core.journal.since(before)]
        assert (line["kind"], line["by"], line["path"]) == ("exchange", "theirs", "/v1/x?a")
        assert ("went away" in line["why"]) is (side == "client")
