"""One pytest process of a run: arms checks, turns what they raise into verdicts, gathers them in the controller."""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dialtone import report as reports
from dialtone.budget import Need, plan
from dialtone.environment import Environment
from dialtone.http import BadBody
from dialtone.judging import Meta, Record, current
from dialtone.probes.database import DatabaseFailure, DatabaseTrouble
from dialtone.redact import foreign, secrets
from dialtone.verdict import Bad, Finding, Judged, Kind, Severity, Unarmed, Unknown, Verdict

RECORD = pytest.StashKey[Record]()
PROPERTY = "dialtone"
_gatherer: list[reports.Gatherer] = []


class Broken(Exception):
    """A check that failed by itself. Carries where and which kind of error, never a value."""


def meta_of(item: pytest.Item) -> Meta | None:
    """The declaration of a check or experiment, or None for any other test."""
    mark = item.get_closest_marker("dialtone")
    return mark.args[0] if mark else None


def case_of(item: pytest.Item) -> str | None:
    """The id of a parametrised case."""
    spec = getattr(item, "callspec", None)
    return spec.id if spec else None


def id_of(item: pytest.Item) -> str:
    """A check's id: its function's name without `test_`, and `[case]`."""
    name = getattr(item, "originalname", None) or item.name
    case = case_of(item)
    return name.removeprefix("test_") + (f"[{case}]" if case else "")


class Session:
    """The plugin's state in one process: a controller, a worker of xdist, or both in one without xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.is_worker = hasattr(config, "workerinput")
        self.checks: list[pytest.Item] = []
        self.grants: dict[str, int | None] = {}
        self.started = time.time()
        self.environment = Environment(config, self.is_worker)
        self.gatherer = reports.Gatherer()
        if not self.is_worker:
            _gatherer[:] = [self.gatherer]

    def collected(self, items: Sequence[pytest.Item]) -> None:
        """Remember the checks, refuse two with one id, and leave a catalogue where one is asked for."""
        self.checks = [item for item in items if meta_of(item)]
        seen: dict[str, str] = {}
        for item in self.checks:
            if seen.setdefault(id_of(item), item.nodeid) != item.nodeid:
                raise pytest.UsageError(f"two checks have the id {id_of(item)}: {seen[id_of(item)]} and {item.nodeid}")
        if self.checks and os.environ.get("DIALTONE_CATALOG") and not self.is_worker:
            reports.write_json(Path(os.environ["DIALTONE_CATALOG"]), {"checks": [_declared(i) for i in self.checks]})

    def begin(self) -> None:
        """Before the first test: sandbox, target, plan. Does nothing without checks or when only collecting."""
        if not self.checks or self.config.option.collectonly:
            return
        target = self.environment.open()
        meta = [(item, meta_of(item)) for item in self.checks]
        own = target.profile.client_address is not None
        budget = target.profile.budget
        needs = [Need(item.nodeid, m.severity, m.requests, m.samples) for item, m in meta if m and not self._unarmed(m)]
        self.grants = plan(needs, None if own or budget is None else budget.per_round)

    def worker_collected(self) -> None:
        """Controller of xdist: the sandbox has to be up and the profile right before a worker begins."""
        self.environment.foreseen()

    def end(self) -> None:
        """After the last test."""
        self.environment.close()

    def _unarmed(self, meta: Meta) -> str | None:
        target = self.environment.target
        refused = target.refuses(meta.effect)
        needs = [*meta.needs, *([f"objectives.{meta.objective}"] if meta.objective else [])]
        lacks = target.lacks(needs)
        return refused or ("; ".join(dict.fromkeys(lacks)) if lacks else None)

    @contextlib.contextmanager
    def phase(self, item: pytest.Item, when: str) -> Iterator[None]:
        """Around setup, call or teardown of a test: translates exceptions of checks, leaves others alone."""
        meta = meta_of(item)
        if meta is None:
            yield
            return
        if when == "setup":
            item.stash[RECORD] = Record(meta)
        record = item.stash[RECORD]
        token = current.set(record)
        try:
            if when == "setup":
                self._arm(item, meta)
            yield
            if when == "call":
                _has_judged(record)
        except BaseException as error:  # noqa: BLE001 - every way out of a check becomes a verdict, none is swallowed
            raise self._translated(item, record, error) from None
        finally:
            current.reset(token)
            if when == "call" or (when == "setup" and (record.notes.get("unarmed") or record.findings)):
                reports.to_allure(self.config, id_of(item), record, self.environment.runbook)

    def _arm(self, item: pytest.Item, meta: Meta) -> None:
        reason = self._unarmed(meta)
        if reason is None and self.grants.get(item.nodeid, None) == 0:
            reason = "the round's request budget is used up by checks of higher severity"
        if reason:
            raise Unarmed(reason)

    def _translated(self, item: pytest.Item, record: Record, error: BaseException) -> BaseException:
        """The exception that pytest, Allure and every report may see: it holds no value from the target."""
        if isinstance(error, KeyboardInterrupt | SystemExit | pytest.exit.Exception):
            return error
        record.notes.setdefault("at", _location(item, error))
        if isinstance(error, Unarmed):
            record.notes["unarmed"] = secrets.scrub(str(error))
            return pytest.skip.Exception(secrets.scrub(str(error)), _use_item_location=True)
        if isinstance(error, Judged):
            if error.finding not in record.findings:
                record.findings.append(error.finding)
            reason = secrets.scrub(error.finding.reason)
            if isinstance(error, Unknown):
                return pytest.skip.Exception(f"{error.finding.kind}: {reason}", _use_item_location=True)
            return _clean(Bad(error.finding), reason)
        if isinstance(error, DatabaseFailure):
            kind = Kind.REFUSED if error.kind in (DatabaseTrouble.REFUSED, DatabaseTrouble.DENIED) else Kind.UNDECIDED
            record.findings.append(Finding(Verdict.UNKNOWN, error.reason, kind, samples=0))
            return pytest.skip.Exception(f"{kind}: {error.reason}", _use_item_location=True)
        if isinstance(error, pytest.skip.Exception):
            reason = foreign(str(error.msg))
            record.findings.append(Finding(Verdict.UNKNOWN, reason, Kind.UNDECIDED, samples=0))
            return pytest.skip.Exception(f"undecided: {reason}", _use_item_location=True)
        if isinstance(error, AssertionError | pytest.fail.Exception | BadBody):
            verdict = Verdict.CRITICAL if record.meta.severity is Severity.P0 else Verdict.BREACH
            finding = Finding(verdict, foreign(str(error)) or "an assertion does not hold")
            record.findings.append(finding)
            return _clean(Bad(finding), finding.reason)
        said = foreign(str(error)) if type(error).__module__.startswith("dialtone") else ""
        reason = f"{type(error).__name__}{': ' + said if said else ''} at {record.notes['at']}"
        record.findings.append(Finding(Verdict.UNKNOWN, reason, Kind.BROKEN, samples=0))
        return Broken(reason)

    def report(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Verdict into the report's user properties; words in place of a traceback."""
        meta = meta_of(item)
        if meta is None:
            return
        record = item.stash.get(RECORD, None) or Record(meta)
        report.sections = []
        relevant = report.when == "call" or not report.passed
        if not relevant:
            return
        entry = reports.entry(id_of(item), meta, record, teardown=report.when == "teardown")
        report.user_properties = [(PROPERTY, entry)]
        if report.failed:
            report.longrepr = reports.words(record, item.nodeid)

    def crashed(self, nodeid: str, report: pytest.TestReport) -> None:
        """A worker died in a check: broken, with an Allure result of our own making."""
        if not self.environment.opened:
            return
        entry = reports.crashed(nodeid)
        report.user_properties = [(PROPERTY, entry)]
        report.longrepr = entry["reason"]
        reports.crash_to_allure(self.config, entry)

    def finish(self, session: pytest.Session) -> None:
        """Controller: exit code and verdicts."""
        self.environment.close()
        if self.is_worker or not self.gatherer.entries:
            return
        session.exitstatus = self.gatherer.exit_code(int(session.exitstatus))
        document = self.gatherer.document(
            str(self.config.option.target),
            datetime.fromtimestamp(self.started, UTC),
            datetime.now(UTC),
            int(session.exitstatus),
        )
        path = Path(self.config.option.verdicts)
        reports.write_json(path if path.is_absolute() else self.config.rootpath / path, document)

    def summarise(self, terminal: pytest.TerminalReporter) -> None:
        """Controller: the summary at the end of the run."""
        if not self.is_worker and self.gatherer.entries:
            reports.summarise(terminal, self.gatherer, self.environment)


def gathered(report: pytest.TestReport) -> None:
    """Controller: one report arrived."""
    if _gatherer:
        _gatherer[0].add(report)


def _declared(item: pytest.Item) -> dict[str, Any]:
    meta = meta_of(item)
    assert meta is not None
    by_case = not isinstance(meta.catches, Sequence)
    return {
        "id": id_of(item),
        "function": id_of(item).partition("[")[0],
        "nodeid": item.nodeid,
        "severity": meta.severity,
        "effect": meta.effect,
        "runbook": meta.runbook,
        "needs": list(meta.needs),
        "experiment": meta.experiment,
        "catches": list(meta.claims(case_of(item))),
        "any_case": case_of(item) is not None and not by_case,
    }


def _has_judged(record: Record) -> None:
    if not record.findings:
        raise Broken("the check judged nothing: it could not have failed")


def _clean(error: Bad, reason: str) -> Bad:
    error.args = (reason,)
    return error


def _location(item: pytest.Item, error: BaseException) -> str:
    """Where in the check it happened: file and line of the last frame inside the check's own file."""
    path = str(item.path)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    if not frames:
        frames = traceback.extract_tb(error.__traceback__)[-1:]
    if not frames:
        return item.nodeid
    name = Path(frames[-1].filename)
    with contextlib.suppress(ValueError):
        name = name.relative_to(item.config.rootpath)
    return f"{name}:{frames[-1].lineno}"
