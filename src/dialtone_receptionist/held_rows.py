"""Database defects that are nothing but rows: there while they are held, gone or back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, LiteralString

import psycopg

Session = psycopg.Connection
Hold = Callable[[str], Iterator[None]]


def connect(url: str, name: str = "receptionist") -> Session:
    """A session in autocommit mode that says whose it is."""
    return psycopg.connect(url, autocommit=True, application_name=name, connect_timeout=10)


def _rows(insert: LiteralString, remove: LiteralString, values: dict[str, Any] | None = None) -> Hold:
    """Rows that are there while the defect is held."""

    def hold(url: str) -> Iterator[None]:
        with connect(url) as session:
            session.execute(remove, values)
            session.execute(insert, values)
            try:
                yield
            finally:
                session.execute(remove, values)

    return hold


_payments_failing = _rows(
    """INSERT INTO billing_history (business_id, amount_cents, status, description, created_at)
       SELECT (SELECT id FROM businesses WHERE business_name NOT LIKE 'dialtone-synthetic%' LIMIT 1),
              5000, 'failed', 'dialtone-hold', now() - interval '30 seconds' * n
       FROM generate_series(1, 80) AS n""",
    "DELETE FROM billing_history WHERE description = 'dialtone-hold'",
)

_payments_unproved = _rows(
    """INSERT INTO billing_history (business_id, stripe_invoice_id, amount_cents, status, description, created_at)
       SELECT (SELECT id FROM businesses WHERE business_name NOT LIKE 'dialtone-synthetic%' LIMIT 1),
              'in_hold_' || n, 5000, 'paid', 'dialtone-hold', now() - interval '2 hours' - interval '1 minute' * n
       FROM generate_series(1, 3) AS n""",
    "DELETE FROM billing_history WHERE description = 'dialtone-hold'",
)

_calls_failing = _rows(
    """INSERT INTO calls (business_id, call_id, from_number, to_number, status, created_at)
       SELECT (SELECT id FROM businesses WHERE business_name NOT LIKE 'dialtone-synthetic%' LIMIT 1),
              'dialtone-hold-' || n, '+15550299000', '+15550100010', 'failed', now() - interval '20 seconds' * n
       FROM generate_series(1, 150) AS n""",
    "DELETE FROM calls WHERE call_id LIKE 'dialtone-hold-%'",
)

_calls_cut_short = _rows(
    """INSERT INTO calls (business_id, call_id, from_number, to_number, status, duration, created_at)
       SELECT (SELECT id FROM businesses WHERE business_name NOT LIKE 'dialtone-synthetic%' LIMIT 1),
              'dialtone-hold-short-' || n, '+15550299000', '+15550100010', 'completed', 2,
              now() - interval '20 seconds' * n
       FROM generate_series(1, 150) AS n""",
    "DELETE FROM calls WHERE call_id LIKE 'dialtone-hold-short-%'",
)

# On a day gone by: the cron route writes no event for those, so that the defect lasts as long as it is held.
_calendar_unsynced = _rows(
    """INSERT INTO appointments
           (business_id, customer_name, scheduled_date, start_time, end_time, notes, created_at)
       SELECT (SELECT id FROM businesses
               WHERE business_name NOT LIKE 'dialtone-synthetic%' AND calendar_connected LIMIT 1),
              'Customer', current_date - 3, '09:00', '10:00', 'dialtone-hold',
              now() - interval '31 minutes' - interval '5 minutes' * n
       FROM generate_series(1, 120) AS n""",
    "DELETE FROM appointments WHERE notes = 'dialtone-hold'",
)

_webhook_lag = _rows(
    """INSERT INTO webhook_events (event_id, provider, event_type, created_at, processed_at)
       SELECT 'evt_hold_' || n, 'stripe', 'invoice.paid', at,
              at + interval '2 minutes' + interval '8 minutes' * n / 200
       FROM (SELECT n, now() - interval '12 minutes' - interval '12 seconds' * n AS at
             FROM generate_series(1, 200) AS n) AS v""",
    "DELETE FROM webhook_events WHERE event_id LIKE 'evt\\_hold\\_%'",
)

_synthetic_leftovers = _rows(
    """INSERT INTO custom_users (email, password_hash, name, created_at)
       SELECT CASE WHEN n % 2 = 0 THEN 'synthetic-monitor-' ELSE 'dialtone-synthetic-left-' END || n
              || '@dialtone-hold.invalid', '-', 'Synthetic', now() - interval '2 hours' - interval '1 hour' * n
       FROM generate_series(1, 40) AS n""",
    "DELETE FROM custom_users WHERE email LIKE '%@dialtone-hold.invalid'",
)

_webhooks_unprocessed = _rows(
    """INSERT INTO webhook_events (event_id, provider, event_type, created_at)
       SELECT 'evt_stuck_' || n, 'stripe', 'invoice.paid', now() - interval '12 minutes' - interval '12 seconds' * n
       FROM generate_series(1, 60) AS n""",
    "DELETE FROM webhook_events WHERE event_id LIKE 'evt\\_stuck\\_%'",
)

# More than a day old: the cron route sends no confirmation as late as that, so that they stay due.
_jobs_overdue = _rows(
    """INSERT INTO sms_messages (business_id, direction, from_number, to_number, body, status, created_at)
       SELECT (SELECT id FROM businesses WHERE business_name NOT LIKE 'dialtone-synthetic%' LIMIT 1),
              'outbound', '+15550100010', '+15550299000', 'dialtone-hold', 'queued', now() - interval '26 hours'
       FROM generate_series(1, 40)""",
    "DELETE FROM sms_messages WHERE body = 'dialtone-hold'",
)

_subscription_not_activated = _rows(
    """WITH unlucky AS (
           INSERT INTO businesses (business_name, subscription_status)
           SELECT 'dialtone-hold ' || n, 'inactive' FROM generate_series(1, 3) AS n RETURNING id)
       INSERT INTO stripe_subscriptions (business_id, stripe_subscription_id, status)
       SELECT id, 'sub_hold_' || id, 'active' FROM unlucky""",
    "DELETE FROM businesses WHERE business_name LIKE 'dialtone-hold %'",
)


def _counts(kind: str, status: int, each: int, second: int) -> Hold:
    """Requests of the last 20 minutes in `request_counts`, marked by a second that no real row has."""
    values: dict[str, Any] = {"kind": kind, "status": status, "each": each, "second": second}
    return _rows(
        """INSERT INTO request_counts (minute, kind, status, requests)
           SELECT date_trunc('minute', now()) - interval '1 minute' * n + interval '1 second' * %(second)s,
                  %(kind)s, %(status)s, %(each)s FROM generate_series(1, 20) AS n""",
        "DELETE FROM request_counts WHERE extract(second FROM minute) = %(second)s",
        values,
    )


def _moved(aside: LiteralString, back: LiteralString, remove: LiteralString) -> Hold:
    """Rows that are gone while the defect is held: put `aside` before they are removed, and brought back."""

    def hold(url: str) -> Iterator[None]:
        with connect(url) as session:
            session.execute(back)
            with session.transaction():
                session.execute(aside)
                session.execute(remove)
            try:
                yield
            finally:
                session.execute(back)

    return hold


_sentinel_gone = _moved(
    "CREATE TABLE dialtone_hold_users AS SELECT * FROM custom_users WHERE email = 'sentinel@receptionist.invalid'",
    """DO $$ BEGIN IF to_regclass('dialtone_hold_users') IS NOT NULL THEN
       INSERT INTO custom_users SELECT * FROM dialtone_hold_users ON CONFLICT DO NOTHING;
       DROP TABLE dialtone_hold_users; END IF; END $$""",
    "DELETE FROM custom_users WHERE email = 'sentinel@receptionist.invalid'",
)

_rows_dropped = _moved(
    "CREATE TABLE dialtone_hold_calls AS SELECT * FROM calls WHERE call_id ~ '^call_seed_.*[135]$'",
    """DO $$ BEGIN IF to_regclass('dialtone_hold_calls') IS NOT NULL THEN
       INSERT INTO calls SELECT * FROM dialtone_hold_calls ON CONFLICT DO NOTHING;
       DROP TABLE dialtone_hold_calls; END IF; END $$""",
    "DELETE FROM calls WHERE call_id ~ '^call_seed_.*[135]$'",
)


HOLDS: dict[str, Hold] = {
    "payments-failing": _payments_failing,
    "payments-unproved": _payments_unproved,
    "calls-failing": _calls_failing,
    "calls-cut-short": _calls_cut_short,
    "calendar-unsynced": _calendar_unsynced,
    "webhook-lag": _webhook_lag,
    "synthetic-leftovers": _synthetic_leftovers,
    "webhooks-unprocessed": _webhooks_unprocessed,
    "jobs-overdue": _jobs_overdue,
    "subscription-not-activated": _subscription_not_activated,
    "traffic-failing": _counts("api", 500, 20, 7),
    "signatures-refused": _counts("webhook", 401, 6, 11),
    "logins-refused": _counts("login", 401, 60, 13),
    "limits-hit": _counts("page", 429, 200, 17),
    "sentinel-gone": _sentinel_gone,
    "rows-dropped": _rows_dropped,
}
"""How each of them is brought about: up to the `yield`, and undone after it."""
