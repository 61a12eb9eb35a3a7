"""Makes a diagnosis: every look once, whatever it finds, masked; then which cause is the likeliest.

A look that fails, or may not look, says so and takes nothing with it. The record is made of JSON types and told while
it grows, so that whoever waits for it has what was found when the time is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dialtone.http import BadBody
from dialtone.probes.database import DatabaseFailure, DatabaseTrouble
from dialtone.redact import secrets
from dialtone.runbook import causes as cause_files
from dialtone.runbook import looks as look_files
from dialtone.runbook.causes import Candidate, Cause, Entry, candidates, is_red
from dialtone.runbook.looks import Look
from dialtone.runbook.masking import MOST_ROWS, masked
from dialtone.runbook.scene import Scene
from dialtone.target import Target
from dialtone.template import TemplateError
from dialtone.verdict import Judged, Misdeclared, Unarmed

_REMEDIES = {
    DatabaseTrouble.REFUSED: "look at the prober's credential and the connections in use",
    DatabaseTrouble.TIMEOUT: "the database is slow or locked itself: look at it by hand",
    DatabaseTrouble.UNREACHABLE: "the database does not answer: look at its host",
}
Tell = Callable[[Mapping[str, Any]], None]


def due(looks: Sequence[Look], sections: Sequence[str]) -> list[Look]:
    """The looks of these sections, each once, in the order of their files."""
    return [one for one in looks if any(one.is_about(section) for section in sections)]


def facts_of(target: Target, folders: Sequence[Path], clock: Callable[[], float] = time.time) -> dict[str, Any]:
    """What the looks marked as facts say now: look -> rows; those that fail are left out."""
    now = datetime.fromtimestamp(clock(), UTC)
    scene = Scene(target, [], None, now, now)
    try:
        seen = [(one, looked(one, scene)) for one in look_files.declared(folders) if one.facts]
        return {one.name: record["rows"] for one, record in seen if record["rows"] is not None}
    finally:
        scene.close()


def looked(look: Look, scene: Scene) -> dict[str, Any]:
    """One look: `rows`, `said`, what it `suspects`, and what it `lacks`."""
    began, before, missed = time.monotonic(), len(scene.suspects), len(scene.lacks)
    record: dict[str, Any] = {"what": look.what, "rows": None, "said": None, "suspects": [], "lacks": []}
    try:
        _take(record, _seen(look, scene))
    except Unarmed as reason:
        record["lacks"].append(str(reason))
    except DatabaseFailure as trouble:
        remedy = _REMEDIES.get(trouble.kind)
        record["lacks"].append(f"{trouble.reason}{f': {remedy}' if remedy else ''}")
    except Judged as judged:
        record["lacks"].append(judged.finding.reason)
    except BadBody as wrong:
        record["lacks"].append(f"an answer is of no use: it is {wrong}")
    except Exception as error:  # noqa: BLE001 - a look that fails says so, and changes nothing else
        record["lacks"].append(_failed(error))
    record["lacks"] += list(dict.fromkeys(scene.lacks[missed:]))
    record["suspects"] = [{"cause": cause, "because": because} for cause, because in scene.suspects[before:]]
    record["seconds"] = round(time.monotonic() - began, 3)
    return dict(secrets.tree(record))


def _seen(look: Look, scene: Scene) -> Any:
    lacks = scene.target.lacks(look.needs)
    if lacks:
        raise Unarmed("; ".join(dict.fromkeys(lacks)))
    return look.function(**{name: scene.ask_for(name) for name in look.wants})


def _take(record: dict[str, Any], found: Any) -> None:
    if isinstance(found, str):
        record["said"] = masked(found)
    elif isinstance(found, Mapping):
        record["rows"] = [masked(found)]
    elif found is not None:
        rows = list(found)
        record["rows"] = [masked(row) for row in rows[:MOST_ROWS]]
        if len(rows) > MOST_ROWS:
            record["said"] = f"{len(rows) - MOST_ROWS} more rows"


def _failed(error: Exception) -> str:
    """The kind of an error and its place; its words may hold data, unless they are ours."""
    own = isinstance(error, Misdeclared | TemplateError)
    trace, last = error.__traceback__, ""
    while trace is not None:
        last = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"the look itself failed: {type(error).__name__}{f': {error}' if own else ''} at {last}"


def known(request: Mapping[str, Any]) -> dict[str, Any]:
    """The first part of a diagnosis: the causes that are declared, with the red checks that point to them."""
    entries: list[Entry] = request["checks"]
    declared = cause_files.declared([Path(folder) for folder in request["folders"]])
    sections = list(dict.fromkeys(e["runbook"] for e in entries if is_red(e)))
    return {"causes": [_plain(cause, entries) for cause in declared], "sections": sections}


def steps(target: Target, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The other parts, as they are found: whom to turn to about what, then one for each look."""
    entries: list[Entry] = request["checks"]
    sections = list(dict.fromkeys(e["runbook"] for e in entries if is_red(e)))
    names = (*target.profile.contacts, *target.profile.providers)
    yield {"contacts": {name: contact(target, name) for name in names}}
    looks = look_files.declared([Path(folder) for folder in request["folders"]])
    began = datetime.fromisoformat(request["began"])
    scene = Scene(target, entries, request.get("last_ok"), began, datetime.now(UTC))
    try:
        for one in due(looks, sections):
            record = looked(one, scene)
            of = [section for section in sections if one.is_about(section)]
            yield {"look": one.name, "sections": of, "facts": one.facts, **record}
    finally:
        scene.close()


def _plain(cause: Cause, entries: Sequence[Entry]) -> dict[str, Any]:
    return {
        "id": cause.id,
        "says": cause.says,
        "first": cause.first,
        "contact": cause.contact,
        "explains": list(cause.explains),
        "signs": cause.signs(entries),
    }


def contact(target: Target, name: str) -> str:
    """Whom to turn to about a provider: the profile's contact, and its status page."""
    provider = target.profile.providers.get(name)
    contacts = target.profile.contacts
    said = [f"support: {contacts[name]}"] if name in contacts else []
    said += [f"status: {provider.status_page}"] if provider and provider.status_page else []
    return "; ".join(said)


def concluded(parts: Sequence[Mapping[str, Any]], entries: Sequence[Entry], missed: str | None) -> dict[str, Any]:
    """The diagnosis as a document, from the parts that arrived; `missed` says why there are no more."""
    head: Mapping[str, Any] = next((p for p in parts if "causes" in p), {"causes": [], "sections": []})
    contacts: Mapping[str, str] | None = next((p["contacts"] for p in parts if "contacts" in p), None)
    looks = {p["look"]: {k: v for k, v in p.items() if k != "look"} for p in parts if "look" in p}
    seen: dict[str, list[str]] = {}
    strange = []
    known = {cause["id"] for cause in head["causes"]}
    for name, record in looks.items():
        for suspect in record["suspects"]:
            if suspect["cause"] in known:
                seen.setdefault(suspect["cause"], []).append(suspect["because"])
            else:
                strange.append(f"{name} suspects {suspect['cause']}, a cause that is not declared")
    causes = [
        Cause(c["id"], c["says"], c["first"], explains=c["explains"], contact=c["contact"]) for c in head["causes"]
    ]
    signs = {c["id"]: c["signs"] for c in head["causes"]}
    found, unseen = candidates(causes, signs, entries, seen), candidates(causes, signs, entries, {})
    red = [e["id"] for e in entries if is_red(e)]
    accounted = {check for c in found for check in c.checks}
    # The same reason, word for word, is the same trouble: nothing answers, whoever asks.
    reasons = {e["reason"] for e in entries if e["id"] in accounted}
    accounted |= {e["id"] for e in entries if e["reason"] in reasons}
    lacks = [*strange, *([missed] if missed else [])]
    return {
        "cause": _told(found[0], contacts, entries) if found and found[0].checks else None,
        "by_checks": unseen[0].id if unseen else None,  # what would be named without looking
        "candidates": [_told(c, contacts, entries) for c in found[1:6]],
        "unexplained": [check for check in red if check not in accounted],
        "sections": list(head["sections"]),
        "looks": looks,
        "lacks": lacks,
    }


def _told(candidate: Candidate, contacts: Mapping[str, str] | None, entries: Sequence[Entry]) -> dict[str, Any]:
    reasons = {e["id"]: e["reason"] for e in entries}
    because = candidate.because or [reasons[check] for check in candidate.signs[:1]]
    to = candidate.contact
    if to and contacts is not None:  # a provider that the profile does not know is none of this application
        to = f"{to} {contacts[to]}".rstrip() if to in contacts else None
    return {
        "id": candidate.id,
        "says": candidate.says,
        "first": candidate.first,
        "because": because,
        "checks": candidate.checks,
        "contact": to,
    }
