"""Many probes at once: whatever a peer does has a clear reason, and no host is asked for more than the load allows."""

from __future__ import annotations

import asyncio
import builtins
import socket
import threading
from typing import Any

import pytest
from tests.authority import Authority
from tests.hostile import Hostile, closed_port, stalled
from tests.misbehaviours import BEHAVIOURS

from dialtone.http import FailureKind, Limits
from dialtone.probes import many
from dialtone.probes.many import Load, Probe, Sample, probe_many
from dialtone.verdict import Kind, Unarmed, Verdict

LIMITS = Limits(connect=1, read=1, total=2, max_body=100_000)
ALL = Load(at_once=100, per_host=100, rate=0)


def send(*probes: Probe, load: Load = ALL, **options: Any) -> list[Sample]:
    """Probe with little patience."""
    return probe_many(probes, limits=LIMITS, load=load, **options)


REASONS = {
    "/nothing": (FailureKind.RESET, "connection closed before any answer"),
    "/silence": (FailureKind.TIMEOUT, "no answer within"),
    "/half": (FailureKind.TIMEOUT, "the answer stopped after 45 bytes"),
    "/reset-before": (FailureKind.RESET, "connection reset before any answer"),
    "/reset-mid-body": (FailureKind.RESET, "connection reset after 512 of 10,000 bytes of the body"),
    "/short": (FailureKind.RESET, "connection closed after 5 of 100 bytes of the body"),
    "/drip-body": (FailureKind.NEVER_ENDS, "the answer never ended"),
    "/drip-headers": (FailureKind.NEVER_ENDS, "the answer never ended"),
    "/drip-informational": (FailureKind.NEVER_ENDS, "the answer never ended"),
    "/huge": (FailureKind.TOO_LARGE, "the body is larger than 100,000 bytes"),
    "/huge-headers": (FailureKind.TOO_LARGE, "the headers are larger than 65,536 bytes"),
    "/gzip-bomb": (FailureKind.TOO_LARGE, "the body is larger than 100,000 bytes"),
    "/gzip-empty-members": (FailureKind.TOO_LARGE, "the body is larger than 100,000 bytes"),
    "/garbage": (FailureKind.PROTOCOL, "the answer is not HTTP"),
}


def test_every_misbehaviour_has_its_reason() -> None:
    """All of them in one round, which none of them holds up: the rest are answers, judged by their status."""
    with Hostile() as server:
        samples = send(*(Probe(server.url(path)) for path in BEHAVIOURS))
    for path, sample in zip(BEHAVIOURS, samples, strict=True):
        if path in REASONS:
            assert sample.failure is not None, path
            assert sample.failure.kind is REASONS[path][0]
            assert REASONS[path][1] in sample.failure.reason
            assert sample.finding.verdict is Verdict.BREACH
        else:
            assert sample.failure is None, path
            assert sample.ok == (sample.status == 200)


def test_a_good_answer_has_phases_and_a_time() -> None:
    """Connection, first byte and total; when it began; how much came."""
    with Hostile() as server:
        (sample,) = send(Probe(server.url("/ok")), now=lambda: 1_800_000_000.0)
    assert (sample.status, sample.received, sample.at, sample.ok) == (200, 15, 1_800_000_000.0, True)
    phases = sample.phases
    assert phases.connect is not None
    assert phases.first_byte is not None
    assert phases.total is not None
    assert phases.connect + phases.first_byte <= phases.total
    assert phases.tls is phases.dns is None


def test_what_is_wanted_is_judged() -> None:
    """Status, text and time; a refusal of the prober is no verdict on the target."""
    with Hostile() as server:
        ok, challenge = server.url("/ok"), server.url("/challenge")
        samples = send(
            Probe(ok, contains=b'"ok"'),
            Probe(ok, contains=b"<title>"),
            Probe(ok, within=0.0),
            Probe(ok, status=(201, 204)),
            Probe(challenge),
            Probe(challenge, status=(403,)),
        )
    verdicts = [sample.finding.verdict for sample in samples]
    assert verdicts == ["ok", "breach", "breach", "breach", "unknown", "ok"]
    assert samples[3].finding.reason.endswith("/ok answered 200, not 201 or 204")
    assert samples[4].finding.kind is Kind.REFUSED


def test_the_request_is_what_was_asked_for() -> None:
    """Path, query, host and headers arrive; each over a connection of its own; HEAD has no body to wait for."""
    with Hostile() as server:
        probes = [Probe(server.url(f"/ok?n={n}"), headers={"x-mark": str(n)}) for n in range(5)]
        assert all(sample.ok for sample in send(*probes, Probe(server.url("/ok"), method="HEAD")))
        seen = {request.path: request for request in server.requests}
        assert {r.connection for r in server.requests} == set(range(1, 7))
        assert seen["/ok?n=3"].headers["x-mark"] == "3"
        assert seen["/ok?n=3"].headers["host"] == f"127.0.0.1:{server.port}"
        assert seen["/ok"].method == "HEAD"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("expired", "certificate expired"),
        ("other", "the certificate is not for 127.0.0.1"),
        ("untrusted", "the certificate is of an unknown authority"),
        ("plain", "the peer does not speak TLS"),
    ],
)
def test_tls_is_verified(wrong: str, reason: str) -> None:
    """Chain, host and date, as a browser does; and what is no TLS is said to be none."""
    authority = Authority()
    contexts = {"expired": authority.expired(), "other": authority.good("other.example"), "plain": None}
    with Hostile(contexts.get(wrong, Authority().good())) as server:
        (sample,) = send(Probe(server.url().replace("http:", "https:")), verify=authority.trusting())
    assert sample.failure is not None
    assert sample.failure.kind is FailureKind.TLS
    assert reason in sample.failure.reason


def test_tls_has_a_phase_and_its_misbehaviours_have_reasons() -> None:
    """A good handshake is timed; a reset within TLS is told as one, an end that is not announced is an end."""
    authority = Authority()
    paths = ("/ok", "/reset-mid-body", "/unframed", "/short")
    with Hostile(authority.good()) as server:
        good, cut, old, short = send(*(Probe(server.url(path)) for path in paths), verify=authority.trusting())
    assert good.ok
    assert good.phases.tls is not None
    assert cut.failure is not None
    assert cut.failure.reason == "connection reset after 512 of 10,000 bytes of the body"
    assert (old.ok, old.received) == (True, 12)
    assert short.failure is not None


def test_connections_that_never_are() -> None:
    """Refused, stalled at TCP, stalled at TLS, unknown names, foreign source addresses, no URLs."""
    with stalled() as silent, stalled(full=True) as full:
        samples = send(
            Probe(f"http://127.0.0.1:{closed_port()}/"),
            Probe(f"http://127.0.0.1:{full}/"),
            Probe(f"https://127.0.0.1:{silent}/"),
            Probe("http://nobody.invalid/"),
            Probe("http://127.0.0.1:9/", source="198.18.7.7"),
            Probe("ftp://127.0.0.1/"),
            Probe("http://127.0.0.1:9/a b"),
        )
    kinds = [str(sample.failure.kind) for sample in samples if sample.failure]
    assert kinds == ["refused", "connect-timeout", "tls", "dns", "no-address-family", "protocol", "protocol"]
    assert samples[4].finding.kind is Kind.REFUSED


def test_a_name_is_looked_up_once_and_all_of_its_addresses_are_tried() -> None:
    """A dead address does not hide a living one."""
    asked: list[str] = []
    with Hostile() as server, pytest.MonkeyPatch.context() as patch:

        def look_up(host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in ("127.0.0.9", "127.0.0.1")]

        patch.setattr(socket, "getaddrinfo", look_up)
        samples = send(*[Probe(server.url("/ok", "app.example"))] * 3)
    assert [sample.ok for sample in samples] == [True] * 3
    assert asked == ["app.example"]
    assert samples[0].phases.dns is not None


def test_a_host_is_not_asked_for_more_than_the_load_allows() -> None:
    """At most so many connections at once to one host, and in all, however many probes there are."""
    present, most, lock = [0], [0], threading.Lock()

    async def busy(probe: Probe, _parts: Any) -> None:
        with lock:
            present[0] += 1
            most[0] = max(most[0], present[0])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        present[0] -= 1

    for hosts, load, wanted in ((1, Load(50, 3, 0), 3), (10, Load(4, 3, 0), 4)):
        most[0] = 0
        probes = [Probe(f"http://127.0.0.{n % hosts + 1}/") for n in range(40)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(many._Round, "_one", lambda _self, probe, parts: busy(probe, parts))
            probe_many(probes, load=load)
        assert most[0] == wanted


def test_new_connections_are_paced() -> None:
    """No more than `rate` a second begin at one host: the times at which they may begin, not the time that passes."""
    waits: list[float] = []
    here, really = threading.get_ident(), asyncio.sleep

    async def sleep(seconds: float, result: Any = None) -> Any:
        if threading.get_ident() != here:  # a server of another test has its own loop
            return await really(seconds, result)
        waits.append(round(seconds, 3))
        return result

    with Hostile() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(many.asyncio, "sleep", sleep)
        samples = probe_many([Probe(server.url())] * 4, load=Load(50, 4, 10, 60), clock=lambda: 5.0)
    assert [sample.ok for sample in samples] == [True] * 4
    assert waits == [0.1, 0.2, 0.3]


def test_a_round_ends_in_time() -> None:
    """What could not be asked any more is undecided, and says so."""
    with Hostile() as server:
        samples = send(*[Probe(server.url("/silence"))] * 3, load=Load(1, 1, 0, 0.5))
    assert [sample.finding.verdict for sample in samples] == ["breach", "unknown", "unknown"]
    assert samples[2].finding.reason.endswith("not asked, the 0.5 s of the round were over")
    assert samples[2].finding.kind is Kind.UNDECIDED


def test_nobodys_loop_is_disturbed() -> None:
    """Inside of a running loop the round gets a thread of its own."""

    async def inside() -> bool:
        with Hostile() as server:
            return send(Probe(server.url()))[0].ok

    assert asyncio.run(inside())
    assert probe_many([]) == []


def test_it_works_without_uvloop_and_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard loop does as well; without httptools a check is unarmed, with the remedy."""
    absent = {"uvloop"}
    real = builtins.__import__

    def importing(name: str, *rest: Any, **more: Any) -> Any:
        if name in absent:
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", importing)
    with Hostile() as server:
        assert send(Probe(server.url()))[0].ok
    absent.add("httptools")
    with pytest.raises(Unarmed, match=r"install pytest-dialtone\[scale\]"):
        send(Probe("http://127.0.0.1/"))


def test_a_header_cannot_make_another_request() -> None:
    """A line break in a header is a mistake of the caller's."""
    with pytest.raises(ValueError, match="line break"):
        send(Probe("http://127.0.0.1:9/", headers={"x": "a\r\nb: c"}))
