"""Enriches Allure results: label `verdict`, severity, link to the runbook, evidence where it is worse than ok.

Everything happens only when a results directory was asked for; allure-pytest is an optional dependency.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pluggy
import pytest

from dialtone.judging import Record
from dialtone.redact import secrets
from dialtone.verdict import Severity, Verdict

_SEVERITY = {
    Severity.P0: "blocker",
    Severity.P1: "critical",
    Severity.P2: "normal",
    Severity.P3: "minor",
}

_hook = pluggy.HookimplMarker("allure")
_FIXTURES = set(
    "target run reach callers http sampler objective objectives meta db tenants tenant journal hook ask story"
    " _database _tenants".split()
)
_TIMES = ("seconds_to_detect", "seconds_to_alert", "seconds_to_recover")
_OURS = {"verdict", "kind", "effect", "proof", "severity"}


def results_directory(config: pytest.Config) -> Path | None:
    """Where allure-pytest writes, or None when it does not."""
    folder = getattr(config.option, "allure_report_dir", None)
    return Path(folder) if folder else None


def to_allure(config: pytest.Config, check_id: str, record: Record, runbook: str) -> None:
    """Labels, link and evidence of the check that just ran."""
    if results_directory(config) is None:
        return
    import allure

    worst = record.worst()
    unarmed = record.notes.get("unarmed")
    verdict = "unarmed" if unarmed else str(worst.verdict)
    allure.dynamic.label("verdict", verdict)
    if worst.kind and not unarmed:
        allure.dynamic.label("kind", str(worst.kind))
    allure.dynamic.label("effect", str(record.meta.effect))
    if record.meta.proof:
        allure.dynamic.label("proof", record.meta.proof)
    allure.dynamic.severity(_SEVERITY[worst.severity or record.meta.severity])
    allure.dynamic.link(f"{runbook}#{record.meta.runbook}", name=f"runbook: {record.meta.runbook}")
    if record.notes.get("experiment"):
        allure.attach(secrets.scrub(story(record.notes["experiment"])), "time line", allure.attachment_type.TEXT)
    if unarmed or worst.verdict is Verdict.OK:
        return
    text = json.dumps(evidence(check_id, record), ensure_ascii=False, default=str)
    allure.attach(secrets.scrub(text), "evidence", allure.attachment_type.JSON)


def story(told: Mapping[str, Any]) -> str:
    """An experiment's times, steps and ledger as lines; seconds since its begin."""
    times = (f"{name.removeprefix('seconds_to_')} {told[name]:.2f} s" for name in _TIMES if told.get(name) is not None)
    counts = (f"{told.get(name, 0)} {name}" for name in ("lost", "doubled"))
    steps = (
        f"{step['at']:8.2f}  {step['step']:<13} {'' if step['holds'] else 'DOES NOT HOLD: '}{step['what']}"
        for step in told.get("steps", ())
    )
    return "\n".join([", ".join((*times, *counts)), *steps]) + "\n"


def evidence(check_id: str, record: Record) -> dict[str, Any]:
    """Everything that a person may see of what a check saw: findings, notes, the last exchanges, all masked."""
    return {
        "check": check_id,
        "findings": [
            {
                "verdict": str(f.verdict),
                "kind": f.kind and str(f.kind),
                "reason": f.reason,
                "value": f.value,
                "unit": f.unit,
                "samples": f.samples,
                **({"evidence": dict(f.evidence)} if f.evidence else {}),
            }
            for f in record.findings[-20:]
        ],
        "notes": record.notes,
        "exchanges": [exchange() for exchange in record.exchanges[-10:]],
    }


def crash_to_allure(config: pytest.Config, nodeid: str, entry: Mapping[str, Any], runbook: str) -> None:
    """An Allure result for a check whose worker died: nobody else writes one."""
    folder = results_directory(config)
    if folder is None:
        return
    now = int(time.time() * 1000)
    path, _, name = nodeid.partition("::")
    *packages, module = Path(path).with_suffix("").parts
    labels = {
        "verdict": "unknown",
        "kind": "broken",
        "effect": entry["effect"],
        "severity": _SEVERITY[Severity(entry["severity"])],
        "parentSuite": ".".join(packages),
        "suite": module,
        "framework": "pytest",
        "language": "python",
    }
    result = {
        "uuid": str(uuid.uuid4()),
        "name": name.rpartition("::")[2] if "[" not in name else name,
        "fullName": f"{'.'.join((*packages, module))}#{name.partition('[')[0]}",
        "status": "broken",
        "statusDetails": {"message": entry["reason"]},
        "stage": "finished",
        "labels": [{"name": key, "value": value} for key, value in labels.items() if value],
        "links": [_link(runbook, entry["runbook"])] if entry["runbook"] else [],
        "start": now,
        "stop": now,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result['uuid']}-result.json").write_text(json.dumps(result))


def pages_to_allure(config: pytest.Config, pages: Mapping[str, str], since: float) -> None:
    """Attach a page to the results of the red checks of its section; `pages` is section -> Markdown.

    The results of this run (`since`, seconds since the epoch) are written already: a diagnosis knows of all of them.
    """
    folder = results_directory(config)
    if folder is None or not pages:
        return
    written: dict[str, str] = {}
    for path in sorted(folder.glob("*-result.json")):
        result = json.loads(path.read_text())
        section = _section(result)
        if section is None or section not in pages or result.get("start", 0) < since * 1000:
            continue
        if section not in written:
            written[section] = f"{uuid.uuid4()}-attachment.md"
            (folder / written[section]).write_text(secrets.scrub(pages[section]))
        attachment = {"name": "diagnosis", "source": written[section], "type": "text/markdown"}
        result["attachments"] = [*result.get("attachments", []), attachment]
        path.write_text(json.dumps(result, ensure_ascii=False))


def _section(result: Mapping[str, Any]) -> str | None:
    """The section of the runbook that a red check links to."""
    labels = {label["name"]: label["value"] for label in result.get("labels", [])}
    if labels.get("verdict") not in (Verdict.BREACH, Verdict.CRITICAL):
        return None
    names = (str(link.get("name", "")) for link in result.get("links", []))
    return next((name.removeprefix("runbook: ") for name in names if name.startswith("runbook: ")), None)


def _link(runbook: str, section: str) -> dict[str, str]:
    return {"type": "link", "url": f"{runbook}#{section}", "name": f"runbook: {section}"}


def curtain(config: pytest.Config) -> None:
    """Stand between Allure and its files, where results are written."""
    if results_directory(config) is None or config.pluginmanager.hasplugin("dialtone-curtain"):
        return
    from allure_commons import plugin_manager
    from allure_commons.logger import AllureFileLogger

    logger = next((p for p in plugin_manager.get_plugins() if isinstance(p, AllureFileLogger)), None)
    if logger is None:
        return
    made = _Curtain(logger)
    plugin_manager.unregister(logger)
    plugin_manager.register(made)
    config.pluginmanager.register(made, "dialtone-curtain")

    def lift() -> None:
        plugin_manager.unregister(made)
        plugin_manager.register(logger)

    config.add_cleanup(lift)


class _Curtain:
    """Takes the place of Allure's writer and hands on what may be written.

    Allure takes the exceptions of fixtures and steps as they were raised: which error it was is kept, its words are
    not. Fixtures of this package that did well are left out: a file for each would cost more than the check.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    @_hook
    def report_container(self, container: Any) -> None:
        """Fixtures."""
        parts = (*container.befores, *container.afters)
        for part in parts:
            _mask(part)
        if not all(_says_nothing(part) for part in parts):
            self._logger.report_container(container)

    @_hook
    def report_result(self, result: Any) -> None:
        """A test; of two labels of one name the last, since a clean-up may break what was good."""
        for step in result.steps:
            _mask(step)
        if result.statusDetails and result.statusDetails.message:
            result.statusDetails.message = secrets.scrub(result.statusDetails.message)
        last = {label.name: label for label in result.labels}
        result.labels = [x for x in result.labels if x.name not in _OURS or last[x.name] is x]
        self._logger.report_result(result)

    @_hook
    def report_attached_file(self, source: str, file_name: str) -> None:
        """A file that somebody attached."""
        self._logger.report_attached_file(source, file_name)

    @_hook
    def report_attached_data(self, body: str | bytes, file_name: str) -> None:
        """Text that somebody attached."""
        self._logger.report_attached_data(secrets.scrub(body) if isinstance(body, str) else body, file_name)

    @_hook
    def report_globals(self, globals_item: Any) -> None:
        """What belongs to the whole run."""
        self._logger.report_globals(globals_item)


def _mask(part: Any) -> None:
    for step in part.steps:
        _mask(step)
    if part.statusDetails:
        kind = (part.statusDetails.message or "").partition(":")[0].strip()
        part.statusDetails.message = kind if kind.replace(".", "").isidentifier() else "an exception"
        part.statusDetails.trace = None


def _says_nothing(part: Any) -> bool:
    own = part.name.partition("::")[0] in _FIXTURES
    return own and part.status in (None, "passed") and not part.steps and not part.attachments
