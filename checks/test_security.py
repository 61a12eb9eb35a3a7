"""Security: who must not get in does not, and nobody reads what belongs to another tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dialtone import check, expect, fail, ok, pick, undecided
from dialtone.template import fill, typed

_ACCOUNTS = [
    "routes.register",
    "requests.register",
    "routes.appointment_create",
    "routes.appointment",
    "requests.appointment",
]


@check(
    severity="P1",
    runbook="security",
    effect="provokes",
    catches=["login-500"],
    needs=["routes.login", "requests.login"],
    requests=2,
    gate=True,
)
def test_login_refuses_wrong_password(log_in):
    """A wrong password is refused, and a broken request is called broken: neither gets in nor breaks anything."""
    wrong, refused = log_in()
    if not refused:
        expect(wrong).status(400, 401, 403, 422)
    broken, refused = log_in(b'{"email": ')
    if not refused or broken.status == 403:
        expect(broken).status(400, 401, 422)
    ok("neither got in")


def _appointment(target, http, session, written, caller="+15005550009"):
    asked = written(f"{datetime.now(UTC) + timedelta(days=4):%Y-%m-%d}", "09:00")
    content, kind = typed(target.request("appointment"), {"caller": caller, **asked})
    answer = http.post(
        target.route("appointment_create"),
        content=content,
        headers={**session, **kind},
    )
    tree = answer.json() if answer.ok else {}
    found = pick(tree, target.field("appointment_id", "appointment.id"))
    if not found:
        undecided(f"no appointment could be made (status {answer.status})")
    return fill(target.route("appointment"), {"id": found})


@check(
    severity="P0",
    runbook="security",
    effect="writes",
    catches=["appointments-open"],
    needs=_ACCOUNTS,
    requests=4,
)
def test_appointments_need_a_token(target, sign_up, callers, written):
    """Without a token nobody reads an appointment."""
    http, session = sign_up("owner")
    where = _appointment(target, http, session, written)
    answer = callers("stranger").get(where)
    if answer.ok:
        fail("an appointment can be read without a token")
    expect(answer).status(401, 403, 404)


@check(
    severity="P0",
    runbook="security",
    effect="writes",
    catches=["tenant-leak"],
    needs=_ACCOUNTS,
    requests=6,
)
def test_tenants_cannot_read_each_other(target, sign_up, written):
    """The token of one business does not open the appointments of another (two synthetic ones)."""
    http, session = sign_up("owner")
    where = _appointment(target, http, session, written)
    other, other_session = sign_up("other")
    answer = other.get(where, headers=other_session)
    if answer.ok:
        fail("one business can read the appointments of another")
    if answer.status == 401:
        undecided("the other business' own token was not accepted")
    expect(answer).status(403, 404)


@check(
    severity="P1",
    runbook="calls",
    effect="writes",
    catches=["patch-lost"],
    needs=[*_ACCOUNTS, "requests.appointment_change"],
    requests=6,
)
def test_appointment_can_be_changed(target, sign_up, written):
    """A change of an appointment that the application confirms is there when it is read again."""
    http, session = sign_up("owner")
    where = _appointment(target, http, session, written)
    later = written("2030-01-01", "14:30")["time"]
    method = target.profile.values.get("change_method", "PATCH")
    content, kind = typed(target.request("appointment_change"), {"time": later})
    changed = http.request(method, where, content=content, headers={**session, **kind})
    if changed.status == 401:
        undecided("the token of the new business was not accepted")
    expect(changed).status(200, 204)
    again = http.get(where, headers=session)
    expect(again).status(200)
    if later not in again.text():
        fail("the change was confirmed and is lost")
    http.delete(where, headers=session)
    ok("the change is kept")


@check(
    severity="P1",
    runbook="security",
    effect="provokes",
    catches=["cron-open"],
    needs=["routes.own_monitor", "cron"],
    requests=2,
    gate=True,
)
def test_cron_needs_its_secret(target, http, cron):
    """Nobody but the scheduler starts the background jobs."""
    without = http.request(target.profile.cron.method, target.route("own_monitor"))
    for answer in (without, cron("own_monitor", key="dialtone-wrong")):
        if answer.ok:
            fail("a background job can be started without its secret")
        expect(answer).status(401, 403, 404)


@check(
    severity="P1",
    runbook="security",
    objective="refused_signatures",
    catches=["signatures-refused"],
    needs=["database", "queries.refused_signatures"],
    requests=0,
)
def test_few_signatures_are_refused(target, db, objective):
    """Hardly any webhook is refused: else a provider signs with another secret, or somebody is trying."""
    objective.value(float(db.value(target.query("refused_signatures")) or 0), what="webhooks refused within an hour:")


@check(
    severity="P1",
    runbook="security",
    objective="refused_in_a_minute",
    catches=["logins-refused"],
    needs=["database", "queries.refused_in_a_minute"],
    requests=0,
)
def test_no_cluster_of_refusals(target, db, objective):
    """No minute of the last hour is full of 401 and 403: nobody tries passwords or tokens."""
    seen = db.value(target.query("refused_in_a_minute"))
    objective.value(float(seen or 0), what="requests refused (401, 403) in the worst minute of an hour:")
