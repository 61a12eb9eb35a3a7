"""The Allure 3 report of a run, generated without a network and made to call nobody.

Allure's own program (npm `allure`) does the work; from here come its categories, which are our verdicts, its
environment, its history over runs and its quality gate. Each of its pages loads an analytics script from a third party:
that is taken out, and a page that still names another host is refused.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.resources import files as packaged
from pathlib import Path
from typing import Any

from dialtone.report.terminal import state

VARIABLE = "DIALTONE_ALLURE"
PLACES = ("build/tools/allure/node_modules/.bin/allure",)
"""Where the program is put, by `make report` too."""
HISTORY, KEPT = "allure-history.jsonl", 60
GATE = "allure-gate.txt"
"""What Allure's quality gate said, in a line: for whoever tells of the report."""
_PATIENCE = 300.0  # seconds
_GATE_NODE = 24  # `allure quality-gate` ends with an exception of Node's on older ones
CATEGORIES = (
    ("Critical", "critical"), ("Breach", "breach"), ("Broken: the check itself failed", "broken"),
    ("Refused: the prober was turned away", "refused"), ("Offline: no witness answers", "offline"),
    ("Undecided: too little evidence", "undecided"), ("Degraded: the target is missed", "degraded"),
    ("Unarmed: something is not set", "unarmed"),
)  # fmt: skip
"""Name of a category and the state that it holds, the worst first; the rest is ok."""
_ANALYTICS = re.compile(
    r"<script[^>]*\bsrc=[\"']https://www\.googletagmanager\.com/[^>]*>\s*</script>\s*<script>[^<]*dataLayer[^<]*</script>",
    re.IGNORECASE,
)
_LOADS = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"'](?:https?:)?//[^\"']+", re.IGNORECASE)


class SiteError(Exception):
    """The report cannot be made; the message names the remedy."""


def program(environ: Mapping[str, str] = os.environ) -> str:
    """Path of Allure's program. Raises SiteError with the remedy."""
    named = environ.get(VARIABLE)
    places = [named] if named else [*PLACES, "allure"]
    found = next(filter(None, map(shutil.which, places)), None)
    if found is None or shutil.which("node") is None:
        raise SiteError(
            f"Allure 3 and Node are needed: `dialtone report --allure --install` gets Allure with npm (53 MB);"
            f" {VARIABLE} names another program. `dialtone report` without --allure needs neither"
        )
    return found


def install(to: Path = Path(PLACES[0]).parents[2]) -> None:
    """Get Allure's program with npm: every package by its checksum, none of their scripts run. Raises SiteError."""
    if (to / "node_modules/.bin/allure").is_file():
        return
    to.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        (to / name).write_text((packaged("dialtone.report") / "npm" / name).read_text())
    command = ["npm", "ci", "--prefix", str(to), "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except FileNotFoundError:
        raise SiteError("npm is needed to install Allure: it comes with Node (https://nodejs.org)") from None
    except subprocess.TimeoutExpired:
        raise SiteError(f"npm did not end within {_PATIENCE:g} s") from None
    if done.returncode:
        raise SiteError(f"npm ended with {done.returncode}: {(done.stderr or done.stdout)[-800:].strip()}")


def config(output: Path, history: Path | None, document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Allure's configuration (allurerc.json)."""
    told = {"target": document.get("target"), "exit code": document.get("exit_code")}
    rules = [
        {"name": title, "matchers": [{"labels": {"kind" if word in _KINDS else "verdict": f"^{word}$"}}],
         "groupBy": ["severity"], "expand": word in ("critical", "breach")}
        for title, word in CATEGORIES
    ]  # fmt: skip
    options = {"singleFile": True, "reportName": name, "theme": "auto", "groupBy": ["parentSuite", "suite"],
               "sections": ["charts", "timeline"]}  # fmt: skip
    return {
        "name": name,
        "output": str(output),
        **({"historyPath": str(history), "historyLimit": KEPT, "appendHistory": True} if history else {}),
        "variables": {key: str(value) for key, value in told.items() if value is not None},
        "categories": {"rules": rules},
        "plugins": {"awesome": {"options": options}},
        "qualityGate": {"rules": [{"maxFailures": 0}]},
    }


_KINDS = ("broken", "refused", "offline", "undecided")


def generate(build: Path, to: Path, environ: Mapping[str, str] = os.environ) -> tuple[Path, str]:
    """Write the report of the results in a build folder; its page, and a word on Allure's gate. Raises SiteError."""
    results, allure = build / "allure-results", program(environ)
    if not any(results.glob("*-result.json")):
        raise SiteError(f"{results}: no results there; pytest checks --alluredir {results} leaves them")
    document = _document(build / "verdicts.json")
    _surroundings(results, document)
    title = f"Dialtone: {document.get('target') or 'checks'}"
    with tempfile.TemporaryDirectory(prefix="dialtone-allure-") as folder:
        draft = Path(folder, "report")
        _run(allure, "generate", Path(folder), config(draft, (build / HISTORY).resolve(), document, title), results)
        page = next((p for p in (draft / "index.html", draft / "awesome/index.html") if p.is_file()), None)
        if page is None:
            raise SiteError("Allure wrote no page")
        text = cleaned(page.read_text())
        gate = _gate(allure, Path(folder), document, title, results)
    to.mkdir(parents=True, exist_ok=True)
    (to / "index.html").write_text(text)
    (build / GATE).write_text(gate + "\n")
    return to / "index.html", gate


def cleaned(page: str) -> str:
    """The page without the script pair that calls a third party. Raises SiteError when another load is left."""
    text = _ANALYTICS.sub("", page)
    head = re.sub(r"(<script\b[^>]*>).*?</script>", r"\1</script>", text, flags=re.DOTALL | re.IGNORECASE)
    left = _LOADS.findall(head)
    if left or "googletagmanager.com/gtag" in text:
        where = f"loads {left[0]}" if left else "still calls a third party"
        raise SiteError(f"Allure's page {where}: this version of Allure is not known here, use another one")
    policy = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; form-action 'none'"
    return text.replace("<head>", f'<head><meta http-equiv="Content-Security-Policy" content="{policy}">', 1)


def _gate(allure: str, folder: Path, document: Mapping[str, Any], title: str, results: Path) -> str:
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=_PATIENCE, check=False).stdout
    major = int(told.strip().removeprefix("v").partition(".")[0] or 0)
    if major < _GATE_NODE:
        return f"Allure's quality gate was not asked: it needs Node {_GATE_NODE}, here is {told.strip()}"
    done = _started(allure, "quality-gate", folder, config(folder / "gate", None, document, title), results)
    return f"Allure's quality gate: {'passed' if done.returncode == 0 else 'not passed'}"


def _run(allure: str, what: str, folder: Path, told: Mapping[str, Any], results: Path) -> None:
    done = _started(allure, what, folder, told, results)
    if done.returncode:
        raise SiteError(f"allure {what} ended with {done.returncode}: {(done.stderr or done.stdout)[-800:].strip()}")


def _started(
    allure: str, what: str, folder: Path, told: Mapping[str, Any], results: Path
) -> subprocess.CompletedProcess[str]:
    file = folder / "allurerc.json"
    file.write_text(json.dumps(told))
    command = [allure, what, "--config", str(file), "--cwd", str(results.resolve().parent), str(results.resolve())]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise SiteError(f"allure {what} did not end within {_PATIENCE:g} s") from None


def _surroundings(results: Path, document: Mapping[str, Any]) -> None:
    """Environment and executor, as Allure reads them from the folder of the results."""
    from dialtone import __version__

    counts: dict[str, int] = {}
    for entry in document.get("checks", ()):
        counts[state(entry)] = counts.get(state(entry), 0) + 1
    lines = {"target": document.get("target"), "started": document.get("started"), "dialtone": __version__, **counts}
    text = "".join(f"{key}={value}\n" for key, value in lines.items() if value is not None)
    (results / "environment.properties").write_text(text)
    run, server = os.environ.get("GITHUB_RUN_ID"), os.environ.get("GITHUB_SERVER_URL")
    if run and server:
        url = f"{server}/{os.environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{run}"
        told = {"name": "GitHub Actions", "type": "github", "buildName": f"run {run}", "buildUrl": url}
        (results / "executor.json").write_text(json.dumps(told))


def _document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
