"""Slack: one incoming webhook."""

from __future__ import annotations

import json

import pytest


def test_a_message_is_taken(world):
    """200 and the plain text ok; the journal has the message and not the address."""
    answer = world.send("slack", "POST", world.secrets["slack_path"], body={"text": "site down"})
    assert (answer.status, answer.text) == (200, "ok")
    assert answer.answer.content_type.startswith("text/plain")
    (entry,) = world.entries(provider="slack", contains="site down")
    assert (entry["path"], entry["body"]) == ("/services/T0000/B0000/…", {"text": "site down"})
    assert entry["accepted"]


def test_the_older_form(world):
    """A form field `payload` with JSON in it is understood."""
    form = {"payload": json.dumps({"text": "old"})}
    assert world.send("slack", "POST", world.secrets["slack_path"], form=form).text == "ok"
    assert world.entries()[-1]["body"] == {"text": "old"}


@pytest.mark.parametrize(
    ("raw", "status", "word"),
    [
        (b"not json", 400, "invalid_payload"),
        (b"[]", 400, "invalid_payload"),
        (b'{"text": ""}', 400, "no_text"),
        (b"{}", 400, "no_text"),
        (json.dumps({"attachments": [{}] * 101}).encode(), 400, "too_many_attachments"),
        (json.dumps({"blocks": [{}] * 51}).encode(), 400, "invalid_blocks"),
    ],
)
def test_words(world, raw, status, word):
    """What is wrong with a message is one word."""
    answer = world.send("slack", "POST", world.secrets["slack_path"], raw=raw)
    assert (answer.status, answer.text) == (status, word)


def test_another_address_is_no_service(world):
    """404 no_service for a wrong secret; 405 for another method."""
    answer = world.send("slack", "POST", "/services/T0000/B0000/wrong", body={"text": "x"})
    assert (answer.status, answer.text) == (404, "no_service")
    assert world.entries()[-1]["credential"]["owner"] == "unknown"
    assert world.send("slack", "GET", world.secrets["slack_path"]).status == 405
