"""The order of the rounds, what is kept between campaigns, and the hash that decides it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.conftest import eventually

from dialtone.sandbox import Sandbox
from dialtone.sandbox import campaign as campaigns
from dialtone.sandbox.campaign import CampaignError, Steps, round_steps
from dialtone.sandbox.kept import Kept
from dialtone.sandbox.matrix import Claims, Defect, Round
from dialtone.sandbox.profile import named_target, sandbox_options
from dialtone.sandbox.rounds import Campaign
from dialtone.sandbox.source import source_hash

DEFECTS = {name: Defect(name, f"{name} is wrong") for name in ("one", "two")}
CLAIMS = [Claims("test_one", "test_one", ("one",)), Claims("test_two", "test_two", ("two",))]


class FakeSandbox:
    """Remembers what was done to it; the place of a real sandbox."""

    def __init__(self, folder: Path) -> None:
        self.state_file = folder / "state.json"
        self.admin_database_url = "postgresql://somewhere"
        self.switched: list[list[str]] = []
        self.stopped = False

    def wait(self, _: object = None) -> FakeSandbox:
        """Is healthy at once."""
        return self

    def switch(self, defects: Sequence[str]) -> None:
        """Remember the switches."""
        self.switched.append(list(defects))

    def problem(self) -> str | None:
        """Nothing ever goes wrong."""
        return None

    def stop(self) -> None:
        """Remember the end."""
        self.stopped = True


class Rounds:
    """Answers rounds as if checks had run, and remembers which were asked for."""

    def __init__(self, **red: tuple[str, ...]) -> None:
        self.red = red
        self.asked: list[str] = []

    def __call__(self, _: object, defect: Defect | None, __: Sequence[str], ___: Path) -> Steps:
        """The round that was ordered, after one look at the others."""
        yield
        name = defect.id if defect else "healthy"
        self.asked.append(name)
        if self.red.get(name) == ("interrupted",):
            raise KeyboardInterrupt
        return Round(red=self.red.get(name, () if defect is None else (f"test_{name}",)), judged=2, seconds=1.0)


def _campaign(tmp_path: Path, rounds: Rounds, **options: Any) -> tuple[Campaign, FakeSandbox, list[str]]:
    said: list[str] = []
    sandbox = FakeSandbox(tmp_path)
    begin: Any = lambda: sandbox  # noqa: E731 - the type of a real one
    build = tmp_path / "build"
    made = Campaign(
        DEFECTS, CLAIMS, ["checks"], build, root=tmp_path, tell=said.append, run=rounds, begin=begin, **options
    )
    return made, sandbox, said


def test_all_rounds_in_one_sandbox(tmp_path: Path) -> None:
    """The healthy round first, then every defect; a line for each; the sandbox is gone afterwards."""
    rounds = Rounds()
    campaign, sandbox, said = _campaign(tmp_path, rounds)
    outcome = campaign.run(["one", "two"])
    assert outcome.complaints == []
    assert rounds.asked == ["healthy", "one", "two"]
    assert said == [
        "without a defect: nothing is red (1.0 s)",
        "  1/2 one: caught by test_one (1.0 s)",
        "  2/2 two: caught by test_two (1.0 s)",
    ]
    assert sandbox.stopped


def test_unchanged_sources_resume(tmp_path: Path) -> None:
    """What went as claimed is kept; what did not is looked at again; another source starts anew."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("a = 1")
    first = Rounds(two=())
    outcome = _campaign(tmp_path, first)[0].run(["one", "two"])
    assert outcome.complaints == ["two is caught by nobody: two is wrong", "test_two is turned red by no defect"]
    second = Rounds()
    assert _campaign(tmp_path, second)[0].run(["one", "two"]).complaints == []
    assert second.asked == ["two"]
    nothing_to_do = _campaign(tmp_path, third := Rounds())
    nothing_to_do[0].run(["one", "two"])
    assert third.asked == []
    assert not nothing_to_do[1].stopped
    _campaign(tmp_path, fresh := Rounds(), fresh=True)[0].run(["one"])
    assert fresh.asked == ["healthy", "one"]
    (tmp_path / "src" / "a.py").write_text("a = 2")
    _campaign(tmp_path, changed := Rounds())[0].run(["one"])
    assert changed.asked == ["healthy", "one"]


def test_several_rounds_at_once(tmp_path: Path) -> None:
    """Each job has a sandbox of its own; the healthy round is over before the first defect is switched on."""
    begun: list[FakeSandbox] = []
    used: list[tuple[str, object]] = []

    def begin() -> Any:
        begun.append(FakeSandbox(tmp_path))
        return begun[-1]

    def rounds(sandbox: Any, defect: Defect | None, arguments: Sequence[str], folder: Path) -> Steps:
        name = defect.id if defect else "healthy"
        used.append((name, sandbox))
        for _ in range(3 if name == "one" else 1):
            yield
        used.append((f"{name} ended", sandbox))
        return Round(red=(f"test_{name}",) if defect else (), judged=2)

    options: Any = {"jobs": 5, "tell": lambda _: None, "run": rounds, "begin": begin}
    outcome = Campaign(DEFECTS, CLAIMS, [], tmp_path / "build", root=tmp_path, **options).run(["one", "two"])
    assert outcome.complaints == []
    assert len(begun) == 2
    assert [name for name, _ in used] == ["healthy", "healthy ended", "one", "two", "two ended", "one ended"]
    assert used[2][1] is not used[3][1]
    assert all(sandbox.stopped for sandbox in begun)


def test_unclean_healthy_round_ends_it(tmp_path: Path) -> None:
    """Nothing that follows would mean anything."""
    rounds = Rounds(healthy=("test_one",))
    campaign, sandbox, _ = _campaign(tmp_path, rounds)
    assert campaign.run(["one", "two"]).complaints == ["without a defect: test_one is red"]
    assert rounds.asked == ["healthy"]
    assert sandbox.stopped


def test_interrupted_campaign_takes_its_sandbox_down(tmp_path: Path) -> None:
    """Ctrl-C in the middle: the sandbox goes, what was finished is kept."""
    campaign, sandbox, _ = _campaign(tmp_path, Rounds(two=("interrupted",)))
    with pytest.raises(KeyboardInterrupt):
        campaign.run(["one", "two"])
    assert sandbox.stopped
    _campaign(tmp_path, again := Rounds())[0].run(["one", "two"])
    assert again.asked == ["two"]


def test_damaged_cache_is_no_cache(tmp_path: Path) -> None:
    """A file that somebody edited is not trusted and not fatal."""
    path = tmp_path / "cache.json"
    for text in ("", "[]", '{"source": "s"}', '{"source": "other", "rounds": {"one": {}}}'):
        path.write_text(text)
        assert Kept(path, "s").get("one") is None


def test_source_hash_follows_names_and_contents(tmp_path: Path) -> None:
    """A changed, renamed or new file counts; compiled files and other folders do not."""
    (tmp_path / "src").mkdir()
    (tmp_path / "checks").mkdir()
    (tmp_path / "src" / "a.py").write_text("a")
    (tmp_path / "dialtone.toml").write_text("t")
    hashes = [source_hash(tmp_path)]
    (tmp_path / "src" / "__pycache__").mkdir()
    (tmp_path / "src" / "__pycache__" / "a.pyc").write_text("x")
    (tmp_path / "README.md").write_text("x")
    assert source_hash(tmp_path) == hashes[0]
    for change in (
        lambda: (tmp_path / "src" / "a.py").write_text("b"),
        lambda: (tmp_path / "src" / "a.py").rename(tmp_path / "src" / "b.py"),
        lambda: (tmp_path / "checks" / "c.py").write_text(""),
        lambda: (tmp_path / "dialtone.toml").write_text("u"),
    ):
        change()
        hashes.append(source_hash(tmp_path))
    hashes.append(source_hash(tmp_path, salt="other arguments"))
    assert len(set(hashes)) == 6


def run_round(sandbox: Any, defect: Defect, arguments: Sequence[str], folder: Path) -> Round:
    """One round, waited for."""
    steps = round_steps(sandbox, defect, arguments, folder)
    found: list[Round] = []

    def ended() -> bool:
        try:
            next(steps)
        except StopIteration as end:
            found.append(end.value)
        return bool(found)

    assert eventually(ended, 60)
    return found[0]


def _fake_pytest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A module named pytest in front of the real one, for the child only."""
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "pytest.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "shadow"), *filter(None, sys.path)]))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")


def test_round_attaches_switches_and_reads_the_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child gets the sandbox and the place for its verdicts; the defect is off again afterwards."""
    body = """
import json, os, sys
verdict = {"id": " ".join(sys.argv[1:]), "verdict": "breach", "kind": None}
assert os.environ["DIALTONE_SANDBOX"].endswith("state.json")
with open(os.environ["DIALTONE_VERDICTS"], "w") as file:
    json.dump({"checks": [verdict]}, file)
sys.exit(1)
"""
    _fake_pytest(tmp_path, monkeypatch, body)
    sandbox: Any = FakeSandbox(tmp_path)
    shown = run_round(sandbox, DEFECTS["one"], ["checks", "-q"], tmp_path)
    assert (shown.red, shown.failure) == (("checks -q",), "")
    assert sandbox.switched == [["one"], []]


def test_round_without_verdicts_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts of an earlier round are not mistaken for this one's."""
    _fake_pytest(tmp_path, monkeypatch, "raise SystemExit(4)")
    (tmp_path / "one.json").write_text(json.dumps({"checks": []}))
    sandbox: Any = FakeSandbox(tmp_path)
    assert "pytest wrote no verdicts" in run_round(sandbox, DEFECTS["one"], [], tmp_path).failure


def test_round_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is ended, its workers with it, and the matrix goes on."""
    _fake_pytest(tmp_path, monkeypatch, "import signal\nwhile True: signal.pause()")
    monkeypatch.setattr(campaigns, "ROUND_BOUND", 0.5)
    sandbox: Any = FakeSandbox(tmp_path)
    assert run_round(sandbox, DEFECTS["one"], [], tmp_path).failure.startswith("the checks did not end within")
    assert sandbox.switched[-1] == []


NO_VERDICTS = """
import os
open(os.environ["DIALTONE_VERDICTS"], "w").write('{"checks": []}')
"""
HOLD = """
import sys
if sys.argv[2] == "one":
    print("ready", flush=True)
    sys.stdin.read()
    open(sys.argv[0] + ".undone", "w").close()
else:
    sys.exit("no such table")
"""


def test_defect_of_the_database_is_held_and_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there while its process lives; one that cannot be applied is the round's failure, in its own words."""
    script = tmp_path / "hold.py"
    script.write_text(HOLD)
    holder = (sys.executable, str(script))
    _fake_pytest(tmp_path, monkeypatch, NO_VERDICTS)
    sandbox: Any = FakeSandbox(tmp_path)
    assert run_round(sandbox, Defect("one", "", "hold", holder=holder), [], tmp_path).failure == ""
    assert (tmp_path / "hold.py.undone").exists()
    assert sandbox.switched == [[], []]
    failed = run_round(sandbox, Defect("two", "", "hold", holder=holder), [], tmp_path)
    assert failed.failure == "the defect cannot be applied: no such table"


def test_application_that_lists_no_defects() -> None:
    """Its last words are the reason."""
    silent = [sys.executable, "-c", "raise SystemExit('no such module')"]
    with pytest.raises(CampaignError, match="the application does not list its defects: no such module"):
        campaigns.known_defects(silent)
    with pytest.raises(CampaignError, match="lists its defects wrongly"):
        campaigns.known_defects([sys.executable, "-c", "print('[1]')"])


def test_defects_of_an_application_of_ones_own() -> None:
    """Its own count, and those of the stand-ins that a check claims; none of the application in the suite does."""
    lister = ["{python}", "-c", """print('{"late": {"what": "It is late."}}')"""]
    found = campaigns.known_defects(lister, {"stripe-balance-503", "late", "page-500"})
    assert list(found) == ["late", "stripe-balance-503"]
    assert found["late"].holder == (sys.executable, *lister[1:])
    assert list(campaigns.known_defects([], {"page-500"})) == []
    assert "page-500" in campaigns.known_defects()


def test_target_named_in_the_arguments() -> None:
    """The matrix starts the sandbox of the target that its rounds check."""
    assert named_target(["checks", "--target", "mine", "-q"]) == "mine"
    assert named_target(["checks", "--target=mine"]) == "mine"
    assert named_target(["checks", "-q"]) == "sandbox"


def test_options_come_from_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest file above decides; without one there are no options."""
    monkeypatch.delenv("DIALTONE_CONFIG", raising=False)
    (tmp_path / "below").mkdir()
    assert sandbox_options(start=tmp_path / "below") == {}
    text = '[target.sandbox]\napp = ["npm", "start"]\n[target.sandbox.webhooks.stripe]\nroute = "/hook"\n'
    (tmp_path / "dialtone.toml").write_text(text)
    options = {"app": ["npm", "start"], "webhooks": {"stripe": "/hook"}}
    assert sandbox_options(start=tmp_path / "below") == options
    monkeypatch.setenv("DIALTONE_CONFIG", str(tmp_path / "dialtone.toml"))
    assert sandbox_options(start=Path("/")) == options


def test_an_experiment_switches_its_defects_anew(tmp_path: Path) -> None:
    """The same list in another file, so that every reader sees a turn; without a defect it is an empty one."""
    file = tmp_path / "defects.json"
    (tmp_path / "state.json").write_text(json.dumps({"defects_file": str(file)}))
    sandbox = Sandbox(tmp_path / "state.json")
    sandbox.switch_again()
    assert json.loads(file.read_text()) == []
    sandbox.switch(["one"])
    before = file.stat().st_ino, file.stat().st_mtime_ns
    sandbox.switch_again()
    assert (file.stat().st_ino, file.stat().st_mtime_ns) != before
    assert json.loads(file.read_text()) == ["one"]
