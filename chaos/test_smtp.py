"""The mailbox is away: Slack hears of it all the same."""

from __future__ import annotations

from dialtone import experiment, fault

HOST = "smtp"


@experiment(
    dependency="smtp",
    runbook="alert-channels",
    severity="P2",
    needs=["routes.client_error", "requests.client_error", "journal"],
    smoke=True,
    faults={
        "gone": fault("refuse", host=HOST),
        "silent": fault("blackhole", host=HOST),
        "broken": fault("reset", host=HOST),
        "frozen": fault("freeze", host=HOST),
    },
    catches=["alert-mail-stops-the-rest"],
)
def test_slack_hears_without_the_mailbox(story, fault, report, journal):
    """A critical error while the mail server fails: Slack and Sentry hear of it, soon."""
    story.steady("the mailbox hears of an error", lambda: journal.wait(provider="mail", contains=report()))
    with story.fault(fault):
        mark = report()
        story.alert("slack", about=mark, within=5)
        story.alert("sentry", about=mark)
    story.recovered("the mailbox hears of an error", lambda: journal.wait(provider="mail", contains=report(), within=2))
