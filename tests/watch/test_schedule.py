"""Which check is looked at when: no drift, no pile, no step, whatever changes meanwhile."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dialtone.budget import Need
from dialtone.target.pace import Schedule as Table
from dialtone.verdict import Severity
from dialtone.watch.allowance import month, spread
from dialtone.watch.schedule import JITTER, Check, Look, Schedule


def check(name: str, every: float = 60.0, severity: str = "P2") -> Check:
    """A check of the watch."""
    return Check(name, f"checks/test_it.py::test_{name}", severity, every, 120.0)


def looks(schedule: Schedule, until: float, step: float = 0.5, *, stuck: str = "") -> list[Look]:
    """All looks up to a time, each over at once but those at a check that is stuck."""
    taken = []
    for tick in range(int(until / step) + 1):
        for look in schedule.take(tick * step):
            taken.append(look)
            if look.check.id != stuck:
                schedule.done(look.check.id)
    return taken


@settings(deadline=None, max_examples=40)
@given(every=st.floats(1, 4000), name=st.text(min_size=1, max_size=8))
def test_moments_do_not_drift(every: float, name: str) -> None:
    """Look k is within its jitter of k intervals after the first, and its slot exactly there."""
    schedule = Schedule()
    schedule.update([check(name, every)], 100.0)
    first, found = None, []
    for _ in range(12):
        due = schedule.next
        assert due is not None
        (look,) = schedule.take(due)
        schedule.done(name)
        first = look.due if first is None else first
        found.append(look)
    assert 100.0 <= (first or 0.0) <= 100.0 + min(every, 60.0)
    for k, look in enumerate(found):
        assert abs(look.slot - ((first or 0.0) + k * every)) < 1e-6 * max(1.0, k * every)
        assert -1e-6 <= look.due - look.slot <= JITTER * every + 1e-6


def test_a_thousand_checks_are_spread() -> None:
    """No second of a minute has more than three times its share."""
    schedule = Schedule()
    schedule.update([check(f"c{n}") for n in range(1000)], 0.0)
    taken = looks(schedule, 119.5)
    seconds = [int(look.due) for look in taken if 60 <= look.due < 120]
    assert len(taken) > 1900
    assert max(seconds.count(second) for second in set(seconds)) < 3 * 1000 / 60


def test_what_is_stuck_makes_gaps_and_delays_nobody() -> None:
    """One look of the stuck check, its later moments missed; the other has all of its own."""
    schedule = Schedule()
    schedule.update([check("stuck", 10.0), check("good", 10.0)], 0.0)
    taken = looks(schedule, 95.0, stuck="stuck")
    assert sum(look.check.id == "stuck" for look in taken) == 1
    assert sum(look.check.id == "good" for look in taken) in (9, 10)
    assert schedule.missed in (8, 9)
    schedule.done("stuck")
    assert any(look.check.id == "stuck" for look in looks(schedule, 110.0))


def test_a_reload_keeps_moments() -> None:
    """What is still there with its interval goes on as it was; what changed begins anew; what is gone is never due."""
    schedule = Schedule()
    schedule.update([check("same"), check("other"), check("gone")], 0.0)
    kept = {row[1]: row[0] for row in schedule._heap}
    schedule.update([check("same"), check("other", 5.0), check("new")], 0.0)
    assert len(schedule) == 3
    names = [look.check.id for look in looks(schedule, 59.5)]
    assert "gone" not in names
    assert names.count("other") > 8
    first = next(look for look in looks(schedule, 200.0) if look.check.id == "same")
    assert abs((first.slot - kept["same"]) % 60.0) < 1e-6


def test_the_most_severe_comes_first() -> None:
    """Then whose moment was first."""
    a, b, c = (
        Look(s, due, check(n, severity=s), due) for s, due, n in (("P1", 1, "a"), ("P0", 9, "b"), ("P1", 0, "c"))
    )
    assert sorted([a, b, c]) == [b, c, a]


def test_intervals_as_the_profile_says() -> None:
    """By id, by function, by pattern, as declared, else as everybody's."""
    table = Table.model_validate(
        {"every": "60s", "checks": {"page[home]": "5s", "page": "10s", "back*": "1h", "page[[]x": "2m"}}
    )
    told = [("page[home]", None), ("page[login]", None), ("backup_age", 30.0), ("other", 30.0), ("other", None)]
    assert [table.of(name, declared) for name, declared in told] == [5.0, 10.0, 3600.0, 30.0, 60.0]


@settings(deadline=None, max_examples=80)
@given(
    needs=st.lists(
        st.tuples(st.sampled_from(list(Severity)), st.integers(0, 9), st.booleans(), st.floats(1, 5000)),
        min_size=1,
        max_size=12,
    ),
    requests=st.integers(1, 200),
)
def test_an_address_is_never_overspent(needs: list[tuple[Severity, int, bool, float]], requests: int) -> None:
    """All looks within a window together send what the target allows at most, and each that is served is whole."""
    window = 900.0
    asked = [Need(str(n), severity, count, samples) for n, (severity, count, samples, _) in enumerate(needs)]
    intervals = {str(n): every for n, (*_, every) in enumerate(needs)}
    granted = spread(asked, intervals, requests, window)
    assert sum(granted[n.id] * max(1.0, window / intervals[n.id]) for n in asked) <= requests + 1e-6
    assert all(granted[n.id] == 0 or granted[n.id] >= n.requests for n in asked)


def test_reads_of_a_month_count_each_interval() -> None:
    """One read an hour and one a minute of the same provider."""
    reads = {"a": {"stripe": 1}, "b": {"stripe": 1, "google": 2}}
    assert month(reads, {"a": 3600.0, "b": 60.0}) == {"stripe": 720 + 43_200, "google": 86_400}
