"""RPO and RTO of one loss, out of what customers were promised and what came back. Pure functions.

RPO (recovery point): how far back the restored state lies, as customers feel it: from the oldest promise that is
missing to the last moment at which anything was promised before the restore. Nothing missing is 0 s. RTO (recovery
time): from the loss to the first round of looks that are all good, which includes noticing it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dialtone.drill.ledger import Answer, Duty, Entry, Outcome, Promise, reconcile

DUTY = Duty("row", "booking", "rows")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one loss cost. Times in seconds, from the loss on."""

    promised: int
    lost: int
    lost_beyond: int
    """Of the lost, those that the objective does not excuse."""
    doubled: int
    rpo: float
    seconds_to_detect: float | None
    seconds_to_recover: float

    @property
    def told(self) -> str:
        """For people."""
        kept = f"none of {self.promised:,} promises is missing"
        lost = f"{self.lost:,} of {self.promised:,} promises are missing"
        noticed = "" if self.seconds_to_detect is None else f", noticed after {self.seconds_to_detect:.2f} s"
        doubled = f", {self.doubled:,} are there twice" if self.doubled else ""
        what = (lost if self.lost else kept) + doubled
        return f"RPO {self.rpo:.2f} s ({what}), RTO {self.seconds_to_recover:.2f} s{noticed}"


def measured(
    promises: Iterable[Promise],
    rows: Iterable[Entry],
    *,
    lost_at: float,
    detected_at: float | None,
    stopped_at: float,
    recovered_at: float,
    rpo: float,
) -> Measured:
    """Hold promises against the rows that are there after the restore.

    `stopped_at` is when the restore began: what was promised until then may be missing, what was promised later may
    not, whatever the objective `rpo` (s) says.
    """
    told = [promise for promise in promises if promise.kind == DUTY.of]
    ledger = reconcile(told, {DUTY.book: rows}, [DUTY])
    missing = [line.promised_at for line in ledger.of(Outcome.LOST) if line.promised_at is not None]
    given = [p.at for p in told if p.answer is Answer.YES and p.at <= stopped_at]
    last = max([lost_at, *given])
    before = [at for at in missing if at <= last]
    return Measured(
        promised=sum(p.answer is Answer.YES for p in told),
        lost=len(missing),
        lost_beyond=len(ledger.lost_beyond(rpo, last)),
        doubled=ledger.count(Outcome.DOUBLED),
        rpo=last - min(before) if before else 0.0,
        seconds_to_detect=None if detected_at is None else detected_at - lost_at,
        seconds_to_recover=recovered_at - lost_at,
    )
