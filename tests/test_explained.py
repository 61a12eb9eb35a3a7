"""A red check that asked a provider says what that provider's own status page tells; nothing else changes by it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Suite

ASKS = """
@check(runbook="external-apis", severity="P1")
def test_stripe(ask):
    expect(ask("stripe")).status(200)
"""
JSON = {"content-type": "application/json"}


def page(suite: Suite, tree: object, probe: int) -> None:
    """A provider whose probe answers this, and whose status page says that."""
    suite.server.pages["/summary.json"] = (200, JSON, json.dumps(tree).encode())
    url = suite.server.url
    table = f'[target.preview.providers.stripe]\nbase_url = "{url}"\nprobe = "/status/{probe}"\nauth = "none"\n'
    suite.profile(more=f'{table}status_page = "{url}/summary.json"\n')


def summary(indicator: str) -> dict[str, object]:
    """A Statuspage summary with one incident, or none."""
    open_ = [{"impact": indicator, "status": "identified", "started_at": "2026-11-02T09:12:00Z"}]
    head = {"page": {"name": "Stripe"}, "status": {"indicator": indicator}}
    return head | {"incidents": open_ if indicator != "none" else []}


def test_a_red_check_is_explained(suite: Suite) -> None:
    """The reason goes on with the incident, in the document and in the summary."""
    page(suite, summary("major"), 503)
    suite.checks(ASKS)
    result = suite.run()
    assert suite.check("stripe")["reason"].endswith(
        "answered 503, not 200; Stripe reports an incident since 02 Nov 09:12 UTC"
    )
    assert suite.verdicts == {"stripe": "breach"}
    assert "Stripe reports an incident" in result.stdout.str()


@pytest.mark.parametrize(("tree", "probe"), [(summary("none"), 503), ({"odd": 1}, 503), (summary("major"), 200)])
def test_nothing_else_is_said(suite: Suite, tree: object, probe: int) -> None:
    """No incident, a page that nobody understands, a check that is green: not a word, and for green no request."""
    page(suite, tree, probe)
    suite.checks(ASKS)
    suite.run()
    assert "reports" not in suite.check("stripe")["reason"]
    assert ("/summary.json" in suite.server.asked) == (probe != 200)
    assert suite.verdicts == {"stripe": "ok" if probe == 200 else "breach"}
