"""RPO and RTO from promises and rows: made-up losses, whose figures are known beforehand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialtone.drill.ledger import Answer, Entry, Promise
from dialtone.drill.recovery.measure import Measured, measured


def _measured(
    promises: list[Promise], kept: list[str], *, rpo: float = 5.0, twice: list[str] | None = None
) -> Measured:
    rows = [Entry(key, f"id-{key}") for key in kept] + [Entry(key, f"again-{key}") for key in twice or []]
    return measured(promises, rows, lost_at=100.0, detected_at=101.5, stopped_at=103.0, recovered_at=110.0, rpo=rpo)


def _promise(at: float, answer: Answer = Answer.YES) -> Promise:
    return Promise("booking", f"{at:g}", at, answer)


def test_nothing_missing_is_no_time() -> None:
    """All there: 0 s, and the time of recovery runs from the loss on."""
    found = _measured([_promise(98), _promise(99)], ["98", "99"])
    assert (found.rpo, found.lost, found.seconds_to_detect, found.seconds_to_recover) == (0.0, 0, 1.5, 10.0)
    assert found.told == "RPO 0.00 s (none of 2 promises is missing), RTO 10.00 s, noticed after 1.50 s"


def test_the_oldest_missing_promise_is_the_recovery_point() -> None:
    """98 is missing and the loss is at 100: two seconds, excused by an objective of five."""
    found = _measured([_promise(97), _promise(98), _promise(99.5)], ["97"])
    assert (found.rpo, found.lost, found.lost_beyond) == (2.0, 2, 0)
    assert "2 of 3 promises are missing" in found.told


def test_what_was_promised_after_the_loss_counts_as_well() -> None:
    """Customers heard yes for two more seconds: the recovery point is as much further away."""
    found = _measured([_promise(99), _promise(102)], [])
    assert (found.rpo, found.lost) == (3.0, 2)


def test_an_objective_excuses_the_last_promises_only() -> None:
    """What was promised ten seconds before, or after the restore, may not be missing."""
    found = _measured([_promise(90), _promise(98), _promise(105)], ["98"])
    assert (found.lost, found.lost_beyond) == (2, 2)


def test_a_refusal_and_a_doubt_are_no_losses() -> None:
    """Who heard no got nothing, who heard nothing may have either; a promise kept twice is doubled."""
    told = [_promise(95, Answer.NO), _promise(96, Answer.DOUBT), _promise(97, Answer.DOUBT), _promise(98)]
    found = _measured(told, ["96", "98"], twice=["98"])
    assert (found.promised, found.lost, found.doubled, found.rpo) == (1, 0, 1, 0.0)
    assert "1 are there twice" in found.told


@given(st.lists(st.floats(0, 103), min_size=1, max_size=30, unique=True), st.data())
def test_the_recovery_point_covers_whatever_is_missing(times: list[float], data: st.DataObject) -> None:
    """Every missing promise is younger than the recovery point says; lost beyond it is nothing."""
    promises = [Promise("booking", str(n), at) for n, at in enumerate(times)]
    kept = data.draw(st.sets(st.sampled_from([p.key for p in promises])))
    found = _measured(promises, sorted(kept))
    last = max(100.0, *times)
    missing = [p.at for p in promises if p.key not in kept]
    assert found.lost == len(missing)
    assert found.rpo == pytest.approx(max((last - at for at in missing), default=0.0))
    assert _measured(promises, sorted(kept), rpo=found.rpo + 1e-6).lost_beyond == 0
