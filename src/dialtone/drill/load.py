"""Customers while an experiment runs: one call after another in a thread, each a sample of how the service is."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dialtone.verdict import Judged

MOST = 400
"""Samples of a series that a report keeps; of a longer one every second, third … is kept."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One call: when it began (wall clock, s), how long it took (s), whether the customer got what they wanted."""

    at: float
    seconds: float
    good: bool
    what: str = ""
    """Of a bad one, in a word or two."""
    got: Any = field(default=None, repr=False, compare=False)
    """What the call returned."""


class Load:
    """Calls `call` every so many seconds until `stop`; an answer is good when it is true, or its `success` is."""

    def __init__(
        self,
        what: str,
        call: Callable[[], Any],
        *,
        every: float = 0.3,
        most: int = 1_000,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what, self._call, self._every, self._most = what, call, every, most
        self._wall, self._clock = wall, clock
        self._samples: list[Sample] = []
        self._end = threading.Event()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=lambda: context.run(self._run), name="dialtone-load", daemon=True)

    def start(self) -> Load:
        """Begin."""
        self._thread.start()
        return self

    def stop(self, within: float = 20.0) -> None:
        """Let the call that is under way end, and make no more; idempotent."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(within)

    @property
    def samples(self) -> list[Sample]:
        """Those that there are, the oldest first."""
        return list(self._samples)

    def between(self, begin: float, end: float = float("inf")) -> list[Sample]:
        """Samples that began in this time (wall clock, s)."""
        return [sample for sample in self.samples if begin <= sample.at < end]

    def _run(self) -> None:
        while not self._end.is_set() and len(self._samples) < self._most:
            self.once()
            self._end.wait(self._every)

    def once(self) -> Sample:
        """One call, now, and its sample."""
        at, begun = self._wall(), self._clock()
        try:
            got: Any = self._call()
        except Judged as judged:
            got, what, good = None, str(judged.finding.verdict), False
        except Exception as error:  # noqa: BLE001 - whatever it is, this customer was not served
            got, what, good = None, type(error).__name__, False
        else:
            good = bool(getattr(got, "success", got))
            what = "" if good else "refused"
        sample = Sample(at, self._clock() - begun, good, what, got)
        self._samples.append(sample)
        return sample

    def shown(self, begin: float) -> dict[str, Any]:
        """The series for a report; times in seconds since `begin`."""
        step = max(1, -(-len(self._samples) // MOST))
        points = [
            {"at": round(s.at - begin, 3), "ms": round(s.seconds * 1000, 1), "good": s.good, "what": s.what}
            for s in self._samples[::step]
        ]
        bad = sum(not s.good for s in self._samples)
        return {"what": self.what, "samples": len(self._samples), "bad": bad, "points": points}
