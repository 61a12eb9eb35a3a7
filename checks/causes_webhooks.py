"""What can be wrong with the webhooks of a provider: the same ways to fail for each."""

from __future__ import annotations

from dialtone.runbook import Cause, When


def _webhooks() -> list[Cause]:
    """The same ways to fail for each provider that delivers to us."""
    found = []
    for name, said, secret in (
        ("stripe", "Stripe", "STRIPE_WEBHOOK_SECRET"),
        ("retell", "Retell", "RETELL_API_KEY"),
        ("telnyx", "Telnyx", "TELNYX_PUBLIC_KEY"),
    ):
        case = f"[{name}*]"
        own = {"contact": name}
        found += [
            Cause(
                f"{name}.webhook-redirected",
                f"{said}'s events meet a redirect, which it does not follow",
                f"correct the address of the endpoint at {said} (host, trailing slash), then deliver again",
                seen=[When(f"webhook_accepts_genuine{case}", "redirect")],
                **own,
            ),
            Cause(
                f"{name}.webhook-behind-login",
                f"{said}'s events meet a log-in page",
                "take the webhook route out of the log-in middleware and of deployment protection",
                seen=[When(f"webhook_accepts_genuine{case}", r"answered 40[13] with a page")],
                **own,
            ),
            Cause(
                f"{name}.signature-refused",
                f"The application refuses {said}'s genuine signatures",
                f"compare {secret} with the one {said} shows (a trailing blank, another environment), then redeploy",
                seen=[When(f"webhook_accepts_genuine{case}", r"answered 40[13]:")],
                explains=[f"{name}.*"],
                **own,
            ),
            Cause(
                f"{name}.payload-misread",
                f"The application cannot read {said}'s events: it looks for another form of body",
                f"compare the parser with the envelope that {said} sends; did the API version change?",
                seen=[When(f"webhook_accepts_genuine{case}", r"answered 4(?:00|22)")],
                **own,
            ),
            Cause(
                f"{name}.webhook-fails",
                f"The application fails on {said}'s events",
                "read the stack in Sentry by the trace id of the check; deliver the events again when it is mended",
                seen=[When(f"webhook_accepts_genuine{case}", r"answered 5\d\d|could not be delivered")],
                **own,
            ),
            Cause(
                f"{name}.webhook-slow",
                f"The application answers {said} too late: it does its work before it answers",
                f"answer first and work afterwards; {said} delivers again what is answered late",
                seen=[When(f"webhook_answers_in_time{case}")],
                **own,
            ),
            Cause(
                f"{name}.signature-unchecked",
                f"Events that {said} never signed are accepted: signatures are not verified",
                f"treat it as a security breach: is {secret} set? close the route until it is",
                seen=[When(f"webhook_refuses_forged{case}")],
                explains=[f"{name}.unsigned-accepted", f"{name}.replay-accepted", f"{name}.bytes-unchecked"],
                **own,
            ),
            Cause(
                f"{name}.unsigned-accepted",
                f"Events without {said}'s signature header are accepted",
                "refuse requests without the header before anything else is done",
                seen=[When(f"webhook_refuses_unsigned{case}")],
                **own,
            ),
            Cause(
                f"{name}.replay-accepted",
                f"Old events of {said} are accepted again: the age of signatures is not looked at",
                "verify with the SDK's tolerance of five minutes",
                seen=[When(f"webhook_refuses_stale{case}")],
                **own,
            ),
            Cause(
                f"{name}.bytes-unchecked",
                f"{said}'s signatures are verified over re-serialised JSON instead of the bytes that arrived",
                "verify over the raw body",
                seen=[When(f"webhook_refuses_reserialised{case}")],
                **own,
            ),
            Cause(
                f"{name}.broken-accepted",
                f"Events of {said} that arrived in part are answered as if they were whole, and are lost",
                "verify before anything else, and answer 400 to what does not parse",
                seen=[When(f"webhook_refuses_truncated{case}")],
                **own,
            ),
            Cause(
                f"{name}.accepted-without-effect",
                f"{said}'s events are answered 200 and nothing happens: the handler fails after the event was claimed",
                f"find the events without effect in the event table, remove their rows, deliver them again from {said}",
                seen=[When(f"webhook_acceptance_has_its_effect{case}")],
                **own,
            ),
            Cause(
                f"{name}.redelivery-doubles",
                f"An event that {said} delivers twice is done twice",
                "claim the event's id before working on it; look for doubled rows",
                seen=[When(f"webhook_redelivery_has_no_second_effect{case}")],
                **own,
            ),
            Cause(
                f"{name}.unknown-event-fails",
                f"An event of {said} of an unknown type ends in an error: it is delivered again and again",
                "answer 200 to types that nobody handles",
                seen=[When(f"webhook_ignores_unknown_events{case}")],
                **own,
            ),
        ]
    return found


CAUSES = [*_webhooks()]
