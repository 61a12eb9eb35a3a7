"""Our own watch during an outage: the on-call hears of it once, with the cause, and hears when it is over."""

from __future__ import annotations

from dialtone import experiment, fault

CHECKS = ("checks/test_site_down.py::test_health_answers_ok",)


@experiment(
    dependency="postgres",
    runbook="site-down",
    severity="P0",
    needs=["routes.health", "journal"],
    alert_within=60,
    recover_within=25,
    catches=["postgres-no-reconnect"],
    faults={"gone": fault("refuse", host="postgres")},
)
def test_on_call_hears_of_an_outage_and_of_its_end(story, fault, callers, target, watching):
    """The database goes: one incident that names the check, mailed once; resolved when it is back."""

    def well(name):
        """From an address of its own: whoever asks all the time is limited."""
        visitor = callers(name)
        return lambda: visitor.send("GET", target.route("health")).status == 200

    story.steady("the service is well", well("before"))
    story.load("visitors", well("meanwhile"), every=0.5)
    watching(*CHECKS)

    with story.fault(fault):
        story.alert("mail", names=["drill@example.com", "health answers ok"])

    story.recovered("the service is well", well("after"))
    story.resolved("mail", names=["drill@example.com", "resolved", "health answers ok"])
