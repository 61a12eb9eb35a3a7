"""One pytest process of a run: arms checks, sees to it that each leaves a verdict, gathers them in the controller."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from dialtone import report as reports
from dialtone.budget import Need, overdrawn, plan
from dialtone.drill import record as drills
from dialtone.environment import Environment
from dialtone.evidence import CONFIDENCE, alpha_of
from dialtone.judging import Meta, Record, current
from dialtone.keeping import LEFT, MEASURED, Keeping, every
from dialtone.scan import holds_checks
from dialtone.verdict import Misdeclared, Unarmed, Verdict

if TYPE_CHECKING:
    from dialtone.runbook.after import Aftermath
    from dialtone.target import Target

SESSION = pytest.StashKey["Session"]()
RECORD = pytest.StashKey[Record]()
PROPERTY = "dialtone"
DECLARED = "dialtone-declared"
REFUSAL = "dialtone: this run is refused"


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


def needs_of(item: pytest.Item, meta: Meta) -> list[str]:
    """What a check needs of the profile, its objective apart; `{name}` stands for the case of that parameter."""
    spec = getattr(item, "callspec", None)
    return [need.format_map(spec.params) if spec and "{" in need else need for need in meta.needs]


def cases_of(item: pytest.Item) -> list[str]:
    """The entries of the profile that the case of an `@each` is about (`webhooks.stripe`)."""
    spec = getattr(item, "callspec", None)
    return [f"{m.args[0]}.{spec.params[m.args[1]]}" for m in item.iter_markers("dialtone_each") if spec]


def reads_of(item: pytest.Item, meta: Meta, behind: Mapping[str, str] | None = None) -> dict[str, int]:
    """How often a check reads which provider: those that it needs, or that are `behind` what it needs."""
    needs = [*needs_of(item, meta), *cases_of(item)]
    needs += [(behind or {}).get(need, "") for need in needs]
    named = {need.split(".")[1] for need in needs if need.startswith("providers.")}
    return dict.fromkeys(sorted(named), meta.reads) if not meta.experiment else {}


class Session:
    """The plugin's state in one process: a controller, a worker of xdist, or both in one without xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.is_worker = hasattr(config, "workerinput")
        self.checks: list[pytest.Item] = []
        self._nodeids: set[str] = set()
        self.grants: dict[str, int | None] = {}
        self.baseline_grants: dict[str, int | None] = {}
        self.started = time.time()
        self.exit_code = 0
        self.environment = Environment(config, self.is_worker)
        self.gatherer = reports.Gatherer()
        self.history = Keeping(self.environment, self.gatherer, self.started)
        self.drill = drills.Drill()
        self.diagnosis: dict[str, Any] | None = None
        self.aftermath: Aftermath | None = None

    def collected(self, items: Sequence[pytest.Item]) -> None:
        """Remember the checks, refuse two with one id, and leave a catalogue where one is asked for."""
        self.checks = [item for item in items if meta_of(item)]
        seen: dict[str, str] = {}
        for item in self.checks:
            if seen.setdefault(id_of(item), item.nodeid) != item.nodeid:
                self._refuse(f"two checks have the id {id_of(item)}: {seen[id_of(item)]} and {item.nodeid}")
        self._nodeids = set(seen.values())
        if self.checks and os.environ.get("DIALTONE_CATALOG") and not self.is_worker:
            reports.write_json(Path(os.environ["DIALTONE_CATALOG"]), {"checks": [_declared(i) for i in self.checks]})

    def begin(self) -> None:
        """Before the first test: sandbox, target, plan. Does nothing without checks or when only collecting."""
        if not self.checks or self.config.option.collectonly:
            return
        from dialtone.side_channels import muffle_logs

        try:
            target = self.environment.open()
        except pytest.UsageError as wrong:
            self._refuse(*wrong.args)
        muffle_logs(self.config)
        reports.curtain(self.config)
        own = target.profile.client_address is not None
        budget = target.profile.budget
        needs = [
            Need(item.nodeid, meta.severity, meta.requests, meta.samples)
            for item in [*self.checks, *self.config.stash.get(LEFT, [])]
            if (meta := meta_of(item)) and self._takes_part(item, meta)
        ]
        spent = int(os.environ.get("DIALTONE_SPENT") or 0)  # by a gate, until the right revision was served
        self.grants = plan(needs, None if own or budget is None else max(0, budget.per_round - spent))
        self.baseline_grants = self._beside(self.environment.baseline)
        self._within_quotas(target)

    def _beside(self, baseline: Target | None) -> dict[str, int | None]:
        """Requests that each check that takes samples may send to the baseline: one before the samples, and these."""
        if baseline is None:
            return {}
        metas = (
            (item.nodeid, meta) for item in self.checks if (meta := meta_of(item)) and self._takes_part(item, meta)
        )
        needs = [Need(name, meta.severity, 1, samples=True) for name, meta in metas if meta.samples]
        budget = None if baseline.profile.client_address else baseline.profile.budget
        return plan(needs, budget.per_round if budget else None)

    def gated(self, items: list[pytest.Item]) -> None:
        """Leave the checks of the gate, and nothing else."""
        kept = [item for item in items if (meta := meta_of(item)) and meta.gate]
        if items and not kept:
            self._refuse("--gate: none of these checks is declared with @check(gate=True)")
        left = [item for item in items if item not in kept]
        if left:
            self.config.hook.pytest_deselected(items=left)
            items[:] = kept

    @property
    def lacking(self) -> dict[str, str]:
        """With `--gate`: what the target requires and is not armed, with the reason."""
        if not self.config.getoption("gate", False) or not self.environment.opened:
            return {}
        return self.gatherer.lacking(self.environment.target.profile.gate.required)

    def _within_quotas(self, target: Target) -> None:
        """Refuse a run whose rounds would, in a month, read a provider more often than its quota allows."""
        schedule, sums, counts = target.profile.schedule, Counter[str](), Counter[str]()
        if schedule is None:
            return
        lists = {f"traffic.{n}": f"providers.{t.provider}" for n, t in target.profile.traffic.items()}
        for item in [*self.checks, *self.config.stash.get(LEFT, [])]:
            meta = meta_of(item)
            if meta and self._takes_part(item, meta):
                reads = reads_of(item, meta, lists)
                sums.update(reads)
                counts.update(reads.keys())
        quotas = {name: p.quota for name, p in target.profile.providers.items() if p.quota is not None}
        file = target.source.name if target.source else "the profile"
        over = overdrawn(sums, quotas, schedule.rounds_a_month)
        lines = [
            f"{file}: target.{target.name}.providers.{name}.quota: {counts[name]} checks read {name} {sums[name]} times"
            f" a round, {month:,} times in a month of {schedule.rounds_a_month:,} rounds, and the quota is"
            f" {quotas[name]:,}: run rounds less often (schedule.every), raise the quota, or leave checks out"
            for name, month in sorted(over.items())
        ]
        if lines:
            self._refuse(*lines)

    @property
    def alpha(self) -> float:
        """The share of false alarms that one look of one check may have: in rounds, by the budget of false pages."""
        profile = self.environment.target.profile
        interval, checks = every(profile), len(self.checks) + len(self.config.stash.get(LEFT, []))
        return alpha_of(profile.history.false_pages, checks, interval) if interval else 1 - CONFIDENCE

    def _refuse(self, *lines: str) -> NoReturn:
        """End the run with exit code 4; a worker tells the controller first, which would else only see it die."""
        if self.is_worker:
            told = pytest.CollectReport(REFUSAL, "failed", "\n".join(lines), [])
            self.config.hook.pytest_collectreport(report=told)
        raise pytest.UsageError(*lines)

    def worker_collected(self) -> None:
        """Controller of xdist: the sandbox has to be up and the profile right before a worker begins."""
        self.environment.foreseen()

    def end(self, *, interrupted: bool = False) -> None:
        """After the last test: the diagnosis of what is red, while there is something to look at."""
        if not interrupted:
            self.diagnose()
        self.environment.close()

    def diagnose(self, apart: str = "") -> None:
        """The diagnosis of what is red among what was gathered; `apart` keeps its pages from those of others."""
        if self.is_worker or not self.gatherer.entries or not self.environment.opened:
            return
        self.aftermath = self.aftermath_of(apart)
        if self.config.option.no_diagnosis:
            self.aftermath.clear()
        else:
            self.diagnosis = self.aftermath.diagnosed(self.gatherer.all(), list(self.gatherer.entries))

    def aftermath_of(self, apart: str) -> Aftermath:
        """What is left to do at the end of a run; `apart` as of `diagnose`."""
        from dialtone.runbook.after import Aftermath

        on, path = self.environment, self._verdicts.with_stem(self._verdicts.stem + apart)
        return Aftermath(on.target, path, self.config.rootpath, self.started, passing=on.passing)

    @property
    def _verdicts(self) -> Path:
        path = Path(self.config.option.verdicts)
        return path if path.is_absolute() else self.config.rootpath / path

    def _takes_part(self, item: pytest.Item, meta: Meta) -> bool:
        try:
            return not self.unarmed(item, meta)
        except Misdeclared:
            return False  # told by the check itself, when its turn comes

    def unarmed(self, item: pytest.Item, meta: Meta) -> str | None:
        """What a check lacks here; None for one that is armed. Raises Misdeclared."""
        target = self.environment.target
        if anybody := [case for case in cases_of(item) if case.endswith(".*")]:
            return f"the profile has no {anybody[0].removesuffix('.*')} that this check is for"
        needs = [*needs_of(item, meta), *([f"objectives.{meta.objective}"] if meta.objective else [])]
        return target.refuses(meta.effect) or "; ".join(target.lacks(needs)) or None

    def phase(self, item: pytest.Item, when: str) -> Generator[None, object, object]:
        """Around setup, call or teardown of a test: translates exceptions of checks, leaves others alone."""
        meta = meta_of(item)
        if meta is None:
            return (yield)
        from dialtone import outcome

        if when == "setup":
            item.stash[RECORD] = Record(meta)
        record, instead, result = item.stash[RECORD], None, None
        token = current.set(record)
        try:
            result = yield
            if when == "call":
                outcome.has_judged(record)
        except BaseException as error:  # noqa: BLE001 - every way out of a check becomes a verdict, none is swallowed
            instead = outcome.translated(item, record, error)
        finally:
            current.reset(token)
        if instead is not None or when == "call":
            reports.to_allure(self.config, id_of(item), record, self.environment.runbook)
        if instead is not None:
            raise instead  # here and not above, so that the frames and the context of the other stay behind
        return result

    def arm(self, item: pytest.Item) -> None:
        """Raise Unarmed, with what it lacks, for a check that cannot run here."""
        meta = meta_of(item)
        if meta is None:
            return
        reason = self.unarmed(item, meta)
        if reason is None and meta.requests and self.grants.get(item.nodeid) == 0:
            reason = "the round's request budget is used up by checks of higher severity"
        if reason:
            raise Unarmed(reason)

    def report(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Verdict into the report's user properties; words in place of a traceback; nothing that was captured."""
        meta = meta_of(item)
        if meta is None:
            return
        record = item.stash.get(RECORD, None) or Record(meta)
        report.sections = []
        if report.when == "setup" and report.passed:
            report.user_properties = [(DECLARED, self._packed(reports.declared(meta)))]
            return
        entry = reports.entry(id_of(item), meta, record, teardown=report.when == "teardown" and not report.passed)
        if report.when == "call" or not report.passed:
            report.user_properties = [(PROPERTY, self._packed(entry))]
            if record.measured:
                report.user_properties.append((MEASURED, self._packed(record.measured)))
            if meta.experiment:
                report.user_properties.append((drills.PROPERTY, self._packed(drills.told(meta, record))))
        elif self.config.getoption("xmlpath", None):  # JUnit takes its properties from the last report
            told = ("verdict", "kind", "severity", "runbook", "reason")
            report.user_properties = [(name, entry[name]) for name in told if entry[name]]
        if report.failed:
            report.longrepr = reports.words(record, item.nodeid)

    def _packed(self, told: dict[str, Any]) -> dict[str, Any] | str:
        """As text from a worker: xdist takes a nested object apart in Python, node by node, and a text in one go."""
        return json.dumps(told) if self.is_worker else told

    def gathered(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Controller: one report arrived."""
        if self.is_worker:
            return
        if report.nodeid == REFUSAL:
            raise pytest.UsageError(*str(report.longrepr).splitlines())
        self.drill.take(report.nodeid, getattr(report, "user_properties", ()))
        self.history.notice(report)
        if self.gatherer.add(report) and report.failed:
            terminal = self.config.pluginmanager.getplugin("terminalreporter")
            if terminal is not None:
                terminal.stats.setdefault("failed", [])  # pytest's last line is red when this category exists
        self.history.take(report)
        self.drill.progress(report.nodeid, self.gatherer.entries.get(report.nodeid), getattr(report, "when", ""))

    def warned(self, warning: warnings.WarningMessage, nodeid: str) -> None:
        """Muffle the warnings of checks; those of other tests are not ours."""
        if nodeid in self._nodeids:
            from dialtone.side_channels import muffle

            muffle(warning)

    def crashed(self, nodeid: str, report: pytest.TestReport) -> None:
        """A worker died in a check: broken, with an Allure result of our own making."""
        declared = self.gatherer.declared.get(nodeid)
        if declared is None and not holds_checks([self.config.rootpath / nodeid.partition("::")[0]]):
            return
        entry = reports.crashed(nodeid, declared)
        report.user_properties = [(PROPERTY, entry)]
        report.longrepr = entry["reason"]
        reports.crash_to_allure(self.config, nodeid, entry, self.environment.runbook)

    def finish(self, session: pytest.Session) -> None:
        """Controller: exit code and verdicts."""
        self.environment.close()
        if self.is_worker or not self.gatherer.entries:
            return
        code = self.gatherer.exit_code(int(session.exitstatus), Verdict(self.config.getoption("fail_on", "breach")))
        if code in (0, reports.EXIT_NOTHING_JUDGED) and self.lacking:
            code = reports.EXIT_REQUIRED
        self.exit_code = self.history.finish(code, Path(self.config.option.dialtone_config), self.diagnosis)
        session.exitstatus = self.exit_code
        document = self.gatherer.document(
            str(self.config.option.target),
            datetime.fromtimestamp(self.started, UTC),
            datetime.now(UTC),
            self.exit_code,
        )
        if self.diagnosis and self.aftermath:
            document["diagnosis"] = self.diagnosis
            reports.pages_to_allure(self.config, self.aftermath.texts, self.started)
        reports.write_json(self._verdicts, document)
        self.drill.finish(self.gatherer.entries, self._verdicts, str(self.config.option.target), self.started)
        if self.exit_code == 0 and self.aftermath and not self.config.option.no_diagnosis:
            self.aftermath.keep(document, list(self.gatherer.entries))

    def summarise(self, terminal: pytest.TerminalReporter) -> None:
        """Controller: the summary at the end of the run."""
        if not self.is_worker and self.gatherer.entries:
            from dialtone.runbook import tell

            closing = list(tell.lines(self.diagnosis, min(terminal._tw.fullwidth, 120))) if self.diagnosis else []
            closing += [(f"required, and not armed: {name} ({why})", True) for name, why in self.lacking.items()]
            root, path = self.config.rootpath, self._verdicts
            path = path.relative_to(root) if path.is_relative_to(root) else path
            reports.summarise(terminal, self.gatherer, self.environment, self.exit_code, path, closing)
            if self.history.trouble:
                terminal.write_line(f"history: {self.history.trouble}", yellow=True)
            for line in self.history.alerts:
                terminal.write_line(line if line.startswith("::") else f"alerts: {line}", yellow=True)


def _declared(item: pytest.Item) -> dict[str, Any]:
    meta = meta_of(item)
    assert meta is not None
    by_case = not isinstance(meta.catches, Sequence)
    return {
        "id": id_of(item),
        "function": id_of(item).partition("[")[0],
        "nodeid": item.nodeid,
        "severity": str(meta.severity),
        "effect": str(meta.effect),
        "runbook": meta.runbook,
        "needs": needs_of(item, meta),
        "reads": reads_of(item, meta),
        "objective": meta.objective,
        "experiment": meta.experiment,
        "dependency": meta.dependency,
        "smoke": meta.smoke,
        "searches": "search" in getattr(item, "fixturenames", ()),
        "requests": meta.requests,
        "samples": meta.samples,
        "catches": list(meta.claims(case_of(item))),
        "any_case": case_of(item) is not None and not by_case,
    }
