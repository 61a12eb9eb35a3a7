"""Samples beside a baseline: who is accused, of what, in which words, and when nobody is."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dialtone.http import Answer, Failure, FailureKind, Headers, Phases
from dialtone.http.answer import Url
from dialtone.judging import Meta, Record, current, running
from dialtone.probes.beside import Beside, Comparing
from dialtone.probes.caller import Budget
from dialtone.probes.sampler import connect_time, is_error, server_time
from dialtone.target import Target, load
from dialtone.verdict import Kind, Unarmed, Verdict

PROFILE = """
[target.preview]
kind = "preview"
base_url = "https://preview.example.com"
tls_url = "https://preview-tls.example.com:8443"
witnesses = ["one.example.org", "two.example.org"]
[target.production]
kind = "production"
base_url = "https://app.example.com/shop"
witnesses = ["one.example.org", "two.example.org"]
"""


@pytest.fixture
def targets(tmp_path: Path) -> tuple[Target, Target]:
    """Preview and production."""
    path = tmp_path / "dialtone.toml"
    path.write_text(PROFILE)
    return load(path, "preview", {}), load(path, "production", {})


def answer(seconds: float, status: int = 200, failure: Failure | None = None, **headers: str) -> Answer:
    """An answer that took so long."""
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    phases = Phases(connect=0.5, total=0.5 + seconds)
    return Answer("GET", Url("https://app.example.com/x"), status, Headers(pairs), phases=phases, failure=failure)


def took(of: Answer) -> float:
    """Its seconds again."""
    return (server_time(of) or 0) / 1000


@dataclass
class Voice:
    """Speaks for a side: `makes` an answer from the number of the question."""

    makes: Callable[[int], Answer]
    log: list[str]
    name: str = "baseline"
    budget: Budget = field(default_factory=lambda: Budget(None))
    asked: list[tuple[str, str]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def send(self, method: str = "GET", where: str = "/x", **_: Any) -> Answer:
        """The next one."""
        self.records.append(running())
        self.asked.append((method, where))
        self.log.append(self.name)
        return self.makes(len(self.asked) - 1)


class Trial:
    """A comparison of two voices, taken to its end."""

    def __init__(self, targets: tuple[Target, Target], ours: Any, theirs: Any, **options: Any) -> None:
        self.log: list[str] = []
        self.ours, self.theirs = Voice(ours, self.log, "ours"), Voice(theirs, self.log)
        self.theirs.budget = Budget(options.pop("budget", None))
        caller: Any = options.pop("caller", lambda: self.theirs)
        measure = options.pop("measure", server_time)
        self.most = options.pop("samples", 400)
        beside = Beside(*targets, caller, alpha=0.001, seed=options.pop("seed", 4))
        self.it: Comparing = beside.begin("/x", "/x", options.pop("left", None), measure, is_error)

    def run(self) -> Trial:
        """Sample until it is done, or there is no more time."""
        while not self.it.done and self.it.count < self.most:
            self.it.take(self.ours.send, "/x", fresh=False)
        return self


def slow(factor: float, seed: int, sigma: float = 0.3) -> Callable[[int], Answer]:
    """Log-normal latencies around `factor` tenths of a second."""
    chance = random.Random(seed)  # noqa: S311 - samples that can be repeated
    return lambda _: answer(0.1 * factor * chance.lognormvariate(0, sigma))


def test_a_fifth_slower_is_a_breach_with_its_bound(targets: tuple[Target, Target]) -> None:
    """In the words that a person reads: how much, than whom, how sure, on how many pairs."""
    trial = Trial(targets, slow(1.25, 1), slow(1, 2)).run()
    found = trial.it.finding()
    assert found.verdict is Verdict.BREACH
    assert found.reason == "/x: 21 % slower than production (bound: at least 14 %; 300 pairs)"
    assert found.samples == 300
    assert found.value is None  # a ratio has no place among the milliseconds of a history


def test_equal_builds_are_ok_by_a_bound(targets: tuple[Target, Target]) -> None:
    """All pairs are taken, and more than a fifth is excluded."""
    found = Trial(targets, slow(1, 1), slow(1, 2)).run().it.finding()
    assert (found.verdict, found.samples) == (Verdict.OK, 300)
    assert found.reason == "/x: no slower than production (bound: at most 5 % slower; 300 pairs)"


def test_a_prober_that_slows_down_accuses_neither(targets: tuple[Target, Target]) -> None:
    """Both sides become four times as slow while the samples are taken."""
    log_of: list[Trial] = []

    def loaded(inner: Callable[[int], Answer]) -> Callable[[int], Answer]:
        return lambda n: answer(took(inner(n)) * (1 + 3 * log_of[0].it.count / 300 if log_of else 1))

    trial = Trial(targets, loaded(slow(1, 5)), loaded(slow(1, 6)))
    log_of.append(trial)
    assert trial.run().it.finding().verdict is Verdict.OK


def test_noise_that_hides_a_slowdown_is_undecided(targets: tuple[Target, Target]) -> None:
    """Too wide a bound is no proof of anything."""
    found = Trial(targets, slow(1.1, 7, 3), slow(1, 8, 3)).run().it.finding()
    assert (found.verdict, found.kind) == (Verdict.UNKNOWN, Kind.UNDECIDED)
    assert found.reason.startswith("/x: more than 20 % slower than production is not excluded (bound: at most ")


def test_a_longer_tail_is_a_breach(targets: tuple[Target, Target]) -> None:
    """One answer in eight takes five times as long; the usual one is as quick as before."""
    usual = slow(1, 9)
    trial = Trial(targets, lambda n: answer(took(usual(n)) * (5 if n % 8 == 0 else 1)), slow(1, 10)).run()
    found = trial.it.finding()
    assert found.verdict is Verdict.BREACH
    assert "its slow answers are slower than production's: of the slowest tenth of all" in found.reason


@pytest.mark.parametrize("measure", [server_time, None], ids=["latency", "errors alone"])
def test_more_errors_are_a_breach(targets: tuple[Target, Target], measure: Any) -> None:
    """One in six against none."""
    trial = Trial(targets, lambda n: answer(0.1, 500 if n % 6 == 0 else 200), lambda _: answer(0.1), measure=measure)
    found = trial.run().it.finding()
    assert found.verdict is Verdict.BREACH
    assert found.reason == "/x: goes wrong more often than production: 25 of 150 answers, 0 of 150 there"


def test_each_pair_is_one_of_each_in_random_order(targets: tuple[Target, Target]) -> None:
    """By the seed: the same twice, another one otherwise; whoever is first is so about half of the time."""

    def order(seed: int) -> list[str]:
        trial = Trial(targets, slow(1, 1), slow(1, 2), seed=seed).run()
        return trial.log[1:]  # the first only opened the connection

    first = order(1)
    assert first == order(1) != order(2)
    assert all({a, b} == {"ours", "baseline"} for a, b in zip(first[::2], first[1::2], strict=True))
    assert 100 < first[::2].count("ours") < 200


def test_the_baseline_is_only_read(targets: tuple[Target, Target]) -> None:
    """GET of its own address, and none of it is evidence of the target."""
    record = Record(Meta("x"))
    token = current.set(record)
    try:
        trial = Trial(targets, slow(1, 1), slow(1, 2)).run()
    finally:
        current.reset(token)
    assert all(seen is record for seen in trial.ours.records)
    assert set(trial.theirs.asked) == {("GET", "https://app.example.com/shop/x")}
    assert all(seen is not record for seen in trial.theirs.records)


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        (lambda _: answer(0.1, 429), "answered 429: the prober has used up what the target allows its address"),
        (lambda n: answer(0.1, 429 if n > 30 else 200), "answered 429"),
        (lambda _: answer(0.1, 0, Failure(FailureKind.REFUSED, "connection refused")), "it does not answer"),
        (lambda _: answer(0.1, 404), "it answered 404"),
        (lambda n: answer(0.1, 500 if n else 200), "none of its 5 answers was a good one"),
    ],
    ids=["refused", "refused later", "down", "has no such page", "always wrong"],
)
def test_a_baseline_that_is_not_there_accuses_nobody(targets: tuple[Target, Target], theirs: Any, why: str) -> None:
    """Undecided, never offline or refused, which would be the target's; it is asked no further."""
    trial = Trial(targets, slow(9, 1), theirs).run()
    found = trial.it.finding()
    assert (found.verdict, found.kind) == (Verdict.UNKNOWN, Kind.UNDECIDED)
    assert found.reason.startswith("/x: not compared with production: ")
    assert why in found.reason
    asked = len(trial.theirs.asked)
    trial.it.take(trial.ours.send, "/x", fresh=False)
    assert len(trial.theirs.asked) == asked


def test_a_baseline_without_its_credential_is_undecided(targets: tuple[Target, Target]) -> None:
    """Its profile asks for a header that nobody has."""

    def lacking() -> Any:
        raise Unarmed("PRODUCTION_KEY is not set")

    found = Trial(targets, slow(1, 1), slow(1, 2), caller=lacking).it.finding()
    assert found.kind is Kind.UNDECIDED
    assert found.reason == "/x: not compared with production: it cannot be asked: PRODUCTION_KEY is not set"


@pytest.mark.parametrize(
    ("left", "budget", "pairs"), [(None, None, 300), (101, None, 100), (None, 61, 60), (101, 61, 60), (5, None, 0)]
)
def test_both_budgets_hold(targets: tuple[Target, Target], left: int | None, budget: int | None, pairs: int) -> None:
    """As many pairs as the smaller allows, a request apart that opens the connection; hardly any are none."""
    trial = Trial(targets, slow(1, 1), slow(1, 2), left=left, budget=budget).run()
    assert trial.it.count == pairs
    assert ("not compared" in trial.it.finding().reason) == (pairs < 20)


def test_what_was_taken_when_time_is_over_is_looked_at(targets: tuple[Target, Target]) -> None:
    """Twice as slow is seen in forty pairs as well; as quick is not shown by so few; none at all is none."""
    assert Trial(targets, slow(2, 1), slow(1, 2), samples=40).run().it.finding().verdict is Verdict.BREACH
    few = Trial(targets, slow(1, 1), slow(1, 2), samples=15).run().it.finding()
    assert few.reason == "/x: not compared with production: 15 of the 20 pairs that a verdict takes"
    errors = Trial(targets, slow(1, 1), slow(1, 2), samples=74, measure=None).run().it.finding()
    assert errors.reason == "/x: not compared with production: 74 of the 75 pairs that a verdict takes"
    none = Trial(targets, slow(1, 1), slow(1, 2)).it.finding()
    assert none.reason == "/x: not compared with production: there was no time for it"


def test_an_address_of_the_target_is_the_baselines_own(targets: tuple[Target, Target]) -> None:
    """Paths, whole URLs of the target; what is somebody else's is not asked twice."""
    beside = Beside(*targets, lambda: None)  # type: ignore[arg-type, return-value]
    assert beside.url("landing") == "https://app.example.com/shop/landing"
    assert beside.url("https://preview-tls.example.com:8443/x?a=1") == "https://app.example.com/shop/x?a=1"
    assert beside.url("https://preview.example.com") == "https://app.example.com/shop"
    assert beside.url("https://preview.example.com.evil.example/x") is None


def test_times_are_of_the_server_or_of_the_connection() -> None:
    """In ms; none of an answer that was not good."""
    assert server_time(answer(0.1)) == pytest.approx(100)
    assert connect_time(answer(0.1)) == pytest.approx(500)
    assert server_time(answer(0.1, 404)) is None
    assert connect_time(answer(0.1, 0, Failure(FailureKind.REFUSED, "refused"))) is None
