"""Actions without a deployment: what they declare, how they are called, confirmed and written down."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from dialtone.cli import main
from dialtone.runbook.actions.item import Action, action, actions
from dialtone.runbook.actions.plan import Plan
from dialtone.runbook.actions.record import Record, RecordError, operator
from dialtone.runbook.actions.run import Doing, NotPossible
from dialtone.runbook.actions.terminal import confirm
from dialtone.runbook.items import ItemsError
from dialtone.runbook.maintenance.item import tasks
from dialtone.target import Target, load
from dialtone.verdict import Effect

ROOT = Path(__file__).parents[2]
PROFILE = """
[defaults]
base_url = "http://127.0.0.1:9"
settle = "1s"
[defaults.routes]
jobs = "/jobs"
[defaults.webhooks.stripe]
route = "/hook"
scheme = "stripe"
key = "secret"
answer_within = "5s"
[defaults.statements]
free = "DELETE FROM locks WHERE name = %(name)s AND kind LIKE 'a%%'"
[defaults.values]
project = "prj one"
[defaults.tools.host]
base_url = "http://host.invalid/ignored"
credential = "token"
paths = { go = "/projects/{{project}}/go/{{what}}", hole = "/{{nothing}}" }
[defaults.credentials]
token = "TOKEN"
secret = "SECRET"
[target.sandbox]
kind = "preview"
witnesses = ["http://a.invalid", "http://b.invalid"]
[target.production]
kind = "production"
base_url = "http://127.0.0.1:8"
witnesses = ["http://a.invalid", "http://b.invalid"]
"""
SECRETS = {"TOKEN": "tok-0123456789abcdef", "SECRET": "whsec_0123456789abcdef"}


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A target that nobody listens at."""
    path = tmp_path / "dialtone.toml"
    path.write_text(PROFILE)
    return load(path, "sandbox", SECRETS)


def _action(make: Callable[[Plan], None], **options: Any) -> Action:
    declared = action(runbook="x", **options)(make)
    found = declared.__dialtone_item__  # type: ignore[attr-defined]
    assert isinstance(found, Action)
    return found


def everything(plan: Plan) -> None:
    """One step of every kind."""
    plan.statement("free the lock", "free", name="o'clock")
    plan.alone("index it", "CREATE INDEX CONCURRENTLY half ON t (x) -- 100 %")
    plan.request("go", "host", "POST", "go", json={"a": 1}, headers={"idempotency-key": "k"}, what="a/b")
    plan.call("start the job", "GET", "jobs", bearer="secret")
    plan.deliver("deliver it", "stripe", {"id": "evt_1", "customer": "Canaria Finch"})
    plan.say(f"go to {plan.address('jobs')}")


def test_what_would_be_done_is_shown_exactly(target: Target, snapshot: SnapshotAssertion) -> None:
    """Statements with their values, requests with their headers; no credential, nothing of a customer's event."""
    shown = json.dumps(Doing(_action(everything), target).show().as_json(), indent=1, ensure_ascii=False)
    assert shown == snapshot
    assert "Canaria" not in shown
    assert not [secret for secret in SECRETS.values() if secret in shown]


def test_steps_that_fail_are_told_and_do_not_stop_the_others(target: Target, tmp_path: Path) -> None:
    """Nobody listens: every request says so, and so does the record."""

    def calls(plan: Plan) -> None:
        plan.call("first", "GET", "jobs")
        plan.call("second", "GET", "jobs")

    record, now = Record(tmp_path / "deep" / "actions.jsonl"), [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    doing = Doing(_action(calls), target, clock=lambda: 1_800_000_000, monotonic=lambda: now[0], sleep=pause)
    outcome = doing.take(record, "somebody")
    assert [(s.what, s.failed) for s in outcome.steps] == [("first", True), ("second", True)]
    assert (outcome.mended, outcome.left) == (False, 2)
    assert 0.9 < now[0] < 1.2
    begun, done = record.entries()
    assert (begun["state"], begun["steps"]) == ("begun", ["first", "second"])
    assert (done["state"], done["effect"], done["at"]) == ("done", "not mended", "2027-01-15T08:00:00Z")


def test_a_second_look_that_fails_is_no_success(target: Target, tmp_path: Path) -> None:
    """What was done stands in the record, and whether it helped is unknown, which is never ok."""
    looks: list[None] = []

    def blind(plan: Plan) -> None:
        looks.append(None)
        if len(looks) > 1:
            raise ValueError("the database is gone")
        plan.call("first", "GET", "jobs")

    record = Record(tmp_path / "actions.jsonl")
    outcome = Doing(_action(blind), target).take(record, "somebody")
    assert (outcome.left, outcome.mended) == (None, False)
    assert outcome.said == ["nobody can see whether anything is left: blind: the database is gone"]
    assert [entry["state"] for entry in record.entries()] == ["begun", "done"]
    assert record.entries()[1]["effect"] == "not mended"


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ([], "usage: dialtone do forget CLIENT .* \\[older=60s\\]"),
        (["a", "younger=5m"], "no option 'younger'"),
        (["a", "older=5"], "a number and a unit"),
        (["a", "older=5m"], None),
        (["fd00::1", "older=1h"], None),
    ],
)
def test_words_and_options(target: Target, words: list[str], wrong: str | None) -> None:
    """What is missing or not known is told with the usage."""

    def forget(plan: Plan) -> None:
        plan.say(f"{plan.words} {plan.seconds('older')}")

    made = _action(forget, takes="CLIENT ...", least=1, options={"older": "60s"})
    if wrong is None:
        assert Doing(made, target, words).show().said == [f"{(words[0],)} {300.0 if '5m' in words[1] else 3600.0}"]
    else:
        with pytest.raises(NotPossible, match=wrong):
            Doing(made, target, words).show()


def test_what_is_missing_is_told_before_anything_is_done(target: Target, tmp_path: Path) -> None:
    """Settings, paths and placeholders: each by its name in the profile, and nothing is written down."""
    record = Record(tmp_path / "actions.jsonl")
    needy = _action(everything, needs=["statements.gone", "tools.host", "repair_database"])
    with pytest.raises(NotPossible, match=r"statements\.gone and repair_database"):
        Doing(needy, target).take(record, "x")
    for path, words in (("hole", "hole: no value for {{nothing}}"), ("away", r"no tools\.host\.paths\.away")):
        asks = _action(lambda plan, path=path: plan.request("x", "host", "GET", path))
        with pytest.raises(NotPossible, match=words):
            Doing(asks, target).take(record, "x")
    assert record.entries() == []


def test_looking_cannot_change_anything() -> None:
    """What a plan offers for looking sends GET and reads in a read-only transaction; the rest are steps."""
    looking = {name for name in vars(Plan) if not name.startswith("_")}
    steps = {"statement", "alone", "request", "call", "deliver"}
    assert looking - steps == {"option", "seconds", "rows", "get", "address", "say"}


def test_production_has_to_be_named_twice(tmp_path: Path) -> None:
    """On the command line, and once more; what could reach production counts as it."""
    path = tmp_path / "dialtone.toml"
    path.write_text(PROFILE)
    production, other = load(path, "production", SECRETS), load(path, "sandbox", {})
    fenced = load(path, "sandbox", SECRETS)  # it holds production's own credentials
    assert fenced.effects == {Effect.READS}
    seen: list[str] = []

    def show() -> str:
        seen.append("shown")
        return "what will be done"

    confirm(other, None, None, show)
    confirm(production, "production", "production", show)
    assert seen == []
    confirm(production, "production", None, show, ask=lambda _: "production\n")
    assert seen == ["shown"]
    for target, named, said, typed in (
        (production, None, "production", ""),
        (production, "production", None, "yes"),
        (production, "production", "prod", ""),
        (fenced, None, "sandbox", ""),
        (fenced, "sandbox", "production", ""),
        (other, None, "production", ""),
    ):
        with pytest.raises(NotPossible):
            confirm(target, named, said, show, ask=lambda _, t=typed: t)  # type: ignore[misc]


def test_what_is_broken_off_has_left_a_trace(target: Target, tmp_path: Path) -> None:
    """Ctrl-C in the middle: what was begun and how far it came stands in the record."""

    def calls(plan: Plan) -> None:
        plan.alone("first", "SELECT 1")
        plan.alone("second", "SELECT 2")

    told: list[str] = []

    def tell(what: str) -> None:
        told.append(what)
        if what == "second":
            raise KeyboardInterrupt

    record = Record(tmp_path / "actions.jsonl")
    with pytest.raises(KeyboardInterrupt):
        Doing(_action(calls), target).take(record, "x", tell)
    assert [(entry["state"], entry.get("done")) for entry in record.entries()] == [("begun", None), ("broken off", [])]


def test_two_people_do_not_act_at_once(tmp_path: Path) -> None:
    """The second is told; afterwards it goes on."""
    path = tmp_path / "actions.jsonl"
    with Record(path).held(), pytest.raises(RecordError, match="somebody else is acting"), Record(path).held():
        pass
    with Record(path).held():
        pass
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RecordError, match="nothing is done that cannot be recorded"),
        Record(tmp_path / "file/x").held(),
    ):
        pass


def test_who_acts() -> None:
    """A name that was given, the person who started a workflow, else the user."""
    assert operator({"DIALTONE_OPERATOR": " ann ", "GITHUB_ACTOR": "bob"}) == "ann"
    assert operator({"GITHUB_ACTOR": "bob"}) == "bob"
    assert operator({})


def test_items_are_found_in_files_that_hold_no_checks(tmp_path: Path) -> None:
    """Two of one name are a mistake; so is a file that does not load. What is imported belongs to its own file."""
    one = "from dialtone import action\n@action(runbook='x')\ndef go(plan):\n    'Go.'\n"
    (tmp_path / "a.py").write_text(one)
    (tmp_path / "test_b.py").write_text("raise SystemError")
    assert list(actions(tmp_path)) == ["go"]
    (tmp_path / "c.py").write_text("from dialtone_items_ import nothing")
    with pytest.raises(ItemsError, match=r"c\.py: ModuleNotFoundError"):
        actions(tmp_path)
    (tmp_path / "c.py").write_text(one)
    with pytest.raises(ItemsError, match="two items go"):
        actions(tmp_path)


@pytest.mark.parametrize("target", ["sandbox", "preview", "production"])
def test_everything_that_items_ask_for_is_in_the_profile(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name that stands in an item's `needs` or is asked for in its code is in every target's profile."""
    source = (ROOT / "checks/repairs.py").read_text() + (ROOT / "checks/upkeep.py").read_text()
    names = set(
        re.findall(r"SANDBOX_\w+|P\w+_URL|\w+_VERCEL_PROJECT|REDIS_REST_URL", (ROOT / "dialtone.toml").read_text())
    )
    environment = dict.fromkeys(names, "http://127.0.0.1:1") | {"SANDBOX_TLS_URL": "https://localhost:1"}
    found = load(ROOT / "dialtone.toml", target, environment).profile
    asked = set(re.findall(r'\.rows\("(\w+)"|plan\.statement\([^"]*"(\w+)"|statements\.(\w+)', source))
    assert {name for names in asked for name in names if name} <= set(found.statements)
    for tool, path in re.findall(r'\.get\("(\w+)", "(\w+)"', source):
        assert path in found.tools[tool].paths, (tool, path)


def test_the_page_lists_every_item() -> None:
    """docs/repairs.md and the runbook know what there is."""
    page, runbook = (ROOT / "docs/repairs.md").read_text(), (ROOT / "docs/runbook.md").read_text()
    known, done = actions(ROOT / "checks"), tasks(ROOT / "checks")
    assert set(re.findall(r"^\| `([\w-]+)` \| [a-z]", page.split("## Write")[0], re.M)) == set(known)
    rows = re.findall(r"^\| (weekly|monthly|quarterly) \| (.*) \|$", page, re.M)
    told = {name: every for every, names in rows for name in re.findall(r"`([\w-]+)`", names)}
    assert told == {task.name: task.every for task in done.values()}
    for item in (*known.values(), *done.values()):
        assert f'<a id="{item.runbook}"></a>' in runbook, item
        assert item.summary


def test_whoever_names_an_action_names_one_that_there_is() -> None:
    """In the causes of diagnoses, in the tasks of maintenance, and on the pages."""
    texts = [p.read_text() for folder in ("checks", "docs") for p in sorted((ROOT / folder).glob("*.*"))]
    named = {name for text in texts for name in re.findall(r"dialtone do ([a-z]+(?:-[a-z]+)*)", text)}
    assert len(named) > 5
    assert named <= {*actions(ROOT / "checks")}


def test_the_example_of_the_page_is_an_action(tmp_path: Path) -> None:
    """What docs/repairs.md shows is taken as it stands."""
    block = re.search(r"```python\n(.*?)```", (ROOT / "docs/repairs.md").read_text(), re.S)
    assert block
    (tmp_path / "repairs.py").write_text(block[1])
    assert [made.usage for made in actions(tmp_path).values()] == ["free-stale-locks"]


def test_the_list_on_the_command_line(capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion) -> None:
    """Names, usages and what each does."""
    assert main(["do", "--config", str(ROOT / "dialtone.toml")]) == 0
    assert capsys.readouterr().out == snapshot


def test_production_is_not_touched_by_accident(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment names no target for what changes something; --yes alone is no confirmation."""
    config = ["--config", str(ROOT / "dialtone.toml"), "--record", str(tmp_path / "actions.jsonl")]
    monkeypatch.delenv("DIALTONE_SANDBOX", raising=False)
    monkeypatch.setenv("DIALTONE_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("PRODUCTION_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("DIALTONE_TARGET", "production")
    monkeypatch.setattr("sys.stdin", StringIO("production\n"))
    for words, said in (
        (["--yes"], "no sandbox runs"),
        (["--yes", "--confirm", "production"], "no sandbox runs"),
        (["--target", "production", "--yes"], "not confirmed: nothing instead of the target's name"),
        (["--target", "production", "--yes", "--confirm", "yes"], "not confirmed: 'yes' instead"),
        (["--target", "production", "--yes", "--confirm", "production"], "PRODUCTION_VERCEL_TOKEN is not set"),
        (["--target", "production"], "PRODUCTION_VERCEL_TOKEN is not set"),
    ):
        assert main(["do", "promote", *config, *words]) == 4
        assert said in capsys.readouterr().err
    assert not (tmp_path / "actions.jsonl").exists() or Record(tmp_path / "actions.jsonl").entries() == []


def test_mistakes_on_the_command_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ends with 4 and its remedy."""
    config = ["--config", str(ROOT / "dialtone.toml")]
    monkeypatch.delenv("DIALTONE_SANDBOX", raising=False)
    monkeypatch.setenv("DIALTONE_RUN_DIR", str(tmp_path / "runs"))
    for words, said in (
        (["do", "undo", *config], "no action 'undo'; there are end-long-queries"),
        (["do", "promote", *config], "dialtone sandbox up"),
        (["do", "promote", *config, "--target", "nowhere"], "no target 'nowhere'"),
        (["do", "promote", "--config", str(tmp_path / "none.toml")], "no such file"),
        (["maintenance", "yearly", *config], "'yearly' is neither a period nor a task; there are weekly, monthly"),
        (["maintenance", "weekly", "monthly", *config], "'weekly' is neither"),
    ):
        assert main(words) == 4
        assert said in capsys.readouterr().err
