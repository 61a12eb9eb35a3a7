"""What leaves a check becomes its verdict, and an exception that pytest, Allure and every report may see.

Whatever a check raises may quote what the target answered: the message of an assertion, a KeyError, a driver's error.
So nothing of it is passed on. A judgement keeps its reason; an assertion is told by its source text, which holds no
value; of any other exception only its type and place are told.
"""

from __future__ import annotations

import linecache
import os
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from dialtone.http import BadBody
from dialtone.judging import Record, judge
from dialtone.probes.database import DatabaseFailure, DatabaseTrouble
from dialtone.redact import foreign, secrets
from dialtone.template import TemplateError
from dialtone.verdict import Bad, Finding, Judged, Kind, Misdeclared, Severity, Unarmed, Unknown, Verdict


class Broken(Exception):
    """A check that failed by itself. Carries where and which kind of error, never a value."""


def has_judged(record: Record) -> None:
    """A check that judged nothing is broken; what was compared with a baseline is judged after all else.

    An experiment forms its verdict here, when its steps are told and its faults are gone.
    """
    if record.closing is not None:
        closing, record.closing = record.closing, None
        closing()
    if not record.findings:
        raise Broken("the check judged nothing: it could not have failed")
    if record.compared is not None:
        judge(record.compared)


def translated(item: pytest.Item, record: Record, error: BaseException) -> BaseException:
    """The exception to raise instead; the finding is added to the record."""
    if isinstance(error, pytest.exit.Exception):
        return error
    error = _closed(record, error)
    if isinstance(error, KeyboardInterrupt):
        return KeyboardInterrupt()  # its frames, which --full-trace prints with their arguments, stay here
    frame = _frame(item, error)
    record.notes.setdefault("at", _place(item, frame))
    if isinstance(error, Unarmed):
        record.notes["unarmed"] = secrets.scrub(str(error))
        return _skip(str(error))
    if isinstance(error, Unknown) and record.compared is not None and record.compared.verdict.is_bad:
        record.findings.append(error.finding)
        error = Bad(record.compared)  # too little for its objective, and enough to be worse than its baseline
    if isinstance(error, Judged):
        if error.finding not in record.findings:
            record.findings.append(error.finding)
        if isinstance(error, Unknown):
            return _skip(f"{error.finding.kind}: {error.finding.reason}")
        return _clean(_explained(record, error.finding))
    if isinstance(error, DatabaseFailure):
        refused = error.kind in (DatabaseTrouble.REFUSED, DatabaseTrouble.DENIED)
        return _unknown(record, Kind.REFUSED if refused else Kind.UNDECIDED, error.reason)
    if isinstance(error, pytest.skip.Exception):
        return _unknown(record, Kind.UNDECIDED, _spoken(str(error.msg or ""), frame, "skipped by: "))
    if isinstance(error, AssertionError | pytest.fail.Exception | BadBody):
        said = foreign(str(error)) if isinstance(error, BadBody) else _spoken(str(error), frame, "does not hold: ")
        verdict = Verdict.CRITICAL if record.meta.severity is Severity.P0 else Verdict.BREACH
        finding = Finding(verdict, said)
        record.findings.append(finding)
        return _clean(_explained(record, finding))
    reason = f"{type(error).__name__}{_own_words(error)} at {record.notes['at']}"
    record.findings.append(Finding(Verdict.UNKNOWN, reason, Kind.BROKEN, samples=0))
    return Broken(reason)


def _closed(record: Record, error: BaseException) -> BaseException:
    """What an experiment that ended early says of itself: that a step did not hold counts more than what followed."""
    closing, record.closing = record.closing, None
    if closing is None or isinstance(error, KeyboardInterrupt | Unarmed):
        return error
    try:
        closing()
    except Bad as bad:
        return bad
    except Exception:  # noqa: BLE001 - inconclusive, as the error already says
        return error
    return error


def _skip(reason: str) -> BaseException:
    return pytest.skip.Exception(secrets.scrub(reason), _use_item_location=True)


def _unknown(record: Record, kind: Kind, reason: str) -> BaseException:
    record.findings.append(Finding(Verdict.UNKNOWN, reason, kind, samples=0))
    return _skip(f"{kind}: {reason}")


def _clean(finding: Finding) -> Bad:
    error = Bad(finding)
    error.args = (secrets.scrub(finding.reason),)
    return error


def _explained(record: Record, finding: Finding) -> Finding:
    """The finding with what explains it, such as an incident that a provider reports; its verdict stays as it is."""
    told = []
    for subject, explain in record.explanations.items():
        try:
            told.append(explain())
        except Exception:  # noqa: BLE001, S112 - an explanation that fails is none
            continue
        if told[-1]:
            record.notes.setdefault("explained", subject)
    words = [text for text in told if text]
    samples = finding.samples
    if record.second is not None and samples <= 2 and not record.measured:  # of single answers, not of many samples
        attempt, bad = record.second
        record.measured, samples = {"bad": bad}, 2
        words = words if attempt in finding.reason else [attempt, *words]
    if not words and samples == finding.samples:
        return finding
    explained = replace(finding, reason="; ".join([finding.reason, *words]), samples=samples)
    record.findings[record.findings.index(finding)] = explained
    return explained


def _own_words(error: BaseException) -> str:
    """The message of an exception of ours, and the name of a fixture that is not there; others may hold data."""
    if isinstance(error, pytest.FixtureLookupError):
        return f": there is no fixture {error.argname!r}"
    if isinstance(error, Broken | Misdeclared | TemplateError):
        return f": {secrets.scrub(str(error))}"  # made of names only
    return f": {foreign(str(error))}" if type(error).__module__.partition(".")[0] == "dialtone" else ""


def _spoken(message: str, frame: traceback.FrameSummary | None, otherwise: str) -> str:
    """A message where it stands in the source as it is, else, after a word or two, the source itself.

    A message made at run time may hold what the target answered; source text cannot.
    """
    first = message.strip().splitlines()[0] if message.strip() else ""
    lines = linecache.getlines(frame.filename) if frame else []
    if first and first in "".join(lines):
        return first[:300]
    begin = (frame.lineno or 1) - 1 if frame else 0
    end = max(begin + 1, frame.end_lineno or 0) if frame else 0
    return otherwise + (" ".join(line.strip() for line in lines[begin:end])[:200] or "source unknown")


def _frame(item: pytest.Item, error: BaseException) -> traceback.FrameSummary | None:
    """The last frame inside the check's own file, else inside the project; other people's say nothing to a reader."""
    root, mechanism = str(item.config.rootpath), f"{Path(__file__).parent}{os.sep}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename == str(item.path)]
    project = [
        f
        for f in frames
        if f.filename.startswith(root) and not f.filename.startswith(mechanism) and "site-packages" not in f.filename
    ]
    found = own or project
    return found[-1] if found else None


def _place(item: pytest.Item, frame: traceback.FrameSummary | None) -> str:
    """File and line, as a person finds them."""
    if frame is None:
        return f"{item.location[0]}:{(item.location[1] or 0) + 1}"
    path = Path(frame.filename)
    return f"{path.relative_to(item.config.rootpath)}:{frame.lineno}"
