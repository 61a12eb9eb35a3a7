"""Defects of the application, the edge and the database: ways to be wrong on demand.

A switched defect is on while its id stands in the JSON list in the file that DEFECTS_FILE names. Whoever switches
replaces that file by a rename, so a reader never sees half of it; every reader looks at the file's time and inode for
each request, so that all processes agree at once and nothing has to be restarted.

    python -m dialtone_receptionist.defects               the list as JSON
    python -m dialtone_receptionist.defects --hold ID     hold a database defect until stdin ends or SIGTERM

Each entry of `DEFECTS` says in one sentence what is wrong: the cause, not what is seen of it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Literal, TypedDict

from dialtone_receptionist.defect_causes import CAUSES
from dialtone_receptionist.resilience_defects import RESILIENCE


class Defect(TypedDict):
    """One way to be wrong. `how`: switched in the defects file, or held by a process of its own; `cause`: its name.

    `kind` is who finds it: a check of a healthy deployment, or an experiment, because it shows only when something else
    fails. `needs` is what a machine may lack without which it cannot be seen, or empty.
    """

    what: str
    area: Literal["application", "edge", "database"]
    kind: Literal["check", "resilience"]
    how: Literal["switch", "hold"]
    cascade: bool
    cause: str
    needs: str


APPLICATION = {
    # pages, health and the application's own monitors
    "page-500": "The handler of /pricing raises an error and answers 500.",
    "root-redirect-loop": "The home page redirects to itself instead of to /landing.",
    "health-503": "The health endpoint says 503 degraded although nothing is wrong.",
    "health-cached": "The health endpoint may be cached, and the edge serves it from its cache.",
    "health-stale": "The health endpoint repeats an answer that was computed an hour ago.",
    "health-leaks": "The health endpoint lists which secrets are set and the text of a database error.",
    "soft-404": "Unknown pages are answered 200 with the landing page.",
    "dead-link": "The pricing page leads to terms of service that were never published.",
    "asset-missing": "The pages refer to a style sheet that was not deployed and answers 404.",
    "health-flaps": "The function crashes on every 6th health request of a client and the connection is closed.",
    "errors-one-in-six": "Every 6th request of a client for /landing or /login raises an error and answers 500.",
    "metrics-random": "The application's own monitor fills its metrics with random numbers.",
    "monitor-missing-field": "The application's own monitor asserts a field that the health endpoint no longer has.",
    "sentry-silent": "Errors that browsers report are not forwarded to Sentry.",
    "alert-mail-logged-only": "Alert e-mails are written to the log and never sent.",
    "slow-tail": "Every 4th request of a client for /pricing waits 1.3 s for a lock.",
    "slow-median": "Every request for /login waits 0.7 s for a slow query.",
    "cold-start-slow": "The calendar connect route takes 0.9 s to load in a process that has just been idle.",
    "headers-missing": "Answers carry no security headers.",
    "origin-open": "The middleware does not look at the Origin header: requests of foreign sites are served.",
    # webhooks
    "telnyx-wrong-algorithm": "Telnyx signatures are verified as an HMAC instead of Ed25519.",
    "retell-plain-hmac": "Retell signatures are verified as a plain HMAC of the body, without their time.",
    "sms-flat-body": "The SMS webhook reads a flat body instead of the envelope data.payload.",
    "webhook-redirects": "The Stripe webhook route redirects to the same path with a trailing slash.",
    "webhook-behind-auth": "The Retell webhook route is caught by the log-in middleware.",
    "webhook-slow": "The SMS webhook does its work before it answers.",
    "telnyx-no-key-accepts": "No Telnyx public key is configured, and then signatures are not verified at all.",
    "retell-unsigned-accepted": "A Retell webhook without a signature header is accepted.",
    "stripe-stale-accepted": "Stripe signatures are verified without a tolerance for their age.",
    "retell-reserialised-accepted": "Retell signatures are verified over the re-serialised instead of the raw body.",
    "stripe-truncated-accepted": "A Stripe webhook whose body does not parse is answered 200 before it is verified.",
    "sms-redelivery-doubles": "The SMS webhook does not recognise an event that is delivered a second time.",
    "stripe-claims-first": "A Stripe event is marked as processed first; its handler fails and the error is swallowed.",
    "unknown-event-500": "The Telnyx voice webhook raises an error for an event of an unknown type.",
    "ping-gone": "The Retell webhook no longer knows the event ping and demands a signature for it.",
    # calls and bookings
    "bridge-skipped": "An incoming call is answered and stored but never bridged to the agent.",
    "apology-silent": "A call to an unknown number is answered and nothing is said.",
    "forward-skipped": "A call to a business without an agent is answered and not forwarded.",
    "booking-lost": "The booking's transaction is rolled back although the tool answers success.",
    "sms-unsent": "The confirmation SMS of a booking is never queued.",
    "telnyx-key-newline": "TELNYX_API_KEY ends with a line break where confirmations are sent: no valid header.",
    "stripe-old-key-first": "The application calls Stripe with the key from before the rotation first.",
    "fee-doubled": "The booking fee is charged again with new idempotency keys after it succeeded.",
    "live-key": "The booking fee is charged with a live Stripe key in an environment for tests.",
    "availability-blind": "The availability tool does not look at the appointments that are there.",
    "stop-ignored": "An SMS that says STOP is stored like any other text.",
    "help-silent": "An SMS that says HELP is stored like any other text.",
    # calendar
    "no-timeouts": "Calls to the calendar have no time-out.",
    "refresh-not-stored": "A refreshed access token is used and not stored.",
    "invalid-grant-ignored": "An invalid_grant is swallowed: the tenant stays marked connected and nobody is asked.",
    "invalid-grant-retried": "An invalid_grant is retried like a temporary failure, and again by every cron run.",
    "rotation-dropped": "A rotated refresh token is not stored.",
    "refresh-late": "An access token is refreshed only after it has expired.",
    "skew-401-gives-up": "A 401 of the calendar for a token that looks valid is not answered by a refresh.",
    "calendar-skipped": "The calendar event is not written when the stored access token is still good.",
    "calendar-never-resynced": "The cron route does not synchronise appointments whose calendar write failed.",
    # limits, log-in, appointments
    "ratelimit-off": "The log-in route is not limited.",
    "ratelimit-no-headers": "The 429 of the log-in route carries no Retry-After and no X-RateLimit headers.",
    "ratelimit-strict": "The log-in route is limited to 4 tries instead of 10.",
    "ratelimit-per-instance": "Redis is not configured: log-in tries are counted in the memory of each instance.",
    "ratelimit-spoofable": "The log-in limit takes the client's address from headers that the client can set.",
    "site-limit-off": "The middleware's limit of requests per client does not apply.",
    "env-missing": "STRIPE_SECRET_KEY is not set in this deployment.",
    "login-500": "A wrong password raises an error and answers 500.",
    "appointments-open": "An appointment is readable without a token.",
    "tenant-leak": "An appointment is looked up without its tenant: any token reads it.",
    "patch-lost": "A change of an appointment is answered 200 and not stored.",
    "cron-open": "The cron routes do not ask for their secret.",
    "script-error": "The pages call a script that is not part of the build: it fails in every visitor's browser.",
    "invoice-not-activating": "A paid invoice is recorded and the subscription stays inactive.",
    "bridge-slow": "A call waits 2.6 s in a queue before it is bridged to the agent.",
}

EDGE = {
    "edge-anonymous": "The edge does not say which region served a request.",
    "slow-handshake": "The edge stalls 0.7 s before each TLS handshake.",
    "cert-expiring": "The certificate was not renewed and has 2 days left.",
    "cert-wrong-host": "The edge presents the certificate of another host.",
    "plain-served": "The plain listener serves pages instead of redirecting to https.",
}

DATABASE = {
    "payments-failing": "80 payments failed within the last hour.",
    "payments-unproved": "Three payments are marked as paid, and Stripe never took them.",
    "calls-failing": "150 calls failed within the last hour.",
    "calls-cut-short": "150 calls of the last hour were answered and ended after two seconds.",
    "calendar-unsynced": "120 appointments of connected businesses have no calendar event.",
    "webhook-lag": "200 webhook events of the last hour were processed minutes after they came in.",
    "column-renamed": "A migration renamed the column status of stripe_subscriptions to state.",
    "db-slow-login": "A login trigger makes every new database session wait 2.5 s.",
    "lock-waiting": "A session waits for a lock that another session does not give back.",
    "long-query": "A query of the application has been running for a long time.",
    "idle-in-transaction": "A session of the application has left a transaction open.",
    "connections-leak": "The application leaks connections: 85 % of the server's connections are in use.",
    "slow-statement": "A statement of the application takes 0.8 s each time.",
    "synthetic-leftovers": "A monitor creates synthetic users and never removes them.",
    "webhooks-unprocessed": "60 webhook events of the last hour were stored and never processed.",
    "cron-stopped": "The scheduler has not called the cron route for three hours.",
    "jobs-overdue": "40 confirmations have been waiting for more than a day: no run of the cron route takes them.",
    "subscription-not-activated": "Three businesses paid their subscription and are still inactive.",
    "traffic-failing": "The function fails for one in six requests of real visitors, none of them a probe.",
    "signatures-refused": "The webhook secret was rotated at the provider only: its deliveries are refused.",
    "logins-refused": "Somebody tries passwords: sixty refused log-ins a minute.",
    "limits-hit": "The rate limit is set too low for real visitors: hundreds of them are turned away each minute.",
    "index-missing": "A table of 20,000 rows has no index and is read whole for every request.",
    "dead-rows": "Autovacuum is switched off for a table that is rewritten all the time.",
    "sentinel-gone": "A clean-up script removed a user that nobody may remove.",
    "rows-dropped": "A migration deleted a third of the calls.",
}


NEEDS = {"script-error": "browser"}
"""What it takes to see a defect that no request can see."""


def _entries(
    area: Literal["application", "edge", "database"],
    whats: Mapping[str, str],
    kind: Literal["check", "resilience"] = "check",
) -> dict[str, Defect]:
    how: Literal["switch", "hold"] = "hold" if area == "database" else "switch"
    return {
        name: Defect(
            what=what,
            area=area,
            kind=kind,
            how=how,
            cascade=False,
            cause=CAUSES.get(name, ""),
            needs=NEEDS.get(name, ""),
        )
        for name, what in whats.items()
    }


DEFECTS: dict[str, Defect] = {
    **_entries("application", APPLICATION),
    **_entries("application", RESILIENCE, "resilience"),
    **_entries("edge", EDGE),
    **_entries("database", DATABASE),
}
"""Every defect of this package by its id."""


class Switches:
    """The switched defects, as the file at `path` lists them at this moment. No path or no file: none."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._active: frozenset[str] = frozenset()
        self.turn = 0
        """How often the file was seen to be another one."""

    def active(self) -> frozenset[str]:
        """The ids in the file now; the same object as before while the file is unchanged."""
        if not self._path:
            return self._active
        try:
            stat = os.stat(self._path)  # noqa: PTH116  # for every request: a Path costs several times as much
            seen = (stat.st_mtime_ns, stat.st_ino)
            if seen != self._seen:
                with open(self._path, encoding="utf-8") as file:  # noqa: PTH123
                    self._active = frozenset(json.load(file))
                self._seen, self.turn = seen, self.turn + 1
        except FileNotFoundError:
            if self._seen is not None:
                self._active, self._seen, self.turn = frozenset(), None, self.turn + 1
        return self._active

    def era(self) -> str:
        """Of the file, as it is now; empty without one."""
        self.active()
        return "" if self._seen is None else f"{self._seen[0]:x}/"


switches = Switches(os.environ.get("DEFECTS_FILE", ""))
"""The switches of this process."""


def on(defect: str) -> bool:
    """Whether the defect is switched on at this moment."""
    return defect in switches.active()


def turn() -> int:
    """Counts how often was switched, as this process has seen it: what a defect left behind ends with its turn."""
    switches.active()
    return switches.turn


def era() -> str:
    """Names what is switched since when, the same in all processes: what was told in another one is not known here."""
    return switches.era()


def main(arguments: list[str]) -> int:
    """The command: print the list, or hold one database defect."""
    match arguments:
        case []:
            json.dump(DEFECTS, sys.stdout, indent=1)
            print()
            return 0
        case ["--hold", name]:
            from dialtone_receptionist.holds import main as hold

            return hold(name, os.environ.get("DATABASE_URL", ""))
        case _:
            print("usage: python -m dialtone_receptionist.defects [--hold ID]", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
