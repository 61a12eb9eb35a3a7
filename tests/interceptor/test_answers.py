"""Every authentic answer arrives as its row says, from where it is found by itself."""

from __future__ import annotations

import json

import pytest
from tests.interceptor.conftest import Proxy, ask

from dialtone.interceptor.answers import Answers, Row, UnknownAnswerError, providers
from dialtone.interceptor.client import Controller
from dialtone.interceptor.plan import BadPlanError, parse

PROVIDERS = "google pagerduty postgrest resend retell sentry slack stripe telnyx upstash".split()
ROWS = [(name, row) for name in providers() for row in Answers.of(name).rows.values()]


def test_every_provider_has_its_answers() -> None:
    """Ten of them, at least eight each, and at least half of each with a source of the provider's or its SDK's."""
    assert providers() == PROVIDERS
    for name in PROVIDERS:
        rows = Answers.of(name).rows.values()
        assert len(rows) >= 8
        assert sum(row.source != "unsourced" for row in rows) >= len(rows) / 2


@pytest.mark.parametrize(("provider", "row"), ROWS, ids=[f"{p}.{r.name}" for p, r in ROWS])
def test_answer(proxy: Proxy, provider: str, row: Row) -> None:
    """Status, headers and body on the wire, and a symptom and a source that say something."""
    proxy.put({"fault": "answer", "provider": provider, "row": row.name, "match": {"host": "api.test"}})
    with proxy.connect() as sock:
        answer = ask(sock, b"POST /any HTTP/1.1\r\nHost: api.test\r\nContent-Length: 2\r\n\r\n{}")
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        assert first.startswith(b"HTTP/1.1 %d" % row.status)
        for name, value in row.headers.items():
            assert f"{name}: {value}".encode() in lines
        assert f"content-type: {row.content_type}".encode() in lines
        assert body == row.body.encode()
        if row.content_type == "application/json":
            json.loads(body)
        assert ask(sock)[9:12] == b"%d" % row.status  # the connection goes on
    assert proxy.upstream.requests == []
    assert len(row.symptom) > 3
    assert len(row.source) > 3


def test_a_plan_finds_the_endpoint_of_an_answer() -> None:
    """Host, path and method come from the row; what a plan says itself stays."""
    [spec] = parse(
        {"faults": [{"fault": "answer", "provider": "google", "row": "token.invalid_grant", "match": {"share": 0.5}}]}
    )
    assert (spec.match.host, spec.match.path, spec.match.method) == ("oauth2.googleapis.com", "/token", "POST")
    assert spec.match.share == 0.5
    with pytest.raises(BadPlanError, match=r"no answer token\.nope; there are token\.invalid_grant"):
        parse({"faults": [{"fault": "answer", "provider": "google", "row": "token.nope"}]})
    with pytest.raises(BadPlanError, match="no answers of 'gogle'"):
        parse({"faults": [{"fault": "answer", "provider": "gogle", "row": "x"}]})


def test_as_a_check_writes_it(proxy: Proxy) -> None:
    """`controller.google.token.invalid_grant(share=…, seed=…)`, and a name that there is not."""
    with Controller.attached(proxy.folder) as controller:
        fault = controller.google.token.invalid_grant(share=0.5, seed=7)
        told = fault.shown()
        assert (told["seed"], told["match"]["share"], told["match"]["host"]) == (7, 0.5, "oauth2.googleapis.com")
        with pytest.raises(UnknownAnswerError, match="google has no tokens; there are any, token"):
            _ = controller.google.tokens
        with pytest.raises(UnknownAnswerError, match="has no answer token"):
            _ = controller.google.token.expired
