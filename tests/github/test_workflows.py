"""Every `run:` step of the workflows, with the events of GitHub, against a stand-in for its API.

The token of a job has the permissions that its workflow names: what they do not cover is refused, as GitHub does it.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.github import payloads
from tests.github.actions import Run, Runner, filled
from tests.github.conftest import TOKEN, Site, environment
from tests.github.payloads import SHA
from tests.github.repository import FLOWS, ROOT, Repository, makefile
from tests.github.test_pages import published

from dialtone.signing.sealed import new_key
from dialtone.standins.github import Artifact
from dialtone.start.cron import starts_a_month


def zipped(name: str, content: bytes) -> bytes:
    """An artifact's archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, content)
    return made.getvalue()


def test_checks_on_a_schedule(shop: Repository, site: Site) -> None:
    """Green; the report is whole, the history is kept, and the next run takes it up; somebody hears a heartbeat."""
    shop.secrets = {"DIALTONE_HEARTBEAT_URL": f"{site.url}/ping/one"}
    done = shop.run("checks", "checks", "schedule", payloads.schedule())
    assert done.status == "success", [(s.name, s.outcome) for s in done.steps]
    assert site.github.pings == ["one"]
    assert "**1 ok, 1 unarmed**" in shop.summary
    assert set(done.uploads) == {"report", "dialtone-history-production"}
    assert (done.uploads["report"] / "verdicts.json").is_file()
    history = (done.uploads["dialtone-history-production"] / "history.db").read_bytes()
    site.github.held.artifacts.append(Artifact("dialtone-history-production", zipped("history.db", history)))
    shutil.rmtree(shop.folder / "build")
    again = shop.run("checks", "checks", "schedule", payloads.schedule(), run=42)
    assert again.outputs["Restore the history"] == {"history": "build/history.db"}
    more = (again.uploads["dialtone-history-production"] / "history.db").read_bytes()
    assert held(more, shop.folder) == [1800, 1800]


def held(history: bytes, folder: Path) -> list[int]:
    """The runs that a history holds: how often each says that they are, seconds."""
    import sqlite3

    path = folder / "seen.db"
    path.write_bytes(history)
    with closing(sqlite3.connect(path)) as connection:
        return [every for (every,) in connection.execute("SELECT every FROM dialtone_run")]


@pytest.mark.parametrize("folder", [FLOWS, ROOT / "src/dialtone/start/workflows"])
def test_checks_say_how_often_they_are(folder: Path) -> None:
    """What a round counts for is the time to the next one: as the cron beside it, and as the pages have it."""
    checks = (folder / "checks.yml").read_text()
    (cron,) = re.findall(r'cron: "(.+)"', checks)
    for text in (checks, (folder / "pages.yml").read_text()):
        (every,) = re.findall(r'DIALTONE_EVERY: "(\d+)"', text)
        assert int(every) == 365 / 12 * 86_400 / starts_a_month(cron)


def test_a_breach_is_red_and_told(shop: Repository, site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """The job fails, the check is told at its line, and the heartbeat goes out all the same: somebody watched."""
    site.broken = True
    shop.secrets = {"DIALTONE_HEARTBEAT_URL": f"{site.url}/ping/one"}
    done = shop.run("checks", "checks", "workflow_dispatch", payloads.workflow_dispatch())
    assert done.status == "failure"
    assert done.step("Tell").outcome == done.step("Pack").outcome == "success"
    assert "| critical | P0 | `health` |" in shop.summary
    assert "::error file=checks/test_shop.py,line=" in capfd.readouterr().out
    assert site.github.pings == ["one"]


def test_a_public_repository_shows_the_allowed_alone(
    shop: Repository, site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither log, summary, annotation nor artifact holds a reason; the report and the history are sealed."""
    site.broken = True
    secret, recipient = new_key()
    shop.secrets, shop.vars["DIALTONE_REPORT_RECIPIENT"] = {"DIALTONE_REPORT_KEY": secret}, recipient
    done = shop.run("checks", "checks", "schedule", payloads.schedule(private=False))
    assert done.status == "failure"
    told = capfd.readouterr().out + shop.summary
    reason = json.loads((shop.folder / "build/verdicts.json").read_text())["checks"][0]["reason"]
    assert "500" in reason
    assert reason not in told
    assert "status" not in told.replace("job.status", "")
    assert "critical" in told
    report, history = done.uploads["report"], done.uploads["dialtone-history-production"]
    assert sorted(p.name for p in report.rglob("*") if p.is_file()) == [
        "badge.svg", "index.html", "public.json", "report.sealed",
    ]  # fmt: skip
    assert [p.name for p in history.iterdir()] == ["history.sealed"]
    assert b"SQLite" not in (history / "history.sealed").read_bytes()
    sealed = (history / "history.sealed").read_bytes()
    site.github.held.artifacts.append(Artifact("dialtone-history-production", zipped("history.sealed", sealed)))
    shutil.rmtree(shop.folder / "build")
    shop.canned = 0
    again = shop.run("checks", "checks", "schedule", payloads.schedule(private=False), run=42)
    assert again.outputs["Restore the history"] == {"history": "build/history.db"}


def test_a_public_repository_without_a_key_keeps_nothing(shop: Repository) -> None:
    """Only what anybody may see is uploaded."""
    shop.canned = 0
    done = shop.run("checks", "checks", "schedule", payloads.schedule(private=False))
    assert done.status == "success"
    assert set(done.uploads) == {"report"}
    assert sorted(p.name for p in done.uploads["report"].rglob("*") if p.is_file()) == [
        "badge.svg", "index.html", "public.json",
    ]  # fmt: skip


def test_a_public_repository_with_half_of_a_key(shop: Repository, site: Site) -> None:
    """A history that no later run could open is not kept; the report is sealed for who has the other half."""
    shop.canned, shop.vars["DIALTONE_REPORT_RECIPIENT"] = 0, new_key()[1]
    done = shop.run("checks", "checks", "schedule", payloads.schedule(private=False))
    assert (done.status, set(done.uploads)) == ("success", {"report"})
    assert (done.uploads["report"] / "report.sealed").is_file()


def test_a_history_of_a_newer_program_is_left_alone(shop: Repository, site: Site) -> None:
    """The run watches without it, ends with 15, and uploads none: nothing is written over."""
    shop.canned = 0
    first = shop.run("checks", "checks", "schedule", payloads.schedule())
    path = first.uploads["dialtone-history-production"] / "history.db"
    import sqlite3

    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO dialtone_schema VALUES (999, 0)")
    connection.close()
    site.github.held.artifacts.append(Artifact("dialtone-history-production", zipped("history.db", path.read_bytes())))
    shutil.rmtree(shop.folder / "build")
    done = shop.run("checks", "checks", "schedule", payloads.schedule(), run=42)
    assert done.outputs["Restore the history"] == {"history": "off"}
    assert done.status == "failure"
    assert done.outputs["Tell"]["exit-code"] == "15"
    assert set(done.uploads) == {"report"}


def test_a_limited_api_costs_the_history_of_one_run_and_no_check(shop: Repository, site: Site) -> None:
    """The checks ran; what could not be asked for is not taken for absent, so nothing is written over."""
    shop.canned = 0
    site.github.exhaust()
    done = shop.run("checks", "checks", "schedule", payloads.schedule())
    assert done.outputs["Restore the history"] == {"history": "off"}
    assert "1 ok" in shop.summary
    assert done.outputs["Tell"]["exit-code"] == "15"
    assert set(done.uploads) == {"report"}


def test_a_gate_lets_a_preview_pass(shop: Repository, site: Site) -> None:
    """The revision is proved, the check run concludes, one comment stands; a second run writes it in place."""
    shop.secrets = {"PREVIEW_PROTECTION_BYPASS": "let-me-in"}
    done = shop.run("gate", "gate", "deployment_status", payloads.deployment_status(site.url))
    assert done.status == "success", shop.summary
    (check,) = site.github.held.check_runs
    assert (check["name"], check["head_sha"], check["conclusion"]) == ("dialtone gate", SHA, "success")
    (comment,) = site.github.held.comments
    assert (comment["issue"], f"Revision `{SHA[:12]}`, proved before and after." in comment["body"]) == (7, True)
    site.broken = True
    assert shop.run("gate", "gate", "repository_dispatch", payloads.repository_dispatch(site.url), run=42).status
    (comment,) = site.github.held.comments
    assert "critical" in comment["body"]
    assert [run["conclusion"] for run in site.github.held.check_runs] == ["success", "failure"]


def test_the_wrong_revision_does_not_pass(shop: Repository, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another commit is served, all the time: the check run says timed out, the job is red."""
    site.version = "0" * 40
    real = Runner.started

    def sooner(self: Runner, argv: list[str], env: Mapping[str, str]) -> int:
        return real(self, ["1s" if part == "10m" else part for part in argv], env)

    monkeypatch.setattr(Runner, "started", sooner)
    done = shop.run("gate", "gate", "deployment_status", payloads.deployment_status(site.url))
    assert done.status == "failure"
    assert site.github.held.check_runs[0]["conclusion"] == "timed_out"
    assert f"`{SHA[:12]}` was not served" in site.github.held.comments[0]["body"]


def test_a_fork_is_not_asked_and_gets_no_secret(shop: Repository, site: Site) -> None:
    """Not one request to the deployment; the check run asks for a person, and does not let it pass."""
    site.github.held.pulls[SHA] = [payloads.pull(fork=True)]
    shop.secrets = {"PREVIEW_PROTECTION_BYPASS": "let-me-in"}
    done = shop.run("gate", "gate", "deployment_status", payloads.deployment_status(site.url))
    assert site.asked == []
    assert done.step("Gate").outcome == "skipped"
    assert site.github.held.check_runs[0]["conclusion"] == "action_required"
    assert "fork" in site.github.held.comments[0]["body"]
    assert not any("let-me-in" in str(step.given) for step in done.steps)


@pytest.mark.parametrize(
    "payload",
    [
        payloads.deployment_status("https://x.example", state="failure"),
        payloads.deployment_status("https://x.example", environment="Production – shop"),
        payloads.deployment_status("https://x.example", environment="github-pages"),
    ],
)
def test_what_is_no_gates_business_starts_no_job(shop: Repository, payload: dict[str, Any]) -> None:
    """No billed minute for a deployment that failed or is live."""
    assert shop.run("gate", "gate", "deployment_status", payload).skipped


def test_no_address_is_in_the_list_of_runs() -> None:
    """The name of a run is public where the repository is: a gate by hand is told by its commit."""
    told = yaml.safe_load((FLOWS / "gate.yml").read_text())["run-name"]
    event = {"event": payloads.workflow_dispatch(), "event_name": "workflow_dispatch"}
    name = filled(told, {"github": event, "inputs": {"url": "https://secret.example", "revision": SHA}})
    assert name.split() == ["gate", SHA]


def group(name: str, payload: dict[str, Any]) -> str:
    """The runs of a gate of which the newest ends the others."""
    told = yaml.safe_load((FLOWS / "gate.yml").read_text())["concurrency"]["group"]
    return filled(told, {"github": {"event": payload, "event_name": name, "run_id": "41"}, "inputs": {}})


def test_a_gate_ends_those_of_the_same_environment_alone() -> None:
    """A deployment that is not gated, or of another project, leaves the gate of the same commit to its end."""

    def at(url: str, environment: str) -> str:
        return group("deployment_status", payloads.deployment_status(url, environment=environment))

    assert at("https://one.example", "Preview") == at("https://two.example", "Preview")
    assert len({at("https://one.example", name) for name in ("Preview", "Preview – shop", "staging")}) == 3
    vercel = payloads.repository_dispatch("https://one.example")
    other = {**vercel, "client_payload": {**vercel["client_payload"], "environment": "staging"}}
    assert group("repository_dispatch", vercel) != group("repository_dispatch", other)
    own = {"action": "dialtone.gate", "client_payload": {"url": "https://one.example", "sha": SHA}}
    assert SHA in group("repository_dispatch", own)


def test_an_environment_that_is_not_gated(shop: Repository, site: Site) -> None:
    """Nothing is asked, no check run is begun, no secret handed out; the summary says why, and the job is green."""
    site.github.asked.clear()
    shop.secrets = {"PREVIEW_PROTECTION_BYPASS": "let-me-in"}
    payload = payloads.deployment_status(site.url, environment="staging_*_[x]")
    done = shop.run("gate", "gate", "deployment_status", payload)
    assert done.status == "success"
    assert site.asked == site.github.asked == []
    assert done.step("Gate").outcome == "skipped"
    assert "Skipped: the environment staging\\_\\*\\_\\[x\\] is not gated: gate.environments" in shop.summary
    assert not any("let-me-in" in str(step.given) for step in done.steps)


def test_a_job_that_is_cancelled_says_so(shop: Repository, site: Site) -> None:
    """Its check run does not stay in progress for ever."""
    shop.canned = 0
    folder = shop.folder
    shop.run("gate", "gate", "deployment_status", payloads.deployment_status(site.url))
    (folder / "build/github.json").write_text(json.dumps({"check_run": site.github.held.check_runs[0]["id"]}))
    env = environment(folder, site, "deployment_status", payloads.deployment_status(site.url))
    code = Runner(folder, env).started(
        ["dialtone", "github", "tell"], {**env, "GITHUB_TOKEN": TOKEN, "JOB_STATUS": "cancelled"}
    )
    assert (code, site.github.held.check_runs[0]["conclusion"]) == (0, "cancelled")


def test_a_drill_by_hand(shop: Repository, site: Site) -> None:
    """Its report, which the pages are made of, and its checklist in an issue."""
    (shop.folder / ".github").mkdir()
    shutil.copy(ROOT / ".github/drill-checklist.md", shop.folder / ".github")
    shop.canned = 0
    given = {"scope": "smoke", "target": "sandbox", "arguments": "--only stripe 'google calendar'"}
    done = shop.run("drill", "drill", "workflow_dispatch", payloads.workflow_dispatch(**given), **given)
    drill = ["dialtone", "drill", "--scope", "smoke", "--target", "sandbox"]
    assert done.step("Drill").argv[3:] == ["--extra", given["arguments"], "--", *drill]
    assert shop.ran[-1] == [*drill, "--only", "stripe", "google calendar"]
    assert set(done.uploads) == {"drill"}
    (issue,) = site.github.held.issues
    assert "- [ ] The person on call" in issue["body"]
    issue["body"] = issue["body"].replace("- [ ] The person on call", "- [x] The person on call")
    shop.run("drill", "drill", "schedule", payloads.schedule(), run=42, target="", scope="", arguments="")
    assert shop.ran[-1] == ["dialtone", "drill", "--scope", "full", "--target", "sandbox"]
    (issue,) = site.github.held.issues
    assert "- [x] The person on call" in issue["body"]
    assert "- [ ] The second person" in issue["body"]


def test_the_reusable_workflow(shop: Repository, site: Site) -> None:
    """Credentials come as lines of one secret, each masked; an argument with a shell's signs stays an argument."""
    shop.secrets = {"environment": f"# ours\nPRODUCTION_URL={site.url}\nSHOP_KEY=s3cret-key\n"}
    given = {
        "target": "production",
        "every": "3600",
        "install": "pytest-dialtone",
        "arguments": "-k health --junitxml 'build/$(touch owned).xml'",
    }
    done = shop.run("watch", "checks", "schedule", payloads.schedule(), **given)
    assert not (shop.folder / "owned").exists()
    assert done.step("Check").argv[-2:] == ["--extra", given["arguments"]]
    assert done.status == "success", shop.summary
    assert done.outputs["Tell"] == {"exit-code": "0", "verdict": "ok"}
    kept = done.uploads["dialtone-history-production"] / "history.db"
    assert held(kept.read_bytes(), shop.folder) == [3600]


def test_the_action(shop: Repository, site: Site) -> None:
    """The composite action's steps, with its own defaults."""
    told = yaml.safe_load((ROOT / "action.yml").read_text())
    inputs = {name: "" if "${{" in str(i["default"]) else i["default"] for name, i in told["inputs"].items()}
    inputs |= {"token": TOKEN, "arguments": "-k health"}
    env = environment(shop.folder, site, "schedule", payloads.schedule()) | {"PRODUCTION_URL": site.url}
    done = Runner(shop.folder, env).steps(told["runs"]["steps"], inputs=inputs)
    assert done.status == "success", shop.summary
    assert done.outputs["tell"] == {"exit-code": "0", "verdict": "ok"}
    assert done.outputs["pack"] == {"report": "build/report", "history": "build/history-artifact"}
    for output in told["outputs"].values():
        _, step, _, name = output["value"].strip("${} ").split(".")
        assert name in done.outputs[step]


def test_the_maintenance(shop: Repository, site: Site) -> None:
    """What the last one kept is there for the next; a report of a private repository is whole."""
    shop.vars["DIALTONE_TARGET"] = "production"
    payload = {**payloads.schedule(), "schedule": "23 6 1 * *"}
    done = shop.run("maintenance", "maintenance", "schedule", payload)
    assert done.step("Maintain").argv[-4:] == ["monthly", "--target", "production", "--online"]
    report = done.uploads["maintenance-production"]
    kept = sorted(p.name for p in (report / "maintenance").iterdir())
    assert any(name.endswith("-monthly-production.md") for name in kept), shop.summary
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        for path in (report / "maintenance").iterdir():
            made.write(path, f"maintenance/{path.name}")
    site.github.held.artifacts.append(Artifact("maintenance-production", archive.getvalue()))
    shutil.rmtree(shop.folder / "build")
    shop.canned = 0
    again = shop.run("maintenance", "maintenance", "workflow_dispatch", payload, run=42, period="weekly", target="")
    assert again.step("What was seen last time").outcome == "success"
    assert {p.name for p in (shop.folder / "build/maintenance").iterdir()} == set(kept)


def test_ci_of_a_fork(shop: Repository) -> None:
    """One program, with a token that reads and no secret at all."""
    told = yaml.safe_load((FLOWS / "ci.yml").read_text())
    assert "secrets." not in str(told)
    assert told["jobs"]["suite"]["permissions"] == {"contents": "read"}
    done = ci(shop)
    assert (done.status, done.steps[-2].outcome) == ("success", "success")


def ci(shop: Repository) -> Run:
    """The project's own program, which is another one here, and what it leaves."""
    (shop.folder / ".ci").mkdir()
    (shop.folder / ".ci/run").write_text("#!/bin/sh\nexec python -m pip --version\n")
    (shop.folder / ".ci/run").chmod(0o755)
    for name in ("verdicts.json", "defects.json"):
        (shop.folder / "build").mkdir(exist_ok=True)
        (shop.folder / "build" / name).write_text("{}")
    return shop.run("ci", "suite", "pull_request", payloads.fork_pull_request())


def test_ci_builds_the_documents(shop: Repository) -> None:
    """A warning is an error: a page that nobody finds, a link that leads nowhere."""
    done = documents(shop)
    assert done.status == "success"
    assert done.step("Build").argv[1:4] == ["-m", "sphinx", "-W"]
    assert set(done.uploads) == {"site"}


def documents(shop: Repository) -> Run:
    """The repository's own, without a warning."""
    makefile(shop)
    return shop.run("ci", "documents", "pull_request", payloads.fork_pull_request())


def test_every_step_is_executed(shop: Repository, site: Site) -> None:
    """No `run:` of a workflow is left that no test here starts; those of a release are in test_release.py."""
    shop.canned, shop.vars["DIALTONE_TARGET"] = 0, "production"
    (shop.folder / ".github").mkdir()
    shutil.copy(ROOT / ".github/drill-checklist.md", shop.folder / ".github")
    shop.secrets = {"environment": f"PRODUCTION_URL={site.url}\n"}
    cron, gate = payloads.schedule(), payloads.deployment_status(site.url)
    given = {"target": "production", "install": "pytest-dialtone", "arguments": ""}
    ran = {
        ("ci", "suite"): ci(shop),
        ("ci", "documents"): documents(shop),
        ("checks", "checks"): shop.run("checks", "checks", "schedule", cron),
        ("watch", "checks"): shop.run("watch", "checks", "schedule", cron, **given),
        ("maintenance", "maintenance"): shop.run("maintenance", "maintenance", "schedule", cron, period="weekly"),
        ("drill", "drill"): shop.run("drill", "drill", "schedule", cron, target="", scope="", arguments=""),
        ("gate", "gate"): shop.run("gate", "gate", "deployment_status", gate),
        ("pages", "site"): published(shop),
    }
    wanted, executed = set(), set()
    for path in FLOWS.glob("*.yml"):
        jobs = yaml.safe_load(path.read_text())["jobs"] if path.stem != "release" else {}
        for job, told in jobs.items():
            for number, step in enumerate(told["steps"]):
                title = step.get("name") or step.get("id") or str(number)
                wanted |= {(path.stem, job, title)} if "run" in step else set()
    for (flow, job), done in ran.items():
        executed |= {(flow, job, step.name) for step in done.steps if step.argv}
    assert len(wanted) > 20
    assert wanted - executed == set()
