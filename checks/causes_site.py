"""What can be wrong with the site: pages, health, speed, monitors, and what real visitors get."""

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


CAUSES = [*_SITE, *_SPEED, *_MONITORS, *_TRAFFIC]
