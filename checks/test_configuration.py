"""Configuration and secrets: what has to be set is set, clean, and belongs to this environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dialtone import check, eventually, expect, fail, note, ok, undecided


def _flags(tree: Any) -> Iterator[tuple[str, bool]]:
    """Every `NAME: set or not` in an answer, however it is nested: true, "set", {"set": true} …"""
    if not isinstance(tree, dict):
        return
    for key, value in tree.items():
        if isinstance(value, dict) and not any(
            isinstance(value.get(k), bool) for k in ("set", "present", "configured")
        ):
            yield from _flags(value)
        elif isinstance(value, list) and "missing" in str(key).lower():
            yield from ((str(name), False) for name in value)
        elif str(key).isupper():
            said = value
            if isinstance(value, dict):
                said = next(value[k] for k in ("set", "present", "configured") if isinstance(value.get(k), bool))
            yield str(key), said is True or str(said).lower() in ("set", "true", "ok", "present", "configured", "yes")


@check(
    severity="P1",
    runbook="configuration",
    catches=["env-missing"],
    needs=["routes.environment", "required_variables"],
    requests=1,
    gate=True,
)
def test_required_variables_are_set(target, http):
    """The application sees every variable that it cannot do without."""
    answer = http.get(target.route("environment"))
    expect(answer).status(200, 500, 503)
    flags = dict(_flags(answer.json()))
    if not flags:
        undecided("the answer names no variable")
    missing = [name for name in target.profile.required_variables if flags.get(name) is False]
    unseen = [name for name in target.profile.required_variables if name not in flags]
    if missing:
        fail(f"not set in the application: {', '.join(missing)}", value=len(missing), unit="count")
    note("not told about", unseen)
    if len(unseen) == len(target.profile.required_variables):
        undecided("the answer tells about none of the required variables")
    ok(f"{len(flags) - len(missing)} variables are set", value=len(flags), unit="count")


@check(
    severity="P0",
    runbook="configuration",
    effect="costs",
    catches=["live-key"],
    needs=["webhooks.retell", "requests.book", "tenant", "journal", "key_mode"],
    requests=1,
)
def test_keys_belong_to_this_environment(target, book, tenant, journal):
    """The application calls its providers with keys of this environment: no live key in a test, no test key live."""
    book(tenant).must_have_worked()
    calls = eventually(
        lambda: [r for r in journal.requests() if (r.get("credential") or {}).get("owner") == "application"],
        lambda seen: any(r["provider"] == "stripe" for r in seen),
        within=target.profile.settle,
    )
    modes = {(r["provider"], r["credential"]["mode"]) for r in calls if r["credential"].get("mode") in ("test", "live")}
    if not modes:
        undecided("no outgoing call with a key whose form tells its environment")
    wrong = sorted(provider for provider, mode in modes if mode != target.profile.key_mode)
    if wrong:
        fail(f"the application uses a key of another environment for {', '.join(wrong)}")
    ok(f"keys are {target.profile.key_mode} keys")


@check(
    severity="P0",
    runbook="configuration",
    effect="costs",
    catches=["stripe-key-revoked", "stripe-old-key-first"],
    needs=["webhooks.retell", "requests.book", "tenant", "journal"],
    requests=1,
)
def test_providers_accept_the_applications_credentials(target, book, tenant, journal, run):
    """No provider answers 401 or 403 to the application's own credential."""
    book(tenant).must_have_worked()
    customer = tenant["stripe_customer_id"]
    calls = eventually(
        lambda: [r for r in journal.requests(contains=customer) if r["provider"] == "stripe"],
        bool,
        within=target.profile.settle,
    )
    if not calls:
        undecided("the booking led to no call that could be told by its customer")
    refused = sorted({r["provider"] for r in calls if r["status"] in (401, 403)})
    if refused:
        fail(f"{', '.join(refused)} refuses the application's credential")
    ok(f"{len(calls)} calls, none refused", value=len(calls), unit="count")
