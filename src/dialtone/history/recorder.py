"""What the controller of a run does with its verdicts: into the history, and never lost when that is in trouble.

Results are stored about once a second while the run goes on, so that a run that is killed has left what it knew. The
first trouble ends that; at the end of the run there is one more try, and what is still not stored goes to files beside
the history (`spool.py`), which the next run takes in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialtone.history import latency, spool
from dialtone.history.engines import StoreError
from dialtone.history.rollup import Retention, tidy
from dialtone.history.store import Result, Run, Store
from dialtone.verdict import Kind, Severity, Verdict

_EVERY = 1.0


class Recorder:
    """The history of one run. `trouble` says in words what went wrong, for people; None when nothing did."""

    def __init__(
        self,
        where: str,
        run: Run,
        *,
        keep: Retention | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run = run
        self.trouble: str | None = None
        self._where, self._keep = where, keep
        self._clock, self._monotonic = clock, monotonic
        self._waiting: list[Result] = []
        self._store: Store | None = None
        self._flushed = monotonic()

    def add(self, entry: Mapping[str, Any], measured: Mapping[str, Any] | None = None) -> None:
        """Take one entry of `verdicts.json`, and what its check measured: `bad` samples, `latency` in ns."""
        result = result_of(entry, measured or {}, self._clock())
        if result is None:
            return
        self._waiting.append(result)
        if self.trouble is None and self._monotonic() - self._flushed >= _EVERY:
            self._flush()

    def finish(self, exit_code: int, also: Callable[[Store], None] | None = None) -> None:
        """The run is over: store what waits, take in what earlier runs had to leave, make roll-ups.

        `also` writes what follows from the results into the transaction of the last of them.
        """
        self.run = replace(self.run, finished=self._clock(), exit_code=exit_code)
        self.trouble = None
        place = spool.folder(self._where)
        if self._flush(always=True, also=also):
            self._afterwards(place)
        else:
            self._spool(place)
        self.close()

    def close(self) -> None:
        """Give the store back."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _flush(self, *, always: bool = False, also: Callable[[Store], None] | None = None) -> bool:
        try:
            if self._store is None:
                self._store = Store.open(self._where)
            if self._waiting or always:
                store = self._store
                store.add(self.run, self._waiting, None if also is None else lambda: also(store))
        except StoreError as trouble:
            self.trouble = str(trouble)
            self.close()
            return False
        self._waiting = []
        self._flushed = self._monotonic()
        return True

    def _afterwards(self, place: Path) -> None:
        assert self._store is not None
        try:
            if place.is_dir():
                _, odd = spool.take_in(place, self._store)
                if odd:
                    self.trouble = f"{odd[0]} is no file of results: look at it and remove it"
            tidy(self._store, self._clock(), self._keep)
            if self._store.too_old:
                self.trouble = (
                    f"{self._store.too_old} results are of a time of which only sums are kept, and are not stored: is"
                    " the clock right? The verdicts file holds those of this run"
                )
        except StoreError as trouble:
            self.trouble = f"{trouble}; the results of this run are stored"

    def _spool(self, place: Path) -> None:
        try:
            path = spool.keep(place, self.run, self._waiting)
            self.trouble = f"{self.trouble}; {len(self._waiting)} results are kept in {path} for the next run"
        except OSError as error:
            self.trouble = (
                f"{self.trouble}; {len(self._waiting)} results could not be kept in {place} either"
                f" ({error.strerror}): the verdicts file alone holds them"
            )


def result_of(entry: Mapping[str, Any], measured: Mapping[str, Any], now: float) -> Result | None:
    """An entry of `verdicts.json` as a result; None for one that is not armed. A reason is kept where it is not ok."""
    if not entry["armed"]:
        return None
    verdict, kind = Verdict(entry["verdict"]), entry["kind"]
    values = measured.get("latency") or ()
    return Result(
        str(entry["id"]),
        now,
        verdict,
        Kind(kind) if kind else None,
        Severity(entry["severity"]),
        entry["value"],
        int(entry["samples"]),
        int(measured.get("bad", 1 if verdict.is_bad else 0)),
        float(entry["seconds"]),
        "" if verdict is Verdict.OK else str(entry["reason"]),
        latency.encode(values) if values and latency.available() else None,
        measured.get("objective"),
    )
