"""Webhook acceptance: what a provider really sends is accepted, answered in time, and has its effect; nothing else is.

The proof here is `signed`: events made by us with the target's test secrets. Where a target gives no secret, the
providers' own delivery records are the proof (`test_external_apis.py`, `observed`).
"""

from __future__ import annotations

import time

from dialtone import check, each, eventually, expect, fail, ok, undecided
from dialtone.assertions import refusal
from dialtone.verdict import Refused

WEBHOOKS = ["stripe", "retell", "telnyx_voice", "telnyx_sms"]
every_webhook = each("webhooks", "name", WEBHOOKS)


def _accepted(hook, answer, what="a genuine event"):
    """Judge a delivery as the provider would; only a limit on the prober is not the target's fault."""
    if answer.failure:
        fail(f"{what} could not be delivered: {answer.failure.reason}")
    if answer.status == 429 or (refusal(answer) and answer.status not in (401, 403)):
        raise Refused(f"{hook.spec.route} answered {answer.status} to the prober")
    if 300 <= answer.status < 400:
        fail(f"{what} was answered by a redirect ({answer.status}): providers do not follow it")
    if not hook.accepted(answer):
        page = " with a page" if answer.is_html else ""
        fail(f"{what} was answered {answer.status}{page}: the provider sees a failed delivery")


def _refused(hook, answer, what):
    """Judge an answer to something that must not be let in."""
    if answer.failure:
        fail(f"{what} broke the connection: {answer.failure.reason}")
    if answer.status == 429:
        raise Refused(f"{hook.spec.route} answered 429 to the prober")
    if answer.status in hook.spec.refuses:
        ok(f"{what} was refused ({answer.status})")
    elif hook.accepted(answer):
        fail(f"{what} was accepted ({answer.status})")
    elif 300 <= answer.status < 500:
        remedy = f"if that is how it refuses, add {answer.status} to webhooks.{hook.name}.refuses"
        undecided(f"{what} was answered {answer.status}: neither accepted nor refused by its signature; {remedy}")
    else:
        fail(f"{what} was answered {answer.status} and not refused: the provider would deliver it again and again")


def _needs_acceptance(hook):
    """A refusal proves nothing while everything is refused: the same event, genuine, has to be let in first."""
    event = hook.event("harmless")
    answer = hook.send(event)
    if not hook.accepted(answer):
        undecided(f"even a genuine event is not accepted ({answer.status}); see webhook_accepts_genuine")


def _needs_refusal(hook):
    """What a signature covers says nothing while any will do: one of another key, whole and new, has to be refused."""
    event = hook.event("harmless")
    if hook.accepted(hook.send(event, hook.sign(event, key=hook.forged_key()))):
        undecided("whatever is signed by anybody is accepted; see webhook_refuses_forged")


@check(
    severity="P0",
    runbook="webhooks",
    effect="writes",
    needs=["webhooks.{name}.genuine"],
    proof="signed",
    requests=2,
    catches={
        "stripe": ["webhook-redirects"],
        "retell": ["retell-plain-hmac", "webhook-behind-auth"],
        "telnyx_voice": ["telnyx-wrong-algorithm"],
        "telnyx_sms": ["telnyx-wrong-algorithm", "sms-flat-body"],
    },
    gate=True,
)
@every_webhook
def test_webhook_accepts_genuine(name, hook):
    """A genuine signed event in the provider's real envelope is accepted, without a redirect."""
    subject = hook(name)
    event = subject.event("genuine")
    _accepted(subject, subject.send(event))
    ok("a genuine event is accepted")


@check(
    severity="P1",
    runbook="webhooks",
    effect="writes",
    needs=["webhooks.{name}.genuine"],
    proof="signed",
    requests=3,
    catches={"telnyx_sms": ["webhook-slow"]},
)
@every_webhook
def test_webhook_answers_in_time(name, hook):
    """The answer comes before the provider gives up and delivers again; a second event confirms that it was not us."""
    subject = hook(name)
    limit = subject.spec.answer_within
    times = []
    for _ in range(2):
        answer = subject.send(subject.event("genuine"))
        if not subject.accepted(answer) and not answer.failure:
            undecided(f"the event is not accepted ({answer.status}); see webhook_accepts_genuine")
        times.append(answer.phases.total or limit * 2)
        if times[-1] <= limit:
            ok(f"answered in {times[-1] * 1000:,.0f} ms of {limit:g} s", value=times[-1] * 1000, unit="ms")
            return
    fail(f"answered in {min(times):.1f} s; the provider gives up after {limit:g} s", value=min(times), unit="s")


@check(
    severity="P0",
    runbook="webhooks",
    effect="provokes",
    needs=["webhooks.{name}.harmless"],
    proof="signed",
    requests=2,
    catches={"telnyx_voice": ["telnyx-no-key-accepts"], "telnyx_sms": ["telnyx-no-key-accepts"]},
    gate=True,
)
@every_webhook
def test_webhook_refuses_forged(name, hook):
    """An event signed by somebody else's key is refused."""
    subject = hook(name)
    event = subject.event("harmless")
    answer = subject.send(event, subject.sign(event, key=subject.forged_key()))
    if not subject.accepted(answer):
        _needs_acceptance(subject)
    _refused(subject, answer, "an event with a forged signature")


@check(
    severity="P0",
    runbook="webhooks",
    effect="provokes",
    needs=["webhooks.{name}.harmless"],
    proof="signed",
    requests=3,
    catches={"retell": ["retell-unsigned-accepted"]},
    gate=True,
)
@every_webhook
def test_webhook_refuses_unsigned(name, hook):
    """An event without a signature is refused."""
    subject = hook(name)
    answer = subject.send(subject.event("harmless"), headers={})
    if not subject.accepted(answer):
        _needs_acceptance(subject)
    if answer.status not in subject.spec.refuses:
        _needs_refusal(subject)
    _refused(subject, answer, "an event without a signature")


@check(
    severity="P1",
    runbook="webhooks",
    effect="provokes",
    needs=["webhooks.{name}.harmless"],
    proof="signed",
    requests=3,
    catches={"stripe": ["stripe-stale-accepted"]},
    gate=True,
)
@every_webhook
def test_webhook_refuses_stale(name, hook):
    """An event that somebody recorded and sends again much later is refused: its signature is too old."""
    subject = hook(name)
    event = subject.event("harmless")
    answer = subject.send(event, subject.sign(event, age=subject.stale_after() * 2 + 60))
    if not subject.accepted(answer):
        _needs_acceptance(subject)
    if answer.status not in subject.spec.refuses:
        _needs_refusal(subject)
    _refused(subject, answer, "an event with an old signature")


@check(
    severity="P1",
    runbook="webhooks",
    effect="provokes",
    needs=["webhooks.{name}.harmless"],
    proof="signed",
    requests=3,
    catches={"retell": ["retell-reserialised-accepted"]},
    gate=True,
)
@every_webhook
def test_webhook_refuses_reserialised(name, hook):
    """The signature is verified over the bytes that arrived, not over a body that was parsed and written anew."""
    subject = hook(name)
    event = subject.event("harmless")
    answer = subject.send(event, subject.sign(event), body=subject.rewritten(event))
    if not subject.accepted(answer):
        _needs_acceptance(subject)
    if answer.status not in subject.spec.refuses:
        _needs_refusal(subject)
    _refused(subject, answer, "an event whose bytes were changed after signing")


@check(
    severity="P1",
    runbook="webhooks",
    effect="provokes",
    needs=["webhooks.{name}.harmless"],
    proof="signed",
    requests=3,
    catches={"stripe": ["stripe-truncated-accepted"]},
    gate=True,
)
@every_webhook
def test_webhook_refuses_truncated(name, hook):
    """An event of which only a part arrived is refused."""
    subject = hook(name)
    event = subject.event("harmless")
    answer = subject.send(event, subject.sign(event), body=subject.truncated(event))
    if not subject.accepted(answer):
        _needs_acceptance(subject)
    if answer.status not in subject.spec.refuses:
        _needs_refusal(subject)
    _refused(subject, answer, "half of an event")


@check(
    severity="P0",
    runbook="webhooks",
    effect="writes",
    needs=["webhooks.{name}.genuine", "webhooks.{name}.effects"],
    proof="signed",
    requests=1,
    catches={"stripe": ["stripe-claims-first"]},
)
@every_webhook
def test_webhook_acceptance_has_its_effect(name, hook, target):
    """Accepted means that it happened: the row is there, the call was made, within the settle time."""
    subject = hook(name)
    event = subject.event("genuine")
    answer = subject.send(event)
    if not subject.accepted(answer):
        undecided(f"the event is not accepted ({answer.status}); see webhook_accepts_genuine")
    seen = subject.await_effects(event)
    missing = [what for what, count in seen.items() if count == 0]
    if missing:
        fail(f"answered {answer.status}, but {target.profile.settle:g} s later this is missing: {', '.join(missing)}")
    ok(f"accepted, and {' and '.join(seen)}")


@check(
    severity="P1",
    runbook="webhooks",
    effect="writes",
    needs=["webhooks.{name}.genuine", "webhooks.{name}.effects"],
    proof="signed",
    requests=2,
    catches={"telnyx_sms": ["sms-redelivery-doubles"]},
)
@every_webhook
def test_webhook_redelivery_has_no_second_effect(name, hook, target):
    """A provider delivers more than once: the same event again is accepted, signed anew, and does nothing."""
    subject = hook(name)
    event = subject.event("genuine")
    first = subject.send(event)
    if not subject.accepted(first):
        undecided(f"the event is not accepted ({first.status}); see webhook_accepts_genuine")
    began = time.monotonic()
    before = subject.await_effects(event)
    took = time.monotonic() - began
    if not all(before.values()):
        undecided("the event had no effect in the first place; see webhook_acceptance_has_its_effect")
    again = subject.send(event)
    if not subject.accepted(again):
        fail(f"the second delivery of an event was answered {again.status}: the provider goes on delivering it")
    after = eventually(
        lambda: subject.effects(event),
        lambda seen: any(n > before[what] for what, n in seen.items()),
        within=max(target.profile.quiet, 2 * took),  # a second effect takes its time as the first one did
    )
    doubled = [f"{what} ({n} times)" for what, n in after.items() if n > before[what]]
    if doubled:
        fail(f"the second delivery of an event had a second effect: {', '.join(doubled)}")
    ok("the second delivery of an event has no second effect")


@check(
    severity="P2",
    runbook="webhooks",
    effect="writes",
    needs=["webhooks.{name}.harmless"],
    proof="signed",
    requests=3,
    catches={"telnyx_voice": ["unknown-event-500"]},
    gate=True,
)
@every_webhook
def test_webhook_ignores_unknown_events(name, hook):
    """A genuine event of a type that nobody knows is accepted and ignored: providers add types without asking."""
    subject = hook(name)
    answer = subject.send(subject.event("harmless"))
    if 300 <= answer.status < 500 and answer.status != 429:
        known = subject.send(subject.event("genuine")) if subject.spec.genuine else answer
        if not subject.accepted(known):
            undecided(f"genuine events are not accepted either ({known.status}); see webhook_accepts_genuine")
    _accepted(subject, answer, "a genuine event of an unknown type")
    ok("an event of an unknown type is accepted and ignored")


@check(
    severity="P2",
    runbook="webhooks",
    catches=["ping-gone"],
    needs=["requests.ping", "routes.retell"],
    requests=1,
    gate=True,
)
def test_ping_is_answered(target, http):
    """The provider's unsigned ping is answered."""
    answer = http.post(
        target.route("retell"),
        content=target.request("ping").encode(),
        headers={"content-type": "application/json"},
    )
    if answer.status == 401:
        fail("the provider's ping was answered 401")
    expect(answer).status(200, 204)
