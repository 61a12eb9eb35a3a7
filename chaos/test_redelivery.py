"""A provider delivers again because our answer was lost: each delivery is taken, and a forged one among them is not.

No fault is put for it: the disturbance is ours, so that it runs on a hosted deployment too.
"""

from __future__ import annotations

from dialtone import each, experiment


@each("webhooks", "name", ["stripe", "retell", "telnyx_voice", "telnyx_sms"])
@experiment(
    dependency="webhooks",
    runbook="webhooks",
    severity="P1",
    effect="provokes",
    requests=10,
    needs=["webhooks.{name}.harmless"],
    catches=dict.fromkeys(["stripe", "retell", "telnyx_voice", "telnyx_sms"], ("redelivery-refused",)),
)
def test_a_delivery_that_comes_again_is_taken(story, name, hook):
    """The same signed event six times, and once with a signature of somebody else's."""
    subject = hook(name)
    story.steady("an event is taken", lambda: subject.accepted(subject.send(subject.event("harmless"))))
    event = subject.event("harmless")
    with story.disturbed("the same event again and again", kind="duplicate", host=f"{name} webhook"):
        answers = [subject.send(event) for _ in range(6)]
        story.fallback("each delivery is taken", all(subject.accepted(answer) for answer in answers))
        forged = subject.send(event, subject.sign(event, key=subject.forged_key()))
        story.fallback("a forged one is refused", forged.status in subject.spec.refuses)
    story.recovered("an event is taken", lambda: subject.accepted(subject.send(subject.event("harmless"))))
