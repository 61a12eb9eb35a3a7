"""Slack is away while something else is: the mailbox hears of it, and if that is away too, it is told later."""

from __future__ import annotations

from dialtone import experiment, fault

HOST = "hooks.slack.com"
NEEDS = ["webhooks.retell", "tenant", "journal", "requests.book", "routes.jobs", "cron"]
STRIPE = fault("stripe.any.unavailable")
CLAIMS = ["alert-no-second-channel", "alert-floods", "alert-missing-stripe"]
PATIENCE = 2.0  # seconds: an alert must not make a caller wait


@experiment(
    dependency="slack",
    runbook="alert-channels",
    severity="P1",
    needs=NEEDS,
    smoke=True,
    faults={
        "gone": fault("refuse", host=HOST),
        "silent": fault("hang", host=HOST),
        "revoked": fault("slack.webhook.no_service"),
        "unavailable": fault("slack.webhook.unavailable"),
        "limited": fault("slack.webhook.rate_limited"),
    },
    catches={
        **dict.fromkeys(("gone", "revoked", "unavailable", "limited"), CLAIMS),
        "silent": [*CLAIMS, "alert-in-the-way"],
    },
)
def test_mail_carries_what_slack_does_not(story, fault, tenants, report, journal, book, served):
    """Stripe and Slack fail: the mailbox hears of the fee, Sentry of Slack, and no caller waits for an alert."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    story.steady("people hear of an error", lambda: _heard(journal, report, "slack"))
    with story.fault(fault, STRIPE):
        callers = story.load("callers", lambda: book(tenant), most=2)
        story.fallback("callers get their appointments", lambda: len(callers.samples) == 2, within=10)
        story.fallback("without waiting for an alert", all(s.good and s.seconds < PATIENCE for s in callers.samples))
        report()
        story.alert("mail", names=["stripe"], about=tenant["id"])
        story.alert("sentry", names=["slack"])
    story.recovered("a booking works", lambda: book(tenant).success)


@experiment(
    dependency="slack",
    runbook="alert-channels",
    severity="P1",
    needs=NEEDS,
    recover_within=15,
    faults={"gone": fault("refuse", host=HOST), "revoked": fault("slack.webhook.no_service")},
    catches=["alert-dropped", "alert-missing-stripe"],
)
def test_what_no_channel_takes_is_told_later(story, fault, tenants, book, cron, report, journal, served):
    """Stripe, Slack and the mailbox fail at once: people hear of the fee as soon as one of them can be reached."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    story.steady("people hear of an error", lambda: _heard(journal, report, "slack", "mail"))
    with story.fault(fault, STRIPE, MAILBOX):
        story.fallback("the caller gets the appointment", book(tenant).success)
        report()
        story.alert("sentry", names=["stripe"], about=tenant["id"])
        story.fallback("neither channel was reached", not _told(journal, tenant))
    story.recovered("people hear of the fee", lambda: cron("jobs") and _told(journal, tenant))


MAILBOX = fault("refuse", host="smtp")


def _heard(journal, report, *channels):
    """Two errors after each other, which meet two processes, are told on all of these channels."""
    marks = [report(), report()]
    return all(journal.wait(provider=channel, contains=mark, within=1) for mark in marks for channel in channels)


def _told(journal, tenant):
    return journal.requests(provider="slack", contains=tenant["id"]) + journal.requests(
        provider="mail", contains=tenant["id"]
    )
