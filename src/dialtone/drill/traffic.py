"""The ledger on real traffic, read only: a provider's own list against the target's table, nothing written anywhere.

What the provider did within the window has to stand in the table once, and what the table says was done has to stand
at the provider once. Both lists are read a while beyond the window, since a row is written a moment after what it is
about; what is younger than `within` may still be on its way and is not asked for.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from dialtone.drill.ledger import Duty, Entry, Outcome, Promise, reconcile
from dialtone.probes.provider import count_read, judged_access, opened
from dialtone.target import Target
from dialtone.target.traffic import Traffic
from dialtone.template import fill
from dialtone.verdict import Misdeclared, Undecided

_BEYOND = 3600.0
"""Seconds by which both lists are read beyond the window."""


class Seen(NamedTuple):
    """One entry of either side; `once` names what it was for."""

    key: str
    id: str
    at: float
    once: str | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """What the two lists say of each other; each list of times (s) is sorted."""

    what: str
    provider: str
    since: float
    until: float
    listed: int
    """Entries of the provider within the window."""
    rows: int
    unrecorded: Sequence[float] = ()
    """When the provider did what the table does not know."""
    unproved: Sequence[float] = ()
    """When the table says that something was done, and the provider has nothing of it."""
    doubled: Sequence[float] = ()
    """When something was done, or noted, more than once."""
    kept: int = field(default=0)

    @property
    def bad(self) -> int:
        """How many entries are not as they should be."""
        return len(self.unrecorded) + len(self.unproved) + len(self.doubled)

    @property
    def told(self) -> str:
        """In words, with the times at which to look in the provider's dashboard; no id and no value of theirs."""
        hours = f"of the last {(self.until - self.since) / 3600:.0f} h"
        parts = []
        if self.unrecorded:
            parts.append(
                f"{len(self.unrecorded):,} of {self.listed:,} {self.what} at {self.provider} are not in the table"
                f" ({_when(self.unrecorded)})"
            )
        if self.unproved:
            parts.append(
                f"{len(self.unproved):,} of {self.rows:,} {self.what} in the table are not known to {self.provider}"
                f" ({_when(self.unproved)})"
            )
        if self.doubled:
            parts.append(f"{len(self.doubled):,} {self.what} are there more than once ({_when(self.doubled)})")
        if not parts:
            return f"{self.kept:,} {self.what} {hours} agree with {self.provider}, each once"
        return f"{hours}: {'; '.join(parts)}"


def _when(times: Sequence[float]) -> str:
    first, last = (f"{datetime.fromtimestamp(at, UTC):%m-%d %H:%M}" for at in (times[0], times[-1]))
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


def balanced(spec: Traffic, listed: Iterable[Seen], rows: Iterable[Seen], *, since: float, until: float) -> Balance:
    """Hold two lists against each other. Pure; `since` and `until` bound what either has to have of the other."""
    theirs, ours = list(listed), list(rows)
    recording, proving = spec.owes in ("both", "table"), spec.owes in ("both", "provider")
    recorded, twice_ours = _missing(theirs, ours, since, until)
    proved, twice_theirs = _missing(ours, theirs, since, until)
    again = Counter(one.once for one in {one.id: one for one in theirs}.values() if one.once)
    # Twice is wrong at once, and of what was done for one thing the first time was right.
    first = {one.once: one.id for one in sorted(theirs, key=lambda one: -one.at) if one.once}
    surplus = {
        one.id: one.at
        for one in theirs
        if one.once and again[one.once] > 1 and one.id != first[one.once] and one.at >= since
    }
    return Balance(
        what=spec.what,
        provider=spec.provider,
        since=since,
        until=until,
        listed=sum(since <= one.at <= until for one in theirs),
        rows=sum(since <= one.at <= until for one in ours),
        unrecorded=recorded if recording else (),
        unproved=proved if proving else (),
        doubled=sorted([*(twice_ours if recording else ()), *(twice_theirs if proving else ()), *surplus.values()]),
        kept=len({one.key for one in theirs if since <= one.at <= until} & {one.key for one in ours}),
    )


def _missing(
    promised: Sequence[Seen], book: Sequence[Seen], since: float, until: float
) -> tuple[list[float], list[float]]:
    """Times of what is promised within the window and is not in the book; and of what is there more than once."""
    promises = [Promise("entry", one.key, one.at) for one in promised if since <= one.at <= until]
    entries = [Entry(one.key, one.id, one.at) for one in book]
    ledger = reconcile(promises, {"book": entries}, [Duty("entry", "entry", "book")], closed=False)
    lost, doubled = ledger.of(Outcome.LOST), ledger.of(Outcome.DOUBLED)
    return sorted(line.promised_at or 0.0 for line in lost), sorted(line.promised_at or 0.0 for line in doubled)


def read(
    target: Target,
    name: str,
    rows: Callable[[str, Mapping[str, Any]], Sequence[Mapping[str, Any]]],
    pages: int,
    clock: Callable[[], float] = time.time,
) -> Balance:
    """Read both sides, at most so many `pages` of the provider's: the window is as long as they reach back.

    `rows` asks the database. Raises Unarmed, Undecided, Refused, Misdeclared, DatabaseFailure.
    """
    spec = target.traffic(name)
    now = clock()
    until, wanted = now - spec.within, now - spec.window
    listed, reached = _listed(target, spec, pages, wanted - _BEYOND)
    # What is older than the oldest entry that was read is not known to be missing.
    since = wanted if reached is None else max(wanted, reached + min(_BEYOND, spec.within))
    found = rows(spec.sql, {"since": wanted - _BEYOND})
    if found and not {"key", "at"} <= found[0].keys():
        raise Misdeclared(f"traffic.{name}: its sql has to return the columns key and at")
    ours = [Seen(str(row["key"]), str(row.get("id") or row["key"]), float(row["at"])) for row in found if row["key"]]
    return balanced(spec, listed, ours, since=since, until=until)


def _listed(target: Target, spec: Traffic, pages: int, since: float) -> tuple[list[Seen], float | None]:
    """The provider's entries; and the time of the oldest one, where there were more than could be read."""
    iso = datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    values = {"since": int(since), "since_ms": int(since * 1000), "since_iso": iso}
    path, body = fill(spec.path, values), json.loads(fill(spec.body, values)) if spec.body else None
    found: list[Seen] = []
    page: Any = None
    with opened(target, spec.provider) as send:
        for number in range(1, pages + 1):
            tree = _page(target, spec, send, path, body, page)
            entries = _at(tree, spec.items)
            if not isinstance(entries, list):
                raise Undecided(f"{spec.provider} lists nothing under {spec.items!r}")
            found += [seen for entry in entries if (seen := _seen(spec, entry))]
            page = _next(_at(tree, spec.more), entries, number) if spec.more and entries else None
            if page is None:
                return found, None
    return found, min((one.at for one in found), default=None)


def _page(
    target: Target, spec: Traffic, send: Callable[..., Any], path: str, body: dict[str, Any] | None, page: Any
) -> Any:
    if page is not None and body is not None:
        body = {**body, spec.cursor or "cursor": page}
    elif page is not None:
        path += f"{'&' if '?' in path else '?'}{quote(spec.cursor or 'cursor', safe='[]')}={quote(str(page), safe='')}"
    count_read(target, spec.provider)
    answer = send("POST", path, json.dumps(body).encode()) if body is not None else send("GET", path)
    judged_access(target, spec.provider, answer)
    if answer.failure or not answer.ok:
        said = answer.failure.reason if answer.failure else f"answered {answer.status}"
        raise Undecided(f"{spec.provider} gives no list: {said}; see provider_answers")
    return answer.json()


def _next(more: Any, entries: Sequence[Mapping[str, Any]], number: int) -> Any:
    """What asks for the next page: a name that the answer gives, the number of pages, or the last entry's id."""
    if isinstance(more, bool) or more is None:
        return entries[-1].get("id") if more else None
    if isinstance(more, int):
        return number + 1 if more > number else None
    return more or None


def _seen(spec: Traffic, entry: Any) -> Seen | None:
    key = _at(entry, spec.key)
    if key is None or any(re.search(text, str(_at(entry, name) or "")) for name, text in spec.but.items()):
        return None
    once = _at(entry, spec.once) if spec.once else None
    # Two entries with one key are one thing that is told twice: a redelivery, an event that a page repeats.
    return Seen(str(key), str(key), _time(_at(entry, spec.at)), None if once is None else str(once))


def _time(told: Any) -> float:
    """Seconds since the epoch from seconds, milliseconds or ISO 8601. Raises Misdeclared for anything else."""
    try:
        number = float(told)
    except (TypeError, ValueError):
        try:
            at = datetime.fromisoformat(str(told).replace("Z", "+00:00"))
        except ValueError:
            raise Misdeclared("traffic: the field that `at` names holds no time") from None
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return number / 1000 if number > 1e11 else number


def _at(tree: Any, name: str | None) -> Any:
    for part in (name or "").split("."):
        if isinstance(tree, list) and part.isdigit():
            tree = tree[int(part)] if int(part) < len(tree) else None
        else:
            tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree
