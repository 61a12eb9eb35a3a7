"""What leaves: every question answered, nothing that may not leave, within every limit."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dialtone.incidents.channels.blocks import blocks, escape, summary
from dialtone.incidents.channels.letter import html, plain, subject
from dialtone.incidents.channels.pagerduty import SUMMARY, _payload
from dialtone.incidents.message import Line, Message, clean
from dialtone.incidents.section import Runbook, sections
from dialtone.redact import secrets
from dialtone.standins.slack_api import _wrong

from .conftest import NOON
from .test_channels import MESSAGE

HOSTILE = "<!channel> & <https://evil.example|click> \u202eesrever\u202c \U0001f4a5 مرحبا *b* `c` <b>x</b>\x00\n\nnext"


def hostile(text: str) -> Message:
    """The text wherever one can stand."""
    lines = tuple(Line(f"check{n}", "P1", "breach", text) for n in range(40))
    texts = dict.fromkeys(("note", "measured", "likely", "broken", "first_step", "via"), text)
    return replace(MESSAGE, lines=lines, digest=(), **texts).cleaned()


@pytest.mark.parametrize(
    "text", [HOSTILE, "x" * 1_000_000, "&" * 5_000, "\U0001f4a5" * 5_000], ids=["markup", "1 MB", "entities", "emoji"]
)
def test_within_the_limits_of_every_channel(text):
    """Slack's stand-in refuses what Slack refuses; PagerDuty's summary; one line of subject."""
    message = hostile(text)
    told = {"text": summary(message), "blocks": blocks(message)}
    assert _wrong(json.loads(json.dumps(told))) is None
    assert len(_payload(message)["summary"]) <= SUMMARY
    assert "\n" not in subject(message)
    assert len(plain(message)) < 20_000


def test_markup_of_others_does_nothing():
    """No mention, no link, no element, nothing that turns the line around."""
    message = hostile(HOSTILE)
    for text in (json.dumps(blocks(message), ensure_ascii=False), html(message)):
        assert "<!channel>" not in text
        assert "<https://evil.example" not in text
        assert "<b>x</b>" not in text
        assert "\u202e" not in text
    assert escape("<&>") == "&lt;&amp;&gt;"


def test_no_secret_no_number_no_address():
    """What is masked is masked before it is stored."""
    secrets.add("hunter2-very-secret")
    said = clean("key hunter2-very-secret of ann@customer.example at +1 (415) 555-0100, sk_live_0123456789abcdef")
    assert said == "key ‹secret› of …@… at +…, ‹secret›"


def test_every_question_is_answered():
    """At three in the morning."""
    assert [name for name, _ in MESSAGE.facts()] == ["Broken", "Since", "How bad", "Do first", "Told"]
    message = replace(MESSAGE, measured="1,306 ms from 23 samples", likely="the deployment", note="P2 -> P0", test=True)
    assert [name for name, _ in message.facts()] == [
        "Test", "Broken", "Since", "How bad", "Measured", "Likely cause", "Do first", "News", "Told",
    ]  # fmt: skip


def test_what_is_over_is_told_as_past():
    """And a check's name, which says what should be true, is not read as what is wrong."""
    over = replace(MESSAGE, told="resolved", state="resolved")
    assert "(failing)" in MESSAGE.headline
    assert "(failing)" not in over.headline
    assert [name for name, _ in over.facts()] == ["Was broken", "Since", "How bad it was", "Told"]


def test_a_digest_is_about_many():
    """It names no incident as if it were its own, and asks for none of them by its time."""
    message = replace(MESSAGE, digest=("P2 OPENED a", "P3 RESOLVED b"), lines=())
    assert [name for name, _ in message.facts()] == ["Told"]
    for text in (json.dumps(blocks(message)), html(message), plain(message)):
        assert MESSAGE.incident not in text
        assert "P3 RESOLVED b" in text


def test_forms(snapshot):
    """The text of a mail, its HTML, and the blocks."""
    assert plain(MESSAGE) == snapshot
    assert html(replace(MESSAGE, told="resolved", state="resolved")) == snapshot
    assert json.dumps(blocks(MESSAGE), indent=1) == snapshot


def test_it_survives_the_store():
    """As JSON and back it is the same."""
    message = replace(MESSAGE, digest=("a",), at=NOON + 0.5)
    assert Message.of(json.loads(json.dumps(message.as_json()))) == message


def test_the_runbook_is_read():
    """Title, who is hit, and the first step, without its markup."""
    head = '<a id="site-down"></a>\n## Site down (P0)\n\nPages **answer** 5xx.\n\n'
    text = f"{head}1. Look at the [deployment](x):\n   did it?\n2. Then.\n"
    found = sections(text)["site-down"]
    told = [found.title, found.about, found.first_step]
    assert told == ["Site down (P0)", "Pages answer 5xx.", "Look at the deployment: did it?"]
    assert Runbook("https://example.com/runbook").section("x").link == "https://example.com/runbook#x"
