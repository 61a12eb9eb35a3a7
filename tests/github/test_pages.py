"""The workflow `pages`: one site of all, and who may see what of it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.github import payloads
from tests.github.actions import Run
from tests.github.conftest import Site
from tests.github.repository import FLOWS, Repository, makefile

from dialtone.history.indicators import COVERED
from dialtone.history.store import HOLDS, Result, Store
from dialtone.history.store import Run as Round
from dialtone.history.windows import tally
from dialtone.report.export import bundle
from dialtone.signing.sealed import new_key, packed
from dialtone.standins.github import Artifact
from dialtone.start.cron import starts_a_month
from dialtone.verdict import Verdict

ALLURE = f"""#!{sys.executable}
import json, pathlib, sys
if sys.argv[1] == "generate":
    told = json.loads(pathlib.Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    pathlib.Path(told["output"]).mkdir(parents=True)
    pathlib.Path(told["output"], "index.html").write_text("<html><head></head>whole</html>")
    with pathlib.Path(told["historyPath"]).open("a") as file:
        file.write("one run\\n")
"""
NPM = """#!/bin/sh
mkdir -p "$3/node_modules/.bin" && cp "$(dirname "$0")/allure" "$3/node_modules/.bin/allure"
"""
WHY = "answered 500 at https://internal.example/up"
SITE = "https://acme.github.io/shop"


def left(
    shop: Repository, *, private: bool = True, recipient: str = "", target: str = "production", ago: float = 0.0
) -> None:
    """A run of checks, `ago` seconds, and a drill of the default branch, as their workflows upload them."""
    entry = {
        "id": "health", "verdict": "critical", "kind": None, "severity": "P0", "armed": True, "experiment": False,
        "reason": WHY, "runbook": "site-down",
    }  # fmt: skip
    now = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    told = {"target": target, "started": now, "finished": now, "exit_code": 1, "checks": [entry]}
    for name, files in (
        ("report", {"allure-results/a-result.json": "{}"}),
        ("drill", {"drill.html": f"<html>{WHY}</html>"}),
    ):
        folder = shop.folder / "left" / name
        for path, text in {"verdicts.json": json.dumps(told), **files}.items():
            (folder / "build" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "build" / path).write_text(text)
        made = bundle(folder / "build", folder / "made", full=private, recipient=recipient)
        shop.site.github.held.artifacts.append(Artifact(name, packed(made, folder / "made")))
    shutil.rmtree(shop.folder / "left")


def published(shop: Repository, payload: Mapping[str, Any] | None = None, run: int = 41, attempt: int = 1) -> Run:
    """The pages, with the repository's own documents, and an Allure that npm brings."""
    shop.tools = {"node": "#!/bin/sh\necho v24.1.0\n", "npm": NPM, "allure": ALLURE, **shop.tools}
    if not shop.site.github.held.artifacts:
        left(shop)
    shop.site.github.held.pages = SITE
    if not (shop.folder / "Makefile").exists():
        makefile(shop)
    return shop.run("pages", "site", "schedule", payload or payloads.schedule(), run=run, attempt=attempt)


def read(folder: Path) -> str:
    """All that is published."""
    return "".join(path.read_text() for path in sorted(folder.rglob("*")) if path.is_file())


def test_pages_show_anybody_states_alone(shop: Repository) -> None:
    """A site is public though its repository is private: no reason in it. Allure's report is an artifact."""
    done = published(shop)
    assert done.status == "success", shop.summary
    site = done.uploads["page"]
    assert sorted(str(p.relative_to(site)) for p in site.rglob("*") if p.is_file()) == [
        "drill/badge.svg", "drill/index.html", "drill/public.json", "index.html", "report/badge.svg",
        "report/index.html", "report/public.json", "status/badge.svg", "status/index.html", "status/status.html",
        "status/status.json",
    ]  # fmt: skip
    assert WHY not in read(site)
    assert json.loads((site / "status/status.json").read_text())["state"] == "down"
    assert (site / "index.html").read_text() == "the documents\n"
    whole = done.uploads["allure"]
    assert "whole" in (whole / "allure-report/index.html").read_text()
    assert WHY in (whole / "verdicts.json").read_text()
    assert f"- at {SITE}" in shop.summary
    assert "Allure's quality gate: passed" in shop.summary
    shop.needs = {"site": {"outputs": {"on": done.outputs["Are there Pages"]["on"]}}}
    assert [step.name for step in shop.run("pages", "deploy", "schedule", payloads.schedule()).steps] == ["deployed"]


def test_pages_that_only_the_team_sees_are_whole(shop: Repository, site: Site) -> None:
    """Where GitHub says that they are not public; Allure's history goes on from run to run."""
    site.github.held.pages_public = False
    done = published(shop)
    page = done.uploads["page"]
    assert WHY in (page / "report/index.html").read_text()
    assert WHY in (page / "drill/index.html").read_text()
    assert "whole" in (page / "report/allure/index.html").read_text()
    assert WHY not in read(page / "status")
    kept = done.uploads["allure"]
    site.github.held.artifacts.append(Artifact("allure", packed([p for p in kept.rglob("*") if p.is_file()], kept)))
    shutil.rmtree(shop.folder / "build")
    again = published(shop, run=42).uploads["allure"]
    assert (again / "allure-history.jsonl").read_text() == "one run\n" * 2


@pytest.mark.parametrize("key", [True, False])
def test_pages_of_a_public_repository(shop: Repository, site: Site, key: bool) -> None:
    """Not even with the key, and not though GitHub called the site closed: the repository is public. Allure's report
    is sealed, or there is none.
    """
    secret, recipient = new_key()
    site.github.held.pages_public = False
    if key:
        shop.secrets = {"DIALTONE_REPORT_KEY": secret}
    left(shop, private=False, recipient=recipient)
    done = published(shop, payloads.schedule(private=False))
    assert done.status == "success", shop.summary
    assert WHY not in read(done.uploads["page"])
    assert json.loads((done.uploads["page"] / "status/status.json").read_text())["state"] == "down"
    assert (done.uploads["page"] / "drill/index.html").is_file()
    assert ("allure" in done.uploads) is key
    if key:
        assert sorted(p.name for p in done.uploads["allure"].rglob("*") if p.is_file()) == [
            "badge.svg", "index.html", "public.json", "report.sealed",
        ]  # fmt: skip


@pytest.mark.parametrize("branch", [True, False])
def test_pages_are_off(shop: Repository, site: Site, branch: bool) -> None:
    """The summary names the remedy, nothing is handed over, nothing fails; a site of a branch cannot be deployed to."""
    shop.tools = {"node": "#!/bin/sh\necho v20.1.0\n", "npm": NPM, "allure": ALLURE}
    left(shop)
    site.github.held.pages, site.github.held.pages_build = (SITE, "legacy") if branch else (None, "workflow")
    done = shop.run("pages", "site", "workflow_dispatch", payloads.workflow_dispatch())
    assert done.status == "success", shop.summary
    assert "Settings, Pages, Build and deployment, Source: GitHub Actions" in shop.summary
    assert "it needs Node 24, here is v20.1.0" in shop.summary
    assert set(done.uploads) == {"allure"}
    assert done.step("Documents").outcome == "skipped"
    shop.needs = {"site": {"outputs": {"on": done.outputs["Are there Pages"]["on"]}}}
    assert shop.run("pages", "deploy", "workflow_dispatch", payloads.workflow_dispatch()).skipped


def test_pages_before_the_first_run(shop: Repository, site: Site) -> None:
    """Nothing was left yet: the documents are published, and what is not there is said."""
    site.github.held.pages = SITE
    makefile(shop)
    done = shop.run("pages", "site", "schedule", payloads.schedule())
    assert done.status == "success", shop.summary
    assert [p.name for p in done.uploads["page"].iterdir()] == ["index.html"]
    assert "`status/` is left out: no run has left one yet" in shop.summary


def test_pages_of_another_target(shop: Repository) -> None:
    """The newest report may be of a preview that somebody checked by hand: its states are not the service's. Allure's
    report is kept, and the history not once more.
    """
    rounds(shop, days=1, ended=60)
    left(shop, target="preview")
    done = published(shop)
    assert done.status == "success", shop.summary
    assert not (done.uploads["page"] / "report").exists()
    assert "`report/` is left out: the last one is of preview" in shop.summary
    assert done.outputs["Pack"] == {"report": "build/report", "history": ""}
    assert not (shop.folder / "build/history-artifact").exists()


def test_pages_stay_where_the_history_cannot_be_had(shop: Repository, site: Site) -> None:
    """What customers see is not replaced by something that knows less."""
    left(shop)
    site.github.held.artifacts.append(Artifact("dialtone-history-production", b"no archive"))
    done = published(shop)
    assert done.step("Restore the history").outcome == "failure"
    assert done.step("Site").outcome == "skipped"
    assert done.uploads == {}


def rounds(shop: Repository, days: int, ended: float) -> None:
    """A history of rounds without a fault, as often as the workflow `checks` starts and with what it says of that."""
    flow = yaml.safe_load((FLOWS / "checks.yml").read_text())
    (cron,) = flow[True]["schedule"]
    apart = 365 / 12 * 86_400 / starts_a_month(cron["cron"])
    told = float(flow["jobs"]["checks"]["env"].get("DIALTONE_EVERY", HOLDS))
    store = Store.open(shop.folder / "history.db")
    for n in range(round(days * 86_400 / apart)):
        at = datetime.now(UTC).timestamp() - ended - n * apart
        found = [Result("health", at, Verdict.OK)]
        store.add(Round(f"r{n}", "production", at, at, every=told, finished=at, exit_code=0), found)
    store.close()
    kept = packed([shop.folder / "history.db"], shop.folder)
    shop.site.github.held.artifacts.append(Artifact("dialtone-history-production", kept))


def test_pages_after_a_start_that_was_dropped(shop: Repository) -> None:
    """One round that GitHub left out is no outage, and half of the time is not without a look."""
    rounds(shop, days=3, ended=45 * 60)
    done = published(shop)
    assert done.status == "success", shop.summary
    assert json.loads((done.uploads["page"] / "status/status.json").read_text())["state"] == "up"
    store = Store.open(shop.folder / "build/history.db")
    now = datetime.now(UTC).timestamp()
    assert tally(store, "production", "health", now - 86_400, now).coverage > COVERED
    store.close()


@pytest.mark.parametrize(("minutes", "state"), [(45, "down"), (75, "unknown")])
def test_pages_without_a_history(shop: Repository, minutes: int, state: str) -> None:
    """A public repository without a key has the last report alone: it speaks for two rounds, and no longer."""
    left(shop, private=False, ago=minutes * 60)
    done = published(shop, payloads.schedule(private=False))
    assert json.loads((done.uploads["page"] / "status/status.json").read_text())["state"] == state


def test_pages_do_not_wait_for_allure(shop: Repository) -> None:
    """It cannot be installed: the status of today is published all the same, and the summary says what is missing."""
    shop.tools = {"npm": "#!/bin/sh\nexit 1\n"}
    left(shop)
    done = published(shop)
    assert done.step("Allure").outcome == "failure"
    assert done.status == "success", shop.summary
    assert json.loads((done.uploads["page"] / "status/status.json").read_text())["state"] == "down"
    assert "Allure's report could not be made: the step Allure says why" in shop.summary
    assert set(done.uploads) == {"page"}


def test_pages_once_more(shop: Repository) -> None:
    """Artifacts of a run are of all its attempts: each hands over its own, and that one is deployed."""
    names = []
    for attempt in (1, 2):
        done = published(shop, attempt=attempt)
        names.append(done.step("Hand over").given.get("name", "github-pages"))
        shop.needs = {"site": {"outputs": done.handed}}
        # Deployed again alone: an attempt in which nothing was handed over.
        deployed = shop.run("pages", "deploy", "schedule", payloads.schedule(), attempt=attempt + 1).step("deployed")
        assert deployed.given.get("artifact_name", "github-pages") == names[-1]
    assert len(set(names)) == 2
