"""Every action on a real deployment: broken, shown without a change, mended, and then nothing is left to do."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.runbook.conftest import ROOT, Place

psycopg = pytest.importorskip("psycopg")

from dialtone.cli import main  # noqa: E402
from dialtone.http import Client  # noqa: E402
from dialtone.probes.journal import eventually  # noqa: E402
from dialtone.runbook.actions.item import actions  # noqa: E402
from dialtone.runbook.actions.record import Record  # noqa: E402
from dialtone.runbook.actions.run import Doing, NotPossible, Outcome  # noqa: E402
from dialtone.signing import scheme  # noqa: E402

ACTIONS = actions(ROOT / "checks")


@pytest.fixture
def prove(place: Place, tmp_path: Path) -> Callable[..., Outcome]:
    """Show an action (nothing changes), do it (it mends), do it again (nothing is done); the outcome of doing it."""

    def run(name: str, *words: str, broken: Callable[[], bool]) -> Outcome:
        record = Record(tmp_path / f"{name}.jsonl")
        doing = Doing(ACTIONS[name], place.target, words)
        assert broken()
        before, mark = place.database(), place.last()
        shown = doing.show()
        assert shown.steps
        assert place.database() == before
        assert place.changes(mark) == []
        assert record.entries() == []
        assert broken()
        done = doing.take(record, "tester")
        assert done.mended, done
        assert [step.what for step in done.steps] == [step.what for step in shown.steps]
        assert not broken()
        written = record.entries()
        assert [entry["state"] for entry in written] == ["begun", "done"]
        assert written[-1] | {"who": "tester", "action": name, "target": "sandbox", "effect": "mended"} == written[-1]
        before, mark = place.database(), place.last()
        again = doing.take(record, "tester")
        assert (again.steps, again.mended) == ([], True)
        assert place.database() == before
        assert place.changes(mark) == []
        assert record.entries() == written
        secrets = [value for key, value in place.env.items() if re.search("KEY|TOKEN|SECRET|DATABASE", key)]
        assert not [value for value in secrets if value in json.dumps([shown.as_json(), written])]
        return done

    return run


def test_long_queries_are_ended(place: Place, prove: Callable[..., Outcome]) -> None:
    """The process that runs the query is ended, and its query is told without what it asks for."""
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(60)%%' AND pid <> pg_backend_pid()"
    with place.held("long-query"):
        done = prove("end-long-queries", "older=2s", broken=lambda: place.sql(running)[0][0] > 0)
    assert "pg_sleep(?)" in done.steps[0].what


def test_a_transaction_left_open_is_ended(place: Place, prove: Callable[..., Outcome]) -> None:
    """A session that is idle in a transaction holds locks as a long query does."""
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
    with place.held("idle-in-transaction"):
        prove("end-long-queries", "older=1s", broken=lambda: place.sql(idle)[0][0] > 0)


def test_a_query_that_is_over_is_not_ended(place: Place) -> None:
    """Between showing and doing, a process may have gone on to something else."""
    with psycopg.connect(place.owner_url, autocommit=True) as session:
        pid = session.info.backend_pid
        began = session.execute("SELECT (now() - interval '1 hour')::text").fetchone()[0]
        with psycopg.connect(place.env["SANDBOX_REPAIR_DATABASE_URL"]) as repairer:
            rows = repairer.execute(place.target.statement("end_query"), {"pid": pid, "began": began}).fetchall()
        assert rows == []
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_missing_index_is_created(place: Place, prove: Callable[..., Outcome]) -> None:
    """A foreign key without an index gets one, concurrently; the statement was printed before."""
    place.sql("DROP INDEX calls_business")
    has = "SELECT count(*) FROM pg_indexes WHERE tablename = 'calls' AND indexdef LIKE '%%(business_id)%%'"
    done = prove("create-index", broken=lambda: place.sql(has)[0][0] == 0)
    assert done.steps[0].shown == [
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_calls_business_id ON calls (business_id)"
    ]


def test_a_named_column_is_indexed(place: Place, prove: Callable[..., Outcome]) -> None:
    """A person who knows what is slow names the column."""
    has = "SELECT count(*) FROM pg_indexes WHERE indexname = 'idx_calls_from_number'"
    prove("create-index", "calls.from_number", broken=lambda: place.sql(has)[0][0] == 0)


def test_an_index_that_broke_off_is_built_anew(place: Place, prove: Callable[..., Outcome]) -> None:
    """CREATE INDEX CONCURRENTLY that fails leaves an index that is not used and still written."""
    with psycopg.connect(place.owner_url, autocommit=True) as session, pytest.raises(psycopg.errors.DivisionByZero):
        session.execute("CREATE INDEX CONCURRENTLY half_way ON calls ((1 / (duration - duration)))")
    place.sql("DROP INDEX half_way")
    with psycopg.connect(place.owner_url) as holder, psycopg.connect(place.owner_url, autocommit=True) as session:
        holder.execute(
            "INSERT INTO consents (phone_number, business_id, status)"
            " SELECT '+1', id, 'opted_in' FROM businesses LIMIT 1"
        )
        session.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            session.execute("CREATE INDEX CONCURRENTLY consents_half_way ON consents (phone_number)")
        holder.rollback()
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    prove("create-index", broken=lambda: place.sql(invalid)[0][0] > 0)


def test_undelivered_events_are_delivered(place: Place, prove: Callable[..., Outcome]) -> None:
    """What Stripe could not deliver is signed and sent to our endpoint: subscription and payments are there."""
    business = place.business(stripe_customer_id="cus_sandbox_waiting", subscription_status="past_due")
    status = "SELECT subscription_status FROM businesses WHERE id = %s"
    with place.defects("stripe-undelivered"):
        done = prove("redeliver-events", broken=lambda: place.sql(status, business)[0][0] == "past_due")
    assert len(done.steps) == 5
    paid = "SELECT count(*) FROM billing_history WHERE business_id = %s AND status = 'paid'"
    assert place.sql(paid, business)[0][0] == 5


def test_an_open_invoice_is_collected(place: Place, prove: Callable[..., Outcome], tmp_path: Path) -> None:
    """The card was declined, and is declined again, which is told; when it was changed, the invoice is paid."""
    customer = "cus_sandbox_declined_until_now"
    place.stripe("POST", "/v1/invoiceitems", customer=customer, amount=4900, currency="usd")
    include = {"pending_invoice_items_behavior": "include"}
    invoice = place.stripe("POST", "/v1/invoices", customer=customer, **include)["id"]
    place.stripe("POST", f"/v1/invoices/{invoice}/finalize")
    assert place.stripe("POST", f"/v1/invoices/{invoice}/pay")["error"]["code"] == "card_declined"
    refused = Doing(ACTIONS["retry-invoice"], place.target).take(Record(tmp_path / "refused.jsonl"), "tester")
    assert not refused.mended
    assert [(step.came, step.failed) for step in refused.steps] == [("answered 402", True)]
    place.stripe("POST", f"/v1/customers/{customer}", source="tok_visa")
    prove("retry-invoice", broken=lambda: place.stripe("GET", f"/v1/invoices/{invoice}")["status"] == "open")


def test_a_subscription_that_was_paid_is_activated(place: Place, prove: Callable[..., Outcome]) -> None:
    """The webhook said yes and did nothing: the customer paid and has nothing."""
    business = place.business(stripe_customer_id="cus_sandbox_paid", subscription_status="inactive")
    event = {"id": "evt_swallowed", "object": "event", "created": int(time.time()), "type": "invoice.paid"}
    event["data"] = {"object": {"id": "in_swallowed", "customer": "cus_sandbox_paid", "amount_paid": 4900}}
    body = json.dumps(event).encode()
    key = place.env["SANDBOX_STRIPE_WEBHOOK_SECRET"]
    with place.defects("stripe-claims-first"):
        headers = scheme("stripe").sign(body, key=key, at=time.time(), event_id="evt_swallowed")
        assert place.site.post("/api/stripe/webhook", content=body, headers=headers).status == 200
    status = "SELECT subscription_status FROM businesses WHERE id = %s"
    prove("activate-subscription", broken=lambda: place.sql(status, business)[0][0] == "inactive")
    stored = place.sql("SELECT stripe_customer_id, status FROM stripe_subscriptions WHERE business_id = %s", business)
    assert stored == [("cus_sandbox_paid", "active")]


def _appointment(place: Place, business: str) -> str:
    statement = """INSERT INTO appointments (business_id, customer_name, scheduled_date, start_time, end_time)
        VALUES (%s, 'Somebody', current_date + 2, '10:00', '11:00') RETURNING id::text"""
    return str(place.sql(statement, business)[0][0])


def test_appointments_get_their_calendar_events(place: Place, prove: Callable[..., Outcome]) -> None:
    """Google was away when the job ran; afterwards the application writes what waits."""
    token = f"{place.env['SANDBOX_GOOGLE_REFRESH_TOKEN']}-resync"
    business = place.business(calendar_connected=True, google_refresh_token=token)
    appointment = _appointment(place, business)
    with place.fault(provider="google_oauth", path="/token", status=503):
        assert place.jobs() == 200
    written = "SELECT google_event_id FROM appointments WHERE id = %s"
    prove("resync-calendar", broken=lambda: place.sql(written, appointment)[0][0] is None)


def test_a_business_without_a_grant_is_asked_to_reconnect(place: Place, prove: Callable[..., Outcome]) -> None:
    """The application swallowed the refusal of the grant: nobody was asked, and appointments wait for ever."""
    business = place.business(calendar_connected=True, google_refresh_token="1//0g-revoked")
    _appointment(place, business)
    with place.defects("invalid-grant-ignored"):
        assert place.jobs() == 200
    asked = "SELECT count(*) FROM compliance_events WHERE business_id = %s"
    prove("reconnect-calendar", broken=lambda: place.sql(asked, business)[0][0] == 0)
    shown = Doing(ACTIONS["reconnect-calendar"], place.target).show()
    link = f"{place.env['SANDBOX_BASE_URL']}/api/onboarding/calendar/google"
    assert [line for line in shown.said if business in line and line.endswith(link)]


def test_a_client_is_let_in_again(place: Place, prove: Callable[..., Outcome]) -> None:
    """A customer who tried too often waits for a quarter of an hour, or until somebody forgets the count."""
    address, body = "fd00:beef::7", {"email": "somebody@example.com", "password": "wrong-password"}
    headers = {place.env["SANDBOX_CLIENT_HEADER"]: address}
    for _ in range(11):
        place.site.post("/api/auth/login-simple", json=body, headers=headers)
    seen: list[int] = []

    def limited() -> bool:
        with Client(place.env["SANDBOX_UPSTASH_URL"]) as client:
            token = {"authorization": f"Bearer {place.env['SANDBOX_UPSTASH_TOKEN']}"}
            seen.append(int(client.get(f"/get/login:{address}", headers=token).json()["result"] or 0))
        return seen[-1] > 10

    prove("flush-rate-limit", address, broken=limited)
    assert place.site.post("/api/auth/login-simple", json=body, headers=headers).status == 401


def test_a_changed_variable_is_deployed(place: Place, prove: Callable[..., Outcome]) -> None:
    """A variable that is changed without a deployment is not in effect; the new deployment goes live."""
    place.vercel("PATCH", "/v9/projects/prj_sandbox/env/env_stripe_secret_key", value="new")
    old = place.live()

    def not_in_effect() -> bool:
        live = place.vercel("GET", "/v9/projects/prj_sandbox")["targets"]["production"]
        changed = max(v["updatedAt"] for v in place.vercel("GET", "/v10/projects/prj_sandbox/env")["envs"])
        waiting = place.vercel("GET", "/v7/deployments?state=QUEUED")["deployments"]
        return bool(changed > live["createdAt"]) and not waiting

    done = prove("redeploy", broken=not_in_effect)
    assert "STRIPE_SECRET_KEY" in done.steps[0].what
    assert eventually(place.live, lambda live: live != old, within=30) != old


def test_the_last_good_deployment_is_promoted_and_that_undone(place: Place, prove: Callable[..., Outcome]) -> None:
    """A deployment broke a page: the one before it serves it again; undone, the page is broken as before."""
    newest = place.live()
    place.sandbox.switch(["page-500"])
    page = place.site
    try:
        prove("promote", broken=lambda: page.get("/pricing").status == 500)
        assert place.live() != newest
        prove("undo-promote", broken=lambda: page.get("/pricing").status == 200)
        assert place.live() == newest
    finally:
        place.sandbox.switch([])


def test_from_the_command_line(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shown, done, written down and done again, with the exit codes of the page, on the attached sandbox."""
    monkeypatch.setenv("DIALTONE_SANDBOX", str(place.sandbox.state_file))
    record = tmp_path / "actions.jsonl"
    command = [
        "do",
        "create-index",
        "calls.to_number",
        "--config",
        str(ROOT / "dialtone.toml"),
        "--record",
        str(record),
    ]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.startswith("create-index on sandbox: 1 step, nothing was changed\n1. index calls.to_number, ")
    assert said.endswith("do it: dialtone do create-index calls.to_number --yes\n")
    assert main([*command, "--yes"]) == 0
    assert "create-index on sandbox: done, nothing is left to do" in capsys.readouterr().out
    assert main([*command, "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == []
    assert len(record.read_text().splitlines()) == 2
    assert main([*command[:2], "calls.nothing", *command[3:]]) == 4
    assert "calls.nothing is no column of a table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 401}, "stripe answered 401 to GET /v1/invoices"),
        ({"status": 429}, "stripe answered 429 to GET /v1/invoices"),
        ({"status": 200, "body": "<html>"}, "not JSON: text/plain, 6 bytes"),
        ({"status": 0}, "connection"),
        (
            {"status": 200, "body": {"data": [{}]}},
            r"itself failed: KeyError at repairs\.py:\d+: an answer had another form",
        ),
    ],
    ids=["refused", "limited", "html", "cut", "another form"],
)
def test_a_provider_that_does_not_answer_is_told(
    place: Place, tmp_path: Path, fault: dict[str, Any], said: str
) -> None:
    """Nothing is done when it is not known what is to be done."""
    record = Record(tmp_path / "actions.jsonl")
    with place.fault(provider="stripe", path="/v1/invoices", **fault), pytest.raises(NotPossible, match=said):
        Doing(ACTIONS["retry-invoice"], place.target).take(record, "tester")
    assert record.entries() == []


def test_a_role_that_may_not_is_told(place: Place, tmp_path: Path) -> None:
    """With the prober's own role, which only reads, nothing is ended and nothing is said to be mended."""
    credentials = {**place.target.credentials, "repair_database_url": place.env["SANDBOX_DATABASE_URL"]}
    weak = replace(
        place.target, credentials=credentials, profile=place.target.profile.model_copy(update={"settle": 0.1})
    )
    with place.held("long-query"):
        done = Doing(ACTIONS["end-long-queries"], weak, ["older=2s"]).take(Record(tmp_path / "a.jsonl"), "tester")
    assert not done.mended
    assert [(step.failed, "no right" in str(step.came)) for step in done.steps] == [(True, True)]
