"""Defects that show only when something else fails: a time-out, a retry, an outbox or an alert that is not there.

Checks of a healthy service cannot find them; experiments do. Each takes one fallback away.
"""

from __future__ import annotations

RESILIENCE = {
    # time-outs, budgets, breakers
    "no-timeout-stripe": "Calls to Stripe have no time-out, and a booking waits for its fee.",
    "no-timeout-retell": "The registration of a call at Retell has no time-out.",
    "retell-impatient": "The registration of a call at Retell is given up after 0.2 s.",
    "no-timeout-telnyx": "Commands and messages to Telnyx have no time-out.",
    "no-timeout-google": "Calls to Google have no time-out, and a booking waits for its event.",
    "no-timeout-upstash": "Questions to Redis have no time-out.",
    "no-timeout-postgres": "Statements have no time-out on the side of the application.",
    "booking-waits-for-all": "A booking is answered only when calendar, fee and confirmation are through.",
    "breaker-never-opens": "A provider that keeps failing is asked for every booking all the same.",
    "breaker-never-closes": "A provider that was taken for down is never asked again.",
    # retries
    "fee-no-idempotency-key": "A charge is tried again without its idempotency key.",
    "tool-retry-charges": "A tool call that is sent again, because its answer was lost, is charged again.",
    "sms-retry-doubles": "A message that Telnyx may have taken is sent again.",
    "calendar-new-id-each-try": "An event that was not written at once is tried again under an id of its own.",
    "calendar-repeat-blind": "An event that is there already, because an answer was lost, counts as not written.",
    "command-not-repeated": "A command to a live call that failed once is not sent again.",
    "retry-storm": "What fails is tried again at once, forty times.",
    "retry-after-ignored": "A provider that asks to be left alone for a while is asked again at once.",
    "no-backoff": "The outbox tries everything again with every run, however often it has failed.",
    "declined-retried": "A declined card is charged again by every run of the cron route.",
    # outboxes
    "fee-not-queued": "A fee that could not be charged is given up.",
    "fee-outbox-not-drained": "Fees that wait are never charged later.",
    "sms-not-queued": "A message that Telnyx refused for the moment is given up.",
    "sms-outbox-not-drained": "Messages that wait are never sent later.",
    "calendar-no-outbox": "An appointment counts as written into the calendar before it is.",
    # answers that are none
    "page-taken-for-charge": "Any answer of 200 of Stripe's counts as a charge, also a page of HTML.",
    "page-taken-for-sms": "Any answer of 200 of Telnyx' counts as a message, also a page of HTML.",
    "page-taken-for-event": "Any answer of 200 of the calendar's counts as an event, also a page of HTML.",
    # calls
    "escalation-skipped": "A call that the agent does not take is not forwarded to anybody.",
    "calls-need-database": "Without the database no call is answered.",
    "ring-redelivery-answered": "A call whose event is delivered a second time is answered and bridged a second time.",
    "late-event-ignored": "An event of Stripe's that happened more than five minutes ago is answered 200 and ignored.",
    "burst-dropped": "Of more than eight texts at the same moment the rest is answered 200 and dropped.",
    "hangup-first-lost": "The end of a call is forgotten when it is told before its beginning.",
    # tokens
    "refresh-race": "Each process refreshes an expired token for itself, also two of them at once.",
    # database and webhooks
    "postgres-no-reconnect": "A process whose database connection broke waits for long before it connects again.",
    "database-tried-once": "A tool call that meets a broken connection fails at once.",
    "database-away-says-yes": "A booking that could not be stored is answered with success.",
    "webhook-swallows-errors": "A webhook that could not be stored is answered 200.",
    "claim-before-processing": "A webhook event counts as done in Redis before Postgres has stored it.",
    "slot-checked-then-inserted": "A slot is looked up and found free, and written a moment later, without a lock.",
    "redelivery-refused": "An event of a kind that nobody handles is answered 409 when it comes again.",
    "stripe-order-ignored": "An older event of Stripe's that arrives late overwrites a newer one.",
    "consent-order-ignored": "An older STOP or START that arrives late overwrites a newer one.",
    # limits
    "ratelimit-fails-closed": "While Redis is away every request counts as one too many.",
    "ratelimit-fails-open": "While Redis is away nothing is limited.",
    # changes
    "rotation-without-overlap": "Events that are signed with the secret from before a rotation are refused at once.",
    # alerts
    "alert-missing-stripe": "Nobody is told of a fee that could not be charged.",
    "alert-missing-google": "Nobody is told that the calendar cannot be written.",
    "alert-missing-reconnect": "Nobody but the owner is told of a calendar that has to be connected again.",
    "alert-missing-retell": "Nobody is told that the agent takes no calls.",
    "alert-missing-telnyx": "Nobody is told that calls cannot be answered.",
    "alert-missing-sms": "Nobody is told of a confirmation that could not be sent.",
    "alert-missing-redis": "Nobody is told that limits are not shared between instances any more.",
    "alert-missing-postgres": "Nobody is told that the database does not answer.",
    "alert-floods": "The same trouble is told to Slack every time that it happens.",
    "alert-never-resolved": "Nobody is told that a provider answers again.",
    "alert-no-second-channel": "What Slack does not take is not sent by mail.",
    "alert-mail-stops-the-rest": "An alert for everybody goes to Slack only after the mailbox has taken it.",
    "sentry-needed": "An error that Sentry does not take is raised again where it was reported.",
    "alert-dropped": "What no channel takes is forgotten instead of told later.",
    "alert-in-the-way": "A booking is answered only when Slack has been told of its troubles.",
}
