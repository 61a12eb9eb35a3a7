"""What can be wrong with the service, in the words of on-call: the vocabulary of every diagnosis.

Each cause names the red checks that it is seen by, the first step to take, and whose support to ask. A cause that
`explains` others is the better name when both are seen. docs/diagnosis.md tells how the likeliest is found.
"""

from __future__ import annotations

from dialtone.runbook import Cause, When

_SITE = [
    Cause(
        "application.down",
        "Nothing of the application answers",
        "dialtone do promote, if it began with a deployment; else look at the platform's status",
        seen=[When("pages_answer", r"refused|reset|closed|no answer|timed out|resolve", also=["health_answers_ok"])],
        explains=["application.*", "certificate.*", "edge.*", "calls.*", "payments.*", "*.signature-*"],
        contact="vercel",
    ),
    Cause(
        "database.down",
        "The database does not answer",
        "look at the database's host and its connection limit; SELECT 1 by hand",
        seen=[When("database_answers", r"unreachable|nobody listens|no connection|cannot be used")],
        explains=["application.*", "calls.*", "payments.*", "calendar.*", "database.*"],
        contact="supabase",
    ),
    Cause(
        "application.page-fails",
        "One page fails by itself: its handler raises an error",
        "read the stack in Sentry by the trace id of the check; roll back if it began with a deployment",
        seen=[When("pages_answer", r"answered 5\d\d")],
    ),
    Cause(
        "application.errors-sometimes",
        "Some requests for the pages end in a 5xx, most do not",
        "group the errors in Sentry by stack and release; roll back if it began with a deployment",
        seen=[When("error_rate_of_the_probe")],
    ),
    Cause(
        "application.crashes",
        "The function behind the health endpoint crashes now and then: the connection is closed without an answer",
        "read the function's log for exits and memory; roll back if it began with a deployment",
        seen=[When("uptime_of_the_observed_window")],
        contact="vercel",
    ),
    Cause(
        "application.health-false-alarm",
        "The health endpoint says that it is not well although pages and database are",
        "look at what the health endpoint asserts: it is wrong, the service is not",
        seen=[When("health_answers_ok", r"503|status", well=["pages_answer[home]", "database_answers"])],
    ),
    Cause(
        "edge.health-cached",
        "The health answer comes from a cache: nobody would see an outage",
        "set cache-control: no-store on the health route and purge the edge's cache",
        seen=[When("health_is_not_cached")],
        contact="vercel",
    ),
    Cause(
        "application.health-stale",
        "The health endpoint repeats an old answer",
        "make the health route dynamic: it must compute its answer for each request",
        seen=[When("health_is_fresh", "away from our clock|not a time")],
    ),
    Cause(
        "prober.clock-off",
        "The clock of this prober is off",
        "synchronise the prober's clock (NTP) and run again; judge nothing about times before that",
        explains=["application.health-stale", "*.signature-refused", "certificate.*"],
    ),
    Cause(
        "application.clock-off",
        "The clock of the target is off",
        "look at the platform's status; signatures and tokens are judged by this clock",
        explains=["application.health-stale", "*.signature-refused"],
    ),
    Cause(
        "application.health-leaks",
        "The public health answer names secrets or quotes an internal error",
        "strip the answer down to status and time, and redeploy",
        seen=[When("health_leaks_nothing")],
    ),
    Cause(
        "application.unknown-pages-served",
        "Pages that do not exist are answered 200",
        "return 404 from the catch-all route",
        seen=[When("unknown_page_is_404", "answered 200")],
    ),
    Cause(
        "application.redirect-loop",
        "An old address leads in a circle, or to the wrong page",
        "compare the redirects of the last deployment with the ones before",
        seen=[When("old_addresses_lead_to_pages")],
    ),
    Cause(
        "deployment.asset-missing",
        "A style sheet, script or image that the pages refer to was not deployed",
        "redeploy with a clean build; pages and assets have to be of one build",
        seen=[When("page_assets_load")],
        contact="vercel",
    ),
    Cause(
        "application.script-fails",
        "A script fails in the browser of every visitor",
        "open the page with the browser's console; roll back if it began with a deployment",
        seen=[When("journey_in_a_browser", "script error")],
    ),
    Cause(
        "application.links-dead",
        "A page leads to pages of the site that do not exist",
        "publish the page or remove the link; compare with the last deployment",
        seen=[When("internal_links_lead_somewhere")],
    ),
    Cause(
        "domain.expiring",
        "The registration of the domain runs out",
        "renew it at the registrar today; look why its automatic renewal failed (card, e-mail)",
        seen=[When("domain_has_time_left")],
        explains=["certificate.expiring"],
    ),
    Cause(
        "edge.region-unknown",
        "The edge no longer says which region served a request",
        "look for a proxy or rewrite in front of the platform that drops its header",
        seen=[When("edge_region_is_recorded")],
        contact="vercel",
    ),
    Cause(
        "edge.handshake-slow",
        "New TLS connections are slow to be made, answers over kept ones are not",
        "compare with the platform's status and another network: it is the edge, not the application",
        seen=[When("connect_time_p95")],
        contact="vercel",
    ),
    Cause(
        "certificate.expiring",
        "The certificate was not renewed and runs out",
        "renew the certificate at the hosting provider; look why the automatic renewal failed (DNS, CAA)",
        seen=[When("certificate_has_time_left")],
        contact="vercel",
    ),
    Cause(
        "certificate.wrong-host",
        "The certificate belongs to another host",
        "attach the domain to the project again, so that the edge has its certificate",
        seen=[When("certificate_chain_is_valid", "(?i)host|name|match")],
        contact="vercel",
    ),
    Cause(
        "certificate.not-trusted",
        "A browser refuses the certificate: its chain is not trusted",
        "look at the chain that the edge sends; attach the domain again",
        seen=[When("certificate_chain_is_valid")],
        contact="vercel",
    ),
    Cause(
        "edge.plain-http-served",
        "Pages are served without TLS instead of leading to https",
        "switch the redirect to https on again at the edge",
        seen=[When("plain_http_redirects_to_https")],
        contact="vercel",
    ),
    Cause(
        "application.security-headers-missing",
        "Answers carry no security headers",
        "compare the headers' configuration of the last deployment with the one before",
        seen=[When("security_headers_are_set")],
    ),
]

_SPEED = [
    Cause(
        "application.page-slow",
        "Every request for one page is slow",
        "look at what the page waits for: slow statements first, then the providers it calls",
        seen=[When("response_time_p50")],
    ),
    Cause(
        "application.page-slow-sometimes",
        "A page is usually quick, but some of its requests wait: for a lock, a connection or a cold instance",
        "look at waiting locks and connections at the moments of the slow requests",
        seen=[When("response_time_p95")],
    ),
    Cause(
        "platform.cold-start-slow",
        "The first request after a pause is slow: the function takes long to load",
        "look at the size of the function and what it does while it loads",
        seen=[When("cold_start")],
        contact="vercel",
    ),
]

_MONITORS = [
    Cause(
        "monitor.numbers-made-up",
        "The numbers of the application's own monitor are not those of its database",
        "do not trust the monitor; look at how it counts",
        seen=[When("own_monitor_reports_real_numbers")],
    ),
    Cause(
        "monitor.contradicts-health",
        "The application's own monitor and its health endpoint disagree",
        "look which of them asserts a field that the other no longer has",
        seen=[When("own_monitor_agrees_with_health")],
    ),
    Cause(
        "alerting.sentry-silent",
        "Errors of visitors' browsers do not arrive at Sentry",
        "compare SENTRY_DSN with the project's, and look at Sentry's quota and inbound filters",
        seen=[When("client_error_reaches_sentry")],
        contact="sentry",
    ),
    Cause(
        "sentry.events-dropped",
        "Sentry takes errors and keeps none of them: its quota is used up, or a filter drops them",
        "look at the project's usage, spike protection and inbound filters",
        seen=[When("client_error_is_found_at_sentry", well=["client_error_reaches_sentry"])],
        contact="sentry",
    ),
    Cause(
        "alerting.mail-silent",
        "Alerts do not go out by e-mail",
        "send one by hand through the same SMTP account; alerts are on Slack alone meanwhile",
        seen=[When("alerts_reach_every_channel", "by mail")],
    ),
    Cause(
        "alerting.slack-silent",
        "Alerts do not go out on Slack",
        "make the incoming webhook of the channel anew; alerts come by e-mail alone meanwhile",
        seen=[When("alerts_reach_every_channel", "by slack")],
    ),
]


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

_OF_PROVIDERS = {"stripe": "Stripe", "retell": "Retell", "telnyx": "Telnyx", "google": "Google", "upstash": "Upstash"}

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

_JOBS = [
    Cause(
        "jobs.scheduler-stopped",
        "The scheduler does not call the background jobs any more",
        "look at the schedule in the platform's settings (vercel.json, plan limits, CRON_SECRET); start a run by hand",
        seen=[When("scheduler_calls")],
        explains=["jobs.overdue", "calendar.never-resynced", "calendar.unsynced"],
        contact="vercel",
    ),
    Cause(
        "jobs.overdue",
        "Background jobs run, and pass over jobs that are long due",
        "look at what the oldest jobs have in common; start a run by hand and read its answer",
        seen=[When("no_job_is_overdue")],
    ),
]

_DATA = [
    Cause(
        "data.guarded-row-gone",
        "A row that nobody may remove is gone: somebody or something deletes what it should not",
        "stop clean-up scripts; find what ran since the last ok run; restore the row from the backup",
        seen=[When("sentinels_are_there")],
        explains=["data.rows-lost"],
        contact="supabase",
    ),
    Cause(
        "data.rows-lost",
        "A table has lost rows since the last look",
        "stop writes to it; find the migration or script that deleted; compare with the last backup before restoring",
        seen=[When("no_table_has_shrunk")],
        contact="supabase",
    ),
    Cause(
        "data.backups-failing",
        "The database's backups fail: a loss now could not be made good",
        "start a backup by hand and see that it ends well; then ask the provider why they failed",
        seen=[When("backup_is_recent")],
        contact="supabase",
    ),
    Cause(
        "database.index-missing",
        "A large table is read whole again and again: an index is missing",
        "create the missing index (dialtone do create-index TABLE.COLUMN); look which statements read the table",
        seen=[When("large_tables_are_read_by_index")],
        explains=["database.statement-slow"],
        contact="supabase",
    ),
    Cause(
        "database.not-vacuumed",
        "Dead rows pile up: autovacuum does not keep up, or is off for a table",
        "VACUUM ANALYZE the table (below); look for a transaction that holds it back and for its autovacuum settings",
        seen=[When("tables_are_vacuumed")],
        contact="supabase",
    ),
]

_TRAFFIC = [
    Cause(
        "application.visitors-fail",
        "Real visitors get errors that the probes do not see",
        "group the errors in Sentry by route and release: which requests do the probes not make?",
        seen=[When("error_rate_of_real_traffic", well=["error_rate_of_the_probe"])],
    ),
    Cause(
        "application.visitors-crash",
        "The application crashes in front of real visitors more often than it may",
        "group the crashes in Sentry by release: roll back if they began with one",
        seen=[When("sessions_do_not_crash")],
        contact="sentry",
    ),
    Cause(
        "limits.visitors-turned-away",
        "The rate limit turns real visitors away",
        "raise the limit, or find the one client that uses it up behind a shared address",
        seen=[When("real_visitors_are_not_limited")],
    ),
    Cause(
        "webhooks.secret-differs",
        "A provider's deliveries are refused: its signing secret is not the application's any more",
        "which provider? compare its secret with the application's (rotated at one end only), then redeploy",
        seen=[When("few_signatures_are_refused")],
        explains=["stripe.undelivered", "telnyx.undelivered"],
    ),
    Cause(
        "security.passwords-tried",
        "Somebody tries passwords or tokens: refused log-ins come in clusters",
        "look at the addresses they come from; block them at the edge, tighten the limit of the log-in",
        seen=[When("no_cluster_of_refusals")],
    ),
    Cause(
        "webhooks.not-processed",
        "Webhook events are stored and never processed",
        "look at the worker that processes them; which provider's events wait (below)?",
        seen=[When("webhook_success_rate")],
        explains=["webhooks.processed-late", "payments.payers-inactive"],
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

_LIMITS = [
    Cause(
        "limits.login-unlimited",
        "The log-in is not limited: passwords can be tried without end",
        "switch the limit on again; look for addresses with many refused log-ins",
        seen=[When("burst_is_limited[login]")],
    ),
    Cause(
        "limits.refusal-without-headers",
        "Who is limited is not told for how long",
        "send Retry-After and the X-RateLimit headers with the 429",
        seen=[When("limited_answer_has_headers")],
    ),
    Cause(
        "limits.login-too-strict",
        "People are limited before they reach the promised number",
        "raise the limit to what is promised",
        seen=[When("user_below_the_limit_is_served")],
    ),
    Cause(
        "limits.counted-per-instance",
        "Each instance counts for itself: Redis is not configured or not reachable",
        "look at REDIS_REST_URL and REDIS_REST_TOKEN and at Upstash, then redeploy",
        seen=[When("limit_is_shared_between_instances")],
        contact="upstash",
    ),
    Cause(
        "limits.escaped-by-header",
        "The limit believes an address that the client claims in a header",
        "trust only the address that the edge sets",
        seen=[When("no_escape_by_header")],
    ),
    Cause(
        "limits.site-unlimited",
        "One address can load pages without end",
        "switch the limit of the middleware on again",
        seen=[When("burst_is_limited[site]")],
    ),
]

_CONFIGURATION = [
    Cause(
        "configuration.variable-missing",
        "A required variable is not set in this deployment",
        "set it anew without a trailing blank, and redeploy: a change without a deployment is not in effect",
        seen=[When("required_variables_are_set")],
        explains=["stripe.*", "telnyx.*", "retell.*", "payments.*"],
        contact="vercel",
    ),
    Cause(
        "configuration.preview-differs",
        "Previews are not set up like production: a gate there says nothing about production",
        "set what is missing for both environments in the platform's settings",
        seen=[When("preview_is_set_up_like_production")],
        contact="vercel",
    ),
    Cause(
        "configuration.key-of-another-environment",
        "The application calls a provider with a key of another environment",
        "replace the key at once: live money may move, or none at all",
        seen=[When("keys_belong_to_this_environment")],
        contact="stripe",
    ),
]

_SECURITY = [
    Cause(
        "security.foreign-origin-served",
        "Requests of foreign sites are served: the Origin header is not looked at",
        "switch the check of the Origin on again in the middleware",
        seen=[When("foreign_origin_is_refused")],
    ),
    Cause(
        "security.appointments-public",
        "Appointments can be read without a token",
        "treat it as a breach: close the route, look in the logs for reads without a token",
        seen=[When("appointments_need_a_token")],
    ),
    Cause(
        "security.tenants-mixed",
        "The token of one business opens appointments of another",
        "treat it as a breach: close the route, look in the logs for reads across businesses",
        seen=[When("tenants_cannot_read_each_other")],
    ),
    Cause(
        "security.cron-public",
        "Anybody can start the background jobs: their secret is not asked for",
        "is CRON_SECRET set? refuse what does not carry it",
        seen=[When("cron_needs_its_secret")],
    ),
    Cause(
        "application.login-fails",
        "A log-in that should be refused ends in an error",
        "read the stack in Sentry by the trace id of the check",
        seen=[When("login_refuses_wrong_password", r"answered 5\d\d")],
    ),
]

_DATABASE = [
    Cause(
        "database.login-slow",
        "New database sessions are slow to be made, statements are not",
        "look at the pooler and at log-in triggers; are too many sessions opened at once?",
        seen=[When("database_answers", "SELECT 1")],
        contact="supabase",
    ),
    Cause(
        "database.schema-changed",
        "A table or column is not named as the application's queries name it: a migration ran ahead or was left out",
        "compare the migrations of the database with those of the deployment; run or revert the one that differs",
        seen=[When("tables_are_as_the_profile_names_them")],
        contact="supabase",
    ),
    Cause(
        "database.lock-held",
        "A session waits for a lock that another does not give back",
        "look at the session that holds the lock (below); end it if you know what it is (dialtone do end-long-queries)",
        seen=[When("no_lock_waits")],
        explains=["application.page-slow*"],
        contact="supabase",
    ),
    Cause(
        "database.query-runs-long",
        "A statement has been running for too long",
        "look at the statement (below); end it if you know what it is (dialtone do end-long-queries)",
        seen=[When("no_long_query")],
        explains=["application.page-slow*"],
        contact="supabase",
    ),
    Cause(
        "database.transaction-left-open",
        "A session has left a transaction open and does nothing",
        "end it (dialtone do end-long-queries); find the code that does not commit",
        seen=[When("no_idle_transaction")],
        explains=["database.lock-held"],
        contact="supabase",
    ),
    Cause(
        "database.connections-leak",
        "The database runs out of connections: somebody opens them and does not close them",
        "look who holds them (below); restart the functions, then look for a client made in each request",
        seen=[When("connections_in_use")],
        contact="supabase",
    ),
    Cause(
        "database.statement-slow",
        "A statement of the application is slow each time",
        "look at its plan; is an index missing? dialtone do create-index TABLE.COLUMN",
        seen=[When("no_slow_statement")],
        explains=["application.page-slow*"],
        contact="supabase",
    ),
    Cause(
        "webhooks.processed-late",
        "Webhook events are processed minutes after they arrive",
        "look at the worker that processes them and at its queue; which provider's events wait?",
        seen=[When("webhook_lag")],
    ),
    Cause(
        "housekeeping.synthetic-leftovers",
        "Synthetic users are not removed by whoever makes them",
        "find who makes them by their marker and remove them; they count in the business's numbers",
        seen=[When("no_synthetic_leftovers")],
    ),
]

CAUSES = [
    *_SITE,
    *_SPEED,
    *_MONITORS,
    *_webhooks(),
    *_PROVIDERS,
    *_MONEY,
    *_JOBS,
    *_DATA,
    *_TRAFFIC,
    *_CALLS,
    *_CALENDAR,
    *_LIMITS,
    *_CONFIGURATION,
    *_SECURITY,
    *_DATABASE,
]
