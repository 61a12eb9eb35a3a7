"""What can be wrong with what customers pay for: providers, money, calls, messages, calendars."""

from __future__ import annotations

from dialtone.runbook import Cause, When

_OF_PROVIDERS = {"stripe": "Stripe", "retell": "Retell", "telnyx": "Telnyx", "google": "Google", "upstash": "Upstash"}


_PROVIDERS = [
    Cause(
        "retell.ping-refused",
        "Retell's unsigned ping is refused: Retell takes the endpoint for dead",
        "let the event ping in without a signature",
        seen=[When("ping_is_answered")],
        contact="retell",
    ),
    Cause(
        "stripe.key-refused",
        "Stripe refuses the application's key",
        "compare STRIPE_SECRET_KEY with Stripe's dashboard (revoked, rolled, trailing blank), then redeploy",
        seen=[When("providers_accept_the_applications_credentials", "stripe", also=["booking_charges_once"])],
        explains=["payments.not-charged", "stripe.old-key-used"],
        contact="stripe",
    ),
    Cause(
        "stripe.old-key-used",
        "A part of the application still calls Stripe with an old key; the right one follows, so payments go through",
        "find the second place that holds a Stripe key; remove the key from before the rotation, then redeploy",
        seen=[When("providers_accept_the_applications_credentials", "stripe", well=["booking_charges_once"])],
        contact="stripe",
    ),
    Cause(
        "payments.charged-twice",
        "A booking is charged more than once",
        "stop the job that charges; refund the second invoice; charge with one idempotency key for each booking",
        seen=[When("booking_charges_once", r"charged \d+ times")],
        contact="stripe",
    ),
    Cause(
        "payments.not-charged",
        "Bookings are not charged",
        "look at the charges of the last hour in Stripe's log of requests, and at what the application logs of them",
        seen=[When("booking_charges_once", "not charged"), When("synthetic_call", "not charged")],
        contact="stripe",
    ),
    Cause(
        "stripe.down",
        "Stripe's API does not answer as it should: not even its cheapest read",
        "look at Stripe's status page; nothing to mend here, retry open invoices when it is over",
        seen=[When("provider_answers[stripe]")],
        contact="stripe",
    ),
    *(
        Cause(
            f"{name}.down",
            f"{said}'s API does not answer as it should: not even its cheapest read",
            f"look at {said}'s status page; what depends on it has to fall back until it is over",
            seen=[When(f"provider_answers[{name}]")],
            explains=explains,
            contact=name,
        )
        for name, said, explains in (
            ("retell", "Retell", ["calls.not-bridged"]),
            ("telnyx", "Telnyx", ["sms.*", "calls.*"]),
            ("google", "Google", ["calendar.*"]),
            ("upstash", "Upstash", ["limits.*"]),
        )
    ),
    Cause(
        "stripe.endpoint-disabled",
        "Stripe has disabled our webhook endpoint: no event comes any more",
        "enable the endpoint in Stripe's dashboard, then deliver what is missing (dialtone do redeliver-events)",
        seen=[When("stripe_endpoint_is_enabled", "disabled")],
        explains=["stripe.undelivered", "payments.failing"],
        contact="stripe",
    ),
    Cause(
        "stripe.endpoint-elsewhere",
        "Stripe delivers to another address than ours",
        "correct the endpoint's address in Stripe's dashboard, then dialtone do redeliver-events",
        seen=[When("stripe_endpoint_is_enabled", "has no webhook endpoint")],
        explains=["stripe.undelivered"],
        contact="stripe",
    ),
    Cause(
        "stripe.undelivered",
        "Stripe could not deliver events for hours",
        "see what our endpoint answered in Stripe's log of deliveries, mend it, then dialtone do redeliver-events",
        seen=[When("stripe_events_are_delivered")],
        contact="stripe",
    ),
    Cause(
        "telnyx.undelivered",
        "By Telnyx' own record most webhook deliveries to us fail",
        "see what our endpoint answered in Telnyx' record of deliveries; is its address right?",
        seen=[When("telnyx_deliveries_succeed")],
        contact="telnyx",
    ),
    Cause(
        "payments.failing",
        "More payments fail than should",
        "group the failed ones by Stripe's decline code: cards that are declined, or our own requests?",
        seen=[When("payment_success_rate")],
        contact="stripe",
    ),
]


_PROVIDERS += [
    Cause(
        f"{name}.incident",
        f"{said} itself reports an incident on its status page",
        f"nothing to mend here: follow {said}'s status page, see that the fallbacks hold, tell those affected",
        seen=[When("providers_report_no_incident", f"(?i){said}")],
        explains=[f"{name}.down"],
        contact=name,
    )
    for name, said in _OF_PROVIDERS.items()
]


_MONEY = [
    Cause(
        "payments.paid-not-activated",
        "Paid invoices are recorded, and the subscription stays inactive",
        "dialtone do activate-subscription; then look at what the handler of invoice.paid does after it recorded",
        seen=[When("paid_invoice_activates_the_subscription")],
        explains=["payments.payers-inactive"],
        contact="stripe",
    ),
    Cause(
        "payments.payers-inactive",
        "Businesses that pay are not active",
        "activate them (dialtone do activate-subscription); look for the events of their invoices in the event table",
        seen=[When("nobody_who_pays_is_inactive")],
        contact="stripe",
    ),
    Cause(
        "stripe.price-unusable",
        "Stripe opens no checkout page: the price that customers pay is archived or of another mode",
        "look at STRIPE_PRICE_ID in Stripe's dashboard: is it active, and of this mode?",
        seen=[When("checkout_opens_and_expires", r"answers 4(00|04)")],
        contact="stripe",
    ),
    Cause(
        "stripe.checkout-fails",
        "Checkout pages do not open or expire as they should",
        "look at Stripe's log of requests for /v1/checkout/sessions",
        seen=[When("checkout_opens_and_expires")],
        contact="stripe",
    ),
]


_CALLS = [
    Cause(
        "calls.failing",
        "More calls fail than should",
        "group the failed ones by their reason at Telnyx and Retell",
        seen=[When("call_success_rate")],
        contact="telnyx",
    ),
    Cause(
        "calls.cut-short",
        "Callers hang up, or are cut off, within seconds of being answered",
        "listen to a call: silence, a wrong voice, or the agent ends it? Look at Retell's log of the last ones",
        seen=[When("indicator_keeps_its_objective[calls_cut_short]")],
        contact="retell",
    ),
    Cause(
        "calls.not-bridged",
        "Calls are answered but never connected to the agent",
        "look at the call's commands at Telnyx and at the registration of the call at Retell",
        seen=[
            When("call_is_bridged_to_the_agent"),
            When("synthetic_call", "not bridged|agent was not asked|not answered"),
        ],
        contact="retell",
    ),
    Cause(
        "calls.bridged-late",
        "Callers wait too long before they are connected to the agent",
        "look at what the application does between answering and bridging: a queue, or a slow registration at Retell",
        seen=[When("synthetic_call", r"slowest.*\((bridged|agent asked|answered)\)")],
        contact="retell",
    ),
    Cause(
        "calls.leg-slow",
        "One leg of the call is slow: the caller hears silence",
        "look at the provider of the slowest leg and at what the application waits for there",
        seen=[When("synthetic_call", "slowest")],
    ),
    Cause(
        "calls.unknown-number-silent",
        "Who calls a number that belongs to no business hears nothing",
        "look at the branch for unknown numbers: it answers and says nothing",
        seen=[When("unknown_number_hears_an_apology")],
        contact="telnyx",
    ),
    Cause(
        "calls.not-forwarded",
        "Calls to a business without an agent are not forwarded to its escalation phone",
        "look at the branch for businesses without an agent, and at their escalation phones",
        seen=[When("business_without_agent_is_forwarded")],
        contact="telnyx",
    ),
    Cause(
        "calls.booking-lost",
        "Callers are promised appointments that the database does not hold",
        "look for transactions that are rolled back after the answer; call back who booked since",
        seen=[When("booking_is_stored", "does not hold|another"), When("synthetic_call", "not in the database")],
    ),
    Cause(
        "calls.booking-fails",
        "The agent cannot book",
        "read the stack of the tool call in Sentry by the trace id of the check",
        seen=[When("booking_is_stored")],
    ),
    Cause(
        "sms.never-queued",
        "Confirmations of bookings are never even queued",
        "look at where a booking queues its SMS: nothing fails at Telnyx, nothing is sent",
        seen=[When("booking_confirms_by_sms"), When("synthetic_call", "no SMS")],
    ),
    *(
        Cause(
            f"{name}.key-unusable",
            f"Requests to {said} cannot even be made with the application's key: it makes no valid header",
            f"set {variable} anew without a line break or blank at its end, then redeploy",
            explains=explains,
            contact=name,
        )
        for name, said, variable, explains in (
            ("telnyx", "Telnyx", "TELNYX_API_KEY", ["sms.never-queued", "calls.*"]),
            ("retell", "Retell", "RETELL_API_KEY", ["calls.*"]),
            ("stripe", "Stripe", "STRIPE_SECRET_KEY", ["payments.not-charged"]),
        )
    ),
    Cause(
        "telnyx.key-refused",
        "Telnyx refuses the application's key",
        "compare TELNYX_API_KEY with the keys in Telnyx' portal, then redeploy",
        explains=["sms.never-queued", "calls.*"],
        contact="telnyx",
    ),
    Cause(
        "calls.slots-offered-twice",
        "Slots that are taken are offered to the next caller",
        "look at what the availability tool reads: not the appointments that are there",
        seen=[When("availability_excludes_taken_slots")],
    ),
    Cause(
        "sms.stop-ignored",
        "STOP is not recorded as an opt-out: sending on is against the law",
        "stop outgoing messages until opt-outs are recorded; look for texts saying STOP since",
        seen=[When("stop_is_honoured")],
        contact="telnyx",
    ),
    Cause(
        "sms.help-silent",
        "HELP is not answered",
        "look at the handler of inbound texts: HELP is stored like any other",
        seen=[When("help_is_answered")],
        contact="telnyx",
    ),
    Cause(
        "application.change-lost",
        "Changes of appointments are confirmed and not stored",
        "look for an update that is not committed or that names a column the handler does not write",
        seen=[When("appointment_can_be_changed")],
    ),
]


_CALENDAR = [
    Cause(
        "calendar.no-timeout",
        "A slow calendar holds up the call: requests to Google have no time-out",
        "give requests to the calendar a time-out of a few seconds, and write the event afterwards",
        seen=[When("booking_survives_a_slow_calendar")],
        contact="google",
    ),
    Cause(
        "calendar.refreshed-token-not-stored",
        "Refreshed access tokens are used and not stored",
        "look at what the refresh writes; Google limits how often a token is refreshed",
        seen=[When("expired_token_is_refreshed")],
        contact="google",
    ),
    Cause(
        "calendar.token-refreshed-late",
        "Access tokens are used until their last second",
        "refresh minutes before the end: clocks differ",
        seen=[When("token_is_refreshed_before_expiry")],
        contact="google",
    ),
    Cause(
        "calendar.refused-token-not-refreshed",
        "A 401 of the calendar is not answered by a refresh",
        "refresh once on a 401 and make the call again",
        seen=[When("clock_skew_is_healed")],
        contact="google",
    ),
    Cause(
        "calendar.rotated-token-dropped",
        "A refresh token that Google rotated is not stored: the calendar disconnects at the next refresh",
        "store the refresh token of each answer; affected owners have to reconnect",
        seen=[When("rotated_token_is_kept")],
        contact="google",
    ),
    Cause(
        "calendar.revoked-grant-unnoticed",
        "Owners who took back the permission are not asked to reconnect",
        "treat invalid_grant as disconnected and ask the owners who are affected (dialtone do reconnect-calendar)",
        seen=[When("revoked_grant_asks_to_reconnect")],
        contact="google",
    ),
    Cause(
        "calendar.revoked-grant-retried",
        "A refresh that Google refused for good is tried again and again",
        "do not retry invalid_grant",
        seen=[When("revoked_grant_is_not_retried")],
        contact="google",
    ),
    Cause(
        "calendar.event-not-written",
        "Bookings of connected businesses do not reach the calendar",
        "look at the branch that is taken while the access token is still good",
        seen=[When("booking_reaches_the_calendar"), When("synthetic_call", "not in the calendar")],
        explains=["calendar.unsynced"],
        contact="google",
    ),
    Cause(
        "calendar.never-resynced",
        "Appointments that missed the calendar once are never written there",
        "start the background run by hand; look why it passes them over",
        seen=[When("unsynced_appointment_is_synchronised_later")],
        explains=["calendar.unsynced"],
        contact="google",
    ),
    Cause(
        "calendar.unsynced",
        "Many appointments of connected businesses have no calendar event",
        "start the background run by hand, then look which businesses are affected: one, or all",
        seen=[When("calendar_sync_rate")],
        contact="google",
    ),
]


_LEDGER = [
    Cause(
        "ledger.payments-unrecorded",
        "Stripe took payments of which the table knows nothing: their webhooks were lost",
        "resend the events of that time (dialtone do redeliver-events, or Stripe's dashboard)",
        seen=[When("payments_balance", "are not in the table", well=["stripe_events_are_delivered"])],
        contact="stripe",
    ),
    Cause(
        "ledger.charged-twice",
        "A customer paid twice for one thing",
        "refund the second payment of that time; charge with one idempotency key for each booking",
        seen=[When("payments_balance", "more than once")],
        contact="stripe",
    ),
    Cause(
        "ledger.payments-unproved",
        "The table calls paid what Stripe never took",
        "look which code marks as paid before Stripe has answered; collect what is owed",
        seen=[When("payments_balance", "are not known to")],
        contact="stripe",
    ),
    Cause(
        "ledger.calls-unrecorded",
        "The voice agent held calls of which the table knows nothing",
        "look at Retell's webhook log of that time; write the calls from Retell's list",
        seen=[When("calls_balance")],
        contact="retell",
    ),
    Cause(
        "ledger.events-unstored",
        "Telnyx delivered events, was answered 200, and they were dropped",
        "answer 200 only after the event is stored; resend what is missing from Telnyx' record",
        seen=[When("delivered_events_are_stored")],
        contact="telnyx",
    ),
    Cause(
        "ledger.calendar-gone",
        "Appointments name calendar events that are not there",
        "look who deletes events of the calendar; start the background run for the appointments of that time",
        seen=[When("calendar_balances")],
        contact="google",
    ),
]


CAUSES = [*_PROVIDERS, *_MONEY, *_CALLS, *_CALENDAR, *_LEDGER]
