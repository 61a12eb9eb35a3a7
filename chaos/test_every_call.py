"""Whatever single call of a booking fails, in whatever way: the caller is booked, and everything is made up for."""

from __future__ import annotations

import pytest

from dialtone import experiment, undecided

# Not Telnyx: a message has no idempotency key, so that nobody can know what became of one whose answer is lost;
# test_telnyx.py says what is promised then.
HOSTS = ["oauth2.googleapis.com", "www.googleapis.com", "api.stripe.com"]


@pytest.mark.parametrize("host", HOSTS)
@experiment(
    dependency="every call",
    runbook="external-apis",
    severity="P1",
    needs=["webhooks.retell", "tenant", "journal", "requests.book", "providers.google", "books.charge"],
    recover_within=25,
    catches={
        "oauth2.googleapis.com": ["calendar-no-outbox"],
        "www.googleapis.com": ["calendar-no-outbox", "page-taken-for-event"],
        "api.stripe.com": [
            *("fee-not-queued", "fee-outbox-not-drained", "fee-no-idempotency-key", "page-taken-for-charge"),
        ],
    },
)
def test_booking_survives_any_call(sweep, story, host, connected, book, reconciled):
    """Each class of fault on each call to a host in turn."""

    def booked():
        return book(connected(expired=True)).success

    calls = sweep.observe(booked, host)
    if not calls:
        undecided(f"inconclusive: a booking does not call {host}")
    sweep.inject(calls, booked, "the caller is booked")
    story.ledger(reconciled)
