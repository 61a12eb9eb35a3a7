"""The files of a first suite, as text: a profile from what was found and seen, three checks, a workflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dialtone.start import flows
from dialtone.start.detect import Found
from dialtone.start.look import UNKNOWN, Seen
from dialtone.start.sdks import sdks
from dialtone.start.trial import Trial

_CHECKS = {
    "home": '''
@check(severity="P0", runbook="site-down", needs=["pages.home"], requests=1)
def test_home_is_served(target, http):
    """The first page is served, and is the right page."""
    page = target.page("home")
    expect(http.get(page.path)).status(200).contains(page.contains)
''',
    "health": '''
@check(severity="P0", runbook="site-down", needs=["routes.health"], requests=1)
def test_health_answers_ok(target, http):
    """The health endpoint answers 200 and says that all is well."""
    answer = expect(http.get(target.route("health"))).status(200)
    if "health_ok" in target.profile.values:  # else the status says it all
        answer.json_field(target.field("health_status", "status"), target.value("health_ok"))
''',
    "time": '''
@check(severity="P1", runbook="response-time", objective="response_time_p95", requests=2, samples=True)
def test_answers_come_in_time(target, sampler, objective):
    """95 % of answers arrive within the objective, connecting not counted."""
    path = target.home.path if target.profile.pages else target.route("health")
    seen = sampler.latency(path, objective.objective, objective.q)
    objective.quantile(seen.values, what=f"p95 of {path}", errors=seen.errors)
''',
    "unknown": '''
@check(severity="P3", runbook="site-down", needs=["routes.unknown_page"], requests=1)
def test_unknown_page_is_404(target, http):
    """A page that does not exist is told as such, not as a page or an error of ours."""
    expect(http.get(target.route("unknown_page"))).status(404)
''',
}

RUNBOOK = Path("docs/runbook.md")
"""Where a red check sends who is on call; the profile's `runbook` names another place."""

_RUNBOOK = """# Runbook

A check that is red names its section here. Write down what your team does: who reads this was woken by it.

<a id="site-down"></a>
## The site is down

1. Open the address. Does it fail for you as well, or for the prober alone?
2. What changed last: a deployment, a variable, a certificate, a bill? Take it back first, look for the cause after.
3. The hosting's status page and logs: WRITE THE ADDRESSES HERE.
4. Who decides, and who tells customers: NAMES AND NUMBERS HERE.

<a id="response-time"></a>
## Answers are slow

1. All addresses, or one? All: the hosting, the database. One: what that page asks of others.
2. Since when? Compare with the last deployment.
3. Slow queries, a full pool, a provider that takes long: WRITE HERE WHERE THAT CAN BE SEEN.

<a id="external-apis"></a>
## A provider does not answer

1. Its status page: WRITE THE ADDRESSES HERE.
2. What still works without it, and what do customers see instead?
3. When it is back: what was missed meanwhile, and how is it made up for?
"""


def names(seen: Seen) -> list[str]:
    """Which checks there is evidence for: three at most."""
    known = {
        "home": seen.page is not None,
        "health": seen.health is not None,
        "time": seen.page is not None or seen.health is not None,
        "unknown": seen.unknown_is_404,
    }
    return [name for name, there in known.items() if there][:3]


def files(found: Found, seen: Seen, url: str | None, trial: Trial | None = None) -> dict[Path, str]:
    """Path -> text, relative to the repository."""
    return {
        Path("dialtone.toml"): profile(found, seen, url, led=trial is not None),
        Path("checks/test_first.py"): checks(seen),
        RUNBOOK: _RUNBOOK,
        **({trial.path: trial.text()} if trial else {}),
        flows.FOLDER / "checks.yml": workflow(found, url),
    }


def checks(seen: Seen) -> str:
    """The checks: policy alone, names come from the profile."""
    chosen = names(seen)
    imported = "check, expect" if {"home", "health", "unknown"} & set(chosen) else "check"
    head = f'"""The first checks: what a visitor of the application meets."""\n\nfrom dialtone import {imported}\n'
    return head + "".join("\n" + _CHECKS[name] for name in chosen)


def profile(found: Found, seen: Seen, url: str | None, *, led: bool = False) -> str:
    """The profile; comments say what it was made of. `led`: the application is led to the interceptor."""
    chosen, lines = names(seen), ["# What is watched, as the application answered when this was written.", ""]
    if seen.page:
        lines += ["[defaults.pages.home]", *_keys(path=seen.page[0], contains=seen.page[1]), ""]
    routes = {"health": seen.health} if seen.health else {}
    routes |= {"unknown_page": UNKNOWN} if "unknown" in chosen else {}
    if routes:
        lines += ["[defaults.routes]", *_keys(**routes), ""]
    if seen.status_field:
        lines += ["[defaults.fields]", *_keys(health_status=seen.status_field[0]), ""]
        lines += ["[defaults.values]", *_keys(health_ok=seen.status_field[1]), ""]
    if "time" in chosen:
        target = max(500, round(4 * seen.slowest, -2))
        lines += [
            f"# The slowest of a few answers took {seen.slowest:,.0f} ms.",
            "[defaults.objectives.response_time_p95]",
        ]
        lines += [*_keys(target=target, alert=2 * target, critical=4 * target, unit="ms", quantile=0.95), ""]
    if found.command:
        lines += [f"# The {found.framework or 'own'} application of this repository, started for the run on $PORT."]
        lines += ["[target.sandbox]", *_keys(kind="sandbox", base_url="${SANDBOX_BASE_URL}", app=found.command)]
        lines += [*(_keys(app_way=found.way, effects=["reads", "disrupts"]) if led else []), ""]
    lines += ["# Only read. The witnesses tell an outage from a prober that is offline.", "[target.production]"]
    lines += _keys(
        kind="production",
        base_url=url or "${PRODUCTION_URL}",
        effects=["reads"],
        witnesses=["https://www.google.com", "https://api.github.com"],
    )
    return "\n".join([*lines, *_providers(found)]) + "\n"


def _providers(found: Found) -> list[str]:
    used = sdks(found.packages)
    lines: list[str] = []
    for sdk in used:
        told = {"base_url": sdk.base_url, "probe": sdk.probe, "credential": sdk.credential, "grant": sdk.grant}
        told |= {"narrow": sdk.narrow} if sdk.narrow else {}
        lines += ["", f"# Its SDK is among the dependencies. A check that needs providers.{sdk.name} reads it."]
        lines += [f"[target.production.providers.{sdk.name}]", *_keys(**told)]
    if used:
        lines += ["", "[target.production.credentials]", *_keys(**{sdk.credential: sdk.variable for sdk in used})]
    return lines


def workflow(found: Found, url: str | None) -> str:
    """The workflow; addresses are variables of the repository, credentials its secrets."""
    address = "" if url else "PRODUCTION_URL"
    secrets = sorted(sdk.variable for sdk in sdks(found.packages))
    needed = flows.Needs("production", [address] if address else [], secrets, address)
    return flows.checks(needed, flows.installing("checks"))


def _keys(**entries: Any) -> list[str]:
    # A basic string of TOML is one of JSON, but for DEL, which a text of a page does not hold.
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]
