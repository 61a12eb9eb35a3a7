"""What a check may ask for.

`target`, `http`, `many`, `objective`, `sampler`, `db`, `tenant`, `tenants`, `hook`, `journal`, `ask`,
`status_pages`, `run`: each is made at
the moment of asking and gone after the check; connections to the database and the identity of the run belong to the
process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from dialtone.judging import Meta, running
from dialtone.judging import judge as judge_finding
from dialtone.objective import Objective
from dialtone.session import SESSION, meta_of
from dialtone.verdict import Finding, Misdeclared, Unarmed

if TYPE_CHECKING:
    from dialtone.drill import Story
    from dialtone.http import Answer
    from dialtone.interceptor.client import Controller
    from dialtone.probes.beside import Beside
    from dialtone.probes.browser import Browser
    from dialtone.probes.caller import Budget, Caller
    from dialtone.probes.database import Database
    from dialtone.probes.journal import Journal
    from dialtone.probes.leftovers import Outside
    from dialtone.probes.many import Many
    from dialtone.probes.memory import Memory
    from dialtone.probes.reach import Reach
    from dialtone.probes.sampler import Sampler
    from dialtone.probes.shared import Shared
    from dialtone.probes.status_page import StatusPages
    from dialtone.probes.synthetic import Run, Tenants
    from dialtone.probes.webhook import Hook
    from dialtone.target import Target

CALLERS: pytest.StashKey[Budget] = pytest.StashKey()


class Judge:
    """An objective in the hands of a check: its judge methods record their finding and end the check when it is bad."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def value(self, value: float, *, what: str = "", samples: int = 1, **evidence: Any) -> Finding:
        """Judge a plain value in the objective's unit."""
        return judge_finding(self.objective.judge(value, what=what, samples=samples, **evidence))

    def rate(self, events: int, samples: int, *, what: str = "", **evidence: Any) -> Finding:
        """Judge a share: `events` counts what the objective names."""
        bad = events if self.objective.direction == "below" else samples - events
        running().measured = {"bad": bad, "objective": self.objective.name.replace(" ", "_")}
        return judge_finding(
            self.objective.judge_rate(events, samples, what=what, sequential=running().sequential, **evidence)
        )

    def quantile(self, values: list[float], *, what: str = "", **evidence: Any) -> Finding:
        """Judge the objective's quantile of samples in its unit."""
        running().measured = self.objective.measured(values)
        return judge_finding(
            self.objective.judge_quantile(values, what=what, sequential=running().sequential, **evidence)
        )

    @property
    def q(self) -> float:
        """The objective's quantile, 0.95 unless told otherwise."""
        return self.objective.quantile or 0.95


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """The target of this run: profile, credentials, effects."""
    opened: Target = request.config.stash[SESSION].environment.open()
    return opened


@pytest.fixture
def meta(request: pytest.FixtureRequest) -> Meta:
    """What the check declares."""
    return _meta(request)


def _meta(request: pytest.FixtureRequest) -> Meta:
    found = meta_of(request.node)
    if found is None:
        raise pytest.UsageError(f"{request.node.nodeid} asks for dialtone's fixtures without @check or @experiment")
    return found


@pytest.fixture(scope="session")
def run(target: Target) -> Run:
    """The identity of this process' run: its token is part of every id that checks make up."""
    from dialtone.probes.synthetic import Run

    return Run(target.profile.marker)


@pytest.fixture(scope="session")
def reach(target: Target) -> Reach:
    """What can be reached, by the word of the witnesses."""
    from dialtone.probes.reach import Reach

    return Reach(target.profile.witnesses)


@pytest.fixture
def callers(request: pytest.FixtureRequest, target: Target, run: Run, reach: Reach) -> Callable[[str], Caller]:
    """Makes callers that share nothing: `callers("second visitor")` speaks from an address of its own."""
    return _callers(request, target, run, reach)


@pytest.fixture
def http(request: pytest.FixtureRequest, target: Target, run: Run, reach: Reach) -> Caller:
    """Requests to the target; an unreachable target is judged at once."""
    return _callers(request, target, run, reach)("")


def _callers(request: pytest.FixtureRequest, target: Target, run: Run, reach: Reach) -> Callable[[str], Caller]:
    """The maker of callers of one test: they share its budget and are closed after it."""
    from dialtone.probes.caller import Budget, Caller

    item: pytest.Item = request.node
    if CALLERS not in item.stash:
        item.stash[CALLERS] = Budget(request.config.stash[SESSION].grants.get(item.nodeid))
    budget = item.stash[CALLERS]

    def make(name: str = "") -> Caller:
        caller = Caller(target, run.token, f"{item.nodeid}/{name}", reach, budget)
        item.addfinalizer(caller.close)
        return caller

    return make


@pytest.fixture
def browser(http: Caller) -> Iterator[Browser]:
    """A real browser, where this machine has one: `visit(path)`, `follow(path)`, `shows(selector)`."""
    from dialtone.probes.browser import opened

    with opened(http) as window:
        yield window


@pytest.fixture
def sampler(request: pytest.FixtureRequest, http: Caller, run: Run) -> Sampler:
    """Samples of latency, errors, connections and cold starts; with `--baseline` beside those of another target."""
    from dialtone.probes.sampler import Sampler

    return Sampler(http, beside=_beside(request, http.target, run))


def _beside(request: pytest.FixtureRequest, target: Target, run: Run) -> Beside | None:
    session = request.config.stash[SESSION]
    baseline = session.environment.baseline
    if baseline is None:
        return None
    from dialtone.comparison import ALPHA
    from dialtone.probes.beside import Beside
    from dialtone.probes.caller import Budget, Caller
    from dialtone.probes.reach import Reach

    item: pytest.Item = request.node

    def caller() -> Caller:
        budget = Budget(session.baseline_grants.get(item.nodeid, 0))
        made = Caller(baseline, run.token, f"{item.nodeid}/baseline", Reach(()), budget)
        item.addfinalizer(made.close)
        return made

    seed = int.from_bytes(sha256(f"{run.token}/{item.nodeid}".encode()).digest()[:4])
    return Beside(target, baseline, caller, ALPHA / max(1, len(session.baseline_grants)), seed)


@pytest.fixture
def many(http: Caller) -> Many:
    """`many(paths)`: as many requests at once as a host may be asked for, each with its sample and verdict."""
    from dialtone.probes.many import Many

    return Many(http)


@pytest.fixture
def objective(request: pytest.FixtureRequest, target: Target) -> Judge:
    """The objective that the check declares."""
    meta = _meta(request)
    if meta.objective is None:
        raise Misdeclared("the check asks for an objective that it does not declare: @check(objective=…)")
    return _judge(request, target, meta.objective)


@pytest.fixture(scope="session")
def objectives(request: pytest.FixtureRequest, target: Target) -> Callable[[str], Judge]:
    """Any objective of the profile by name."""
    return lambda name: _judge(request, target, name)


def _judge(request: pytest.FixtureRequest, target: Target, name: str) -> Judge:
    return Judge(replace(target.objective(name), alpha=request.config.stash[SESSION].alpha))


@pytest.fixture(scope="session")
def _database(target: Target) -> Iterator[Database]:
    from dialtone.probes.database import Database

    if target.profile.database is None:
        raise Unarmed("the profile has no database")
    database = Database(target.secret(target.profile.database))
    yield database
    database.close()


@pytest.fixture(scope="session")
def db(_database: Database) -> Database:
    """Read-only queries of the target's database, each within a time limit."""
    return _database


@pytest.fixture
def statistics(_database: Database) -> Database:
    """The database for questions about all of its sessions and statements: not for a role that sees only its own."""
    _database.need_role("pg_read_all_stats")
    return _database


@pytest.fixture
def indicator(target: Target, db: Database) -> Callable[..., Finding]:
    """`indicator("payment_success", what="…")`: measures an indicator by its SQL and judges it by its objective."""
    from dialtone.probes.indicator import measure

    def judged(name: str, what: str | None = None) -> Finding:
        return judge_finding(measure(target, db, name, what))

    return judged


@pytest.fixture(scope="session")
def _tenants(target: Target, run: Run, _database: Database) -> Iterator[Tenants]:
    from dialtone.probes.synthetic import Tenants

    made = Tenants(target, run, _database)
    yield made
    made.clean()


@pytest.fixture
def tenants(_tenants: Tenants) -> Iterator[Callable[..., Mapping[str, Any]]]:
    """Makes synthetic tenants, removed after the check; keyword arguments override the profile's fields."""
    made: list[Mapping[str, Any]] = []

    def make(**overrides: Any) -> Mapping[str, Any]:
        tenant = _tenants.create(**overrides)
        made.append(tenant)
        return tenant

    yield make
    for tenant in made:
        _tenants.remove(tenant)


@pytest.fixture(scope="session")
def unsealed(target: Target) -> Callable[[str], str]:
    """`unsealed(row["token"])`: a stored value as it was before the application encrypted it, where it does."""
    from dialtone.probes.sealing import through

    spec = target.profile.tenant
    return lambda value: through(spec.unseal, value) if spec and spec.sealed and value else value


@pytest.fixture
def tenant(tenants: Callable[..., Mapping[str, Any]]) -> Mapping[str, Any]:
    """A synthetic tenant of this check alone."""
    return tenants()


@pytest.fixture
def faults() -> Iterator[Controller]:
    """The interceptor whose folder DIALTONE_INTERCEPTOR names; what is put through this fixture ends with the test."""
    from dialtone.interceptor.client import FOLDER_VARIABLE, Controller

    if not os.environ.get(FOLDER_VARIABLE):
        raise Unarmed(f"no interceptor: start one with `dialtone faults serve` and set {FOLDER_VARIABLE}")
    with Controller.attached() as controller:
        yield controller


@pytest.fixture
def journal(target: Target) -> Iterator[Journal]:
    """What the stand-ins took in since the check began (targets with stand-ins only)."""
    from dialtone.probes.journal import Journal

    opened = Journal(target)
    yield opened
    opened.close()


@pytest.fixture
def hook(request: pytest.FixtureRequest, target: Target, http: Caller, run: Run) -> Callable[..., Hook]:
    """`hook("stripe")`: a webhook of the target, with a tenant of this check for its events."""
    from dialtone.probes.webhook import Hook

    def make(name: str, tenant: Mapping[str, Any] | None = None) -> Hook:
        spec = target.webhook(name)
        if tenant is None:
            text = "".join(t or "" for t in (spec.genuine, spec.stop, spec.help))
            tenant = request.getfixturevalue("tenant") if "{{tenant." in text else {}
        if any(effect.provider for effect in spec.effects) and target.profile.journal:
            request.getfixturevalue("journal")  # opened before the first event: it sees what comes after
        return Hook(
            name,
            target,
            http,
            run,
            tenant,
            lambda: request.getfixturevalue("db"),
            lambda: request.getfixturevalue("journal"),
        )

    return make


@pytest.fixture(scope="session")
def leftovers(target: Target) -> Outside:
    """What runs left at providers, by the marker that it carries."""
    from dialtone.probes.leftovers import Outside

    return Outside(target)


@pytest.fixture(scope="session")
def status_pages(target: Target) -> StatusPages:
    """What the providers say of themselves on their status pages."""
    from dialtone.probes.status_page import StatusPages

    return StatusPages(target)


@pytest.fixture(scope="session")
def _shared() -> Iterator[Shared]:
    from dialtone.probes.shared import VARIABLE, Shared

    opened = Shared(os.environ.get(VARIABLE))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def ask(target: Target, reach: Reach, status_pages: StatusPages, _shared: Shared) -> Callable[..., Answer]:
    """`ask("stripe")`: the cheapest read of a provider with the prober's own credential; or another path of it.

    A read that the profile names is made once in a run, whoever asks; `fresh` makes one of its own.
    """
    from dialtone.probes.provider import ask

    def read(name: str, path: str | None = None, form: str | None = None, *, fresh: bool = False) -> Answer:
        record = running()
        record.explanations[name] = partial(status_pages.explanation, name)
        return ask(target, reach, name, path, form, None if fresh or record.meta.experiment else _shared)

    return read


@pytest.fixture(scope="session")
def memory(target: Target) -> Memory:
    """What earlier runs saw of this target: `keep` a number, and ask for the `highest` of the last hours."""
    from dialtone.probes.memory import Memory

    return Memory.of(target)


@pytest.fixture
def story(journal: Journal) -> Story:
    """The steps of an experiment: `steady`, `fault`, `fallback`, `alert`, `recovered`."""
    from dialtone.drill import Story

    return Story(journal)
