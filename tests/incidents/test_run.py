"""A run of checks hands its verdicts over: incidents in the transaction of its results, messages after it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Suite

from dialtone.cli import main
from dialtone.history import Store
from dialtone.incidents.outbox import Outbox
from dialtone.incidents.records import Records
from dialtone.incidents.silence import Silence
from dialtone.standins.nearby import Nearby
from dialtone.standins.pagerduty import PagerDuty
from dialtone.standins.slack_api import CHANNEL, SlackApi
from dialtone.standins.state import Clock

TOKEN, KEY, READ = "xoxb-run-0123456789", "0123456789abcdef0123456789abcd22", "reading-0123"
P0 = '@check(runbook="site-down", severity="P0")\ndef test_health(target):\n    '
BAD = f'{P0}fail("the health endpoint answers 503")\n'
DEPENDS = (
    '@check(runbook="x", severity="P1", depends=["health"])\ndef test_login(target):\n    fail("nobody can log in")\n'
)
GOOD = f'{P0}ok("fine")\n'


class Wired:
    """A suite whose profile routes to stand-ins."""

    def __init__(self, suite: Suite, nearby: Nearby, slack: SlackApi, pager: PagerDuty) -> None:
        self.suite, self.nearby, self.slack, self.pager = suite, nearby, slack, pager
        self.path: Path = suite.pytester.path

    def store(self) -> Store:
        """The history that its runs have left."""
        return Store.open(self.path / "history.db")

    def run(self, checks: str, *options: str) -> Any:
        """One round."""
        self.suite.checks(checks)
        return self.suite.run(*options)

    def texts(self) -> list[str]:
        """First lines of what stands in the channel."""
        return [str(m["text"]) for m in self.slack.messages.values()]


@pytest.fixture
def wired(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wired]:
    """Rounds once a month, so that two bad ones confirm."""
    clock = Clock()
    slack, pager = SlackApi(TOKEN, clock), PagerDuty(KEY, READ, clock)
    with Nearby([slack, pager]) as nearby:
        for name, value in {"T": TOKEN, "K": KEY, "R": READ, "DIALTONE_HISTORY": "history.db"}.items():
            monkeypatch.setenv(name, value)
        for name in ("GITHUB_ACTIONS", "DIALTONE_RESIDENT", "DIALTONE_ROUND", "DIALTONE_EVERY"):
            monkeypatch.delenv(name, raising=False)
        suite.profile(
            more=f"""
[target.preview.schedule]
every = "20d"
[channels.slack]
kind = "slack"
secret = "T"
to = ["{CHANNEL}"]
url = "{nearby.url("slack_api")}"
[channels.pager]
kind = "pagerduty"
secret = "K"
reading = "R"
url = "{nearby.url("pagerduty")}"
[people.ada]
[on_call]
primary = "ada"
[routes.all]
channels = ["slack", "pager"]
fallback = ["pager", "slack"]
"""
        )
        yield Wired(suite, nearby, slack, pager)


def test_from_red_to_told_to_over(wired):
    """The cause opens one incident with what depends on it; good rounds end it; thread and alert say so."""
    bad = BAD + DEPENDS
    assert wired.run(bad).ret == 1
    assert wired.run(bad).ret == 1
    assert wired.texts() == [wired.texts()[0]]
    assert "OPENED: health (failing) on preview" in wired.texts()[0]
    wired.run(GOOD + DEPENDS.replace("fail", "ok"))
    wired.run(GOOD + DEPENDS.replace("fail", "ok"))
    assert "RESOLVED" in wired.texts()[0]
    assert [a.log for a in wired.pager.alerts] == [["trigger", "resolve"]]


def test_inert_without_routes(suite, monkeypatch):
    """A history without routes: no incident, no word of alerts, same exit code."""
    monkeypatch.setenv("DIALTONE_HISTORY", "history.db")
    suite.profile()
    suite.checks(BAD)
    result = suite.run()
    assert result.ret == 1
    result.stdout.no_fnmatch_line("*alerts:*")
    store = Store.open(suite.pytester.path / "history.db")
    assert Records(store.engine).latest(10) == []
    store.close()


def test_a_severity_that_reaches_nobody_is_told(wired):
    """The run says so; its verdicts stand."""
    profile = wired.path / "dialtone.toml"
    profile.write_text(profile.read_text().replace("[routes.all]\n", '[routes.all]\nseverities = ["P0"]\n'))
    result = wired.run(BAD)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*alerts: nobody can be told: P1 on preview reaches nobody*"])


def test_all_channels_dead(wired, monkeypatch):
    """Exit code 16 for a run that is good otherwise, an annotation, a file; nothing is dropped."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr("dialtone.incidents.handover.PATIENCE", 0.1)
    for provider in ("slack_api", "pagerduty"):
        wired.nearby.faults.add({"provider": provider, "status": 403, "ttl": 60})
    wired.run(BAD)
    result = wired.run(BAD)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*NOT DELIVERED on any channel*", "::error title=alert not delivered::*"])
    assert wired.run(GOOD).ret == 16
    kept = json.loads((wired.path / "build/undelivered.json").read_text())
    assert {row["channel"] for row in kept} == {"slack", "pager"}
    wired.nearby.faults.clear()
    store = wired.store()
    assert Outbox(store.engine).retry(2e9) == len(kept)
    store.close()


def test_a_lost_store_takes_up_what_stands(wired):
    """The history did not outlive its job: what is open in Slack goes on in the same thread under the same id."""
    wired.run(BAD)
    wired.run(BAD)
    for file in wired.path.glob("history.db*"):
        file.unlink()
    result = wired.run(GOOD)
    result.stdout.fnmatch_lines(["*1 open incident(s) taken over from slack*"])
    wired.run(GOOD)
    assert len([t for t in wired.slack.messages.values() if "thread_ts" not in t]) == 1
    assert "RESOLVED" in wired.texts()[0]


def test_a_history_in_trouble_keeps_nobody_from_being_told(wired, monkeypatch):
    """The store cannot be opened: what one round can confirm is told all the same, and once in Slack."""
    (wired.path / "taken").mkdir()
    monkeypatch.setenv("DIALTONE_HISTORY", "taken")
    both = BAD + DEPENDS
    wired.run(both).stdout.fnmatch_lines(["*alerts: the history is in trouble*"])
    wired.run(both)
    assert len([m for m in wired.slack.messages.values() if "thread_ts" not in m]) == 1
    assert "OPENED: health (failing) on preview" in wired.texts()[0]


def test_acknowledged_in_pagerduty(wired):
    """It is read back, and the thread in Slack says who has it."""
    wired.run(BAD)
    wired.run(BAD)
    wired.pager.acknowledge(wired.pager.alerts[0].dedup_key, "Ada")
    wired.run(BAD)
    assert "ACKNOWLEDGED" in wired.texts()[0]


def test_commands(wired, monkeypatch, capsys):
    """What is open, who would hear, I have it, what was sent, the document."""
    wired.run(BAD)
    wired.run(BAD)
    monkeypatch.chdir(wired.path)
    monkeypatch.setenv("DIALTONE_TARGET", "preview")

    capsys.readouterr()

    def say(*words: str) -> str:
        assert main([*words, "--target", "preview"]) == 0
        return capsys.readouterr().out

    listed = say("incidents")
    incident = listed.split()[0]
    assert "P0  open  health" in listed
    assert json.loads(say("incidents", "--json"))[0]["id"] == incident
    assert "told first: ada" in say("routes", "explain", "health")
    assert "acknowledged by bo" in say("ack", incident[:5], "--as", "bo")
    assert f"{incident}.1.slack" in say("outbox")
    assert "0 waiting" in say("outbox", "send")
    assert "2/2 pager: taken" in say("channels", "test")
    assert "until" in say("silence", "calendar*", "--for", "2h", "--reason", "upgrade")
    assert "upgrade" in say("silence")
    page = say("incidents", incident)
    assert "## Time line" in page
    assert "acknowledged (by bo)" in page
    assert main(["ack", "ffff", "--target", "preview"]) == 4
    assert "there is no incident ffff" in capsys.readouterr().err


def test_what_the_alerting_tells_of_itself(wired, monkeypatch):
    """Slack is dead: PagerDuty hears of that too; a deployment is a change event, once; silence and gap are said."""
    wired.nearby.faults.add({"provider": "slack_api", "status": 404, "ttl": 60})
    for commit in ("abc", "abc", "def"):
        monkeypatch.setenv("DIALTONE_DEPLOYMENT", commit)
        wired.run(BAD)
    assert wired.pager.changes == ["preview: deployed def"]
    assert sorted(a.summary.partition(" on ")[0] for a in wired.pager.alerts) == [
        "[P0] OPENED: health (failing)", "[P1] OPENED: channel: slack",
    ]  # fmt: skip
    wired.nearby.faults.clear()
    monkeypatch.chdir(wired.path)
    assert main(["channels", "test", "slack", "--target", "preview"]) == 0
    assert [a.status for a in wired.pager.alerts if "channel" in a.summary] == ["resolved"]
    store = wired.store()
    store.engine.do("UPDATE dialtone_heartbeat SET at = at - 3600000, every = 600000")
    at = time.time()
    one = Silence("s1", "preview", "calendar*", at - 60, "upgrade", "ada", at - 9_000)
    with store.engine.transaction():
        Records(store.engine).put_silence(one)
    store.close()
    result = wired.run(GOOD)
    told = ["*alerts: nothing looked at preview for 1 h*", "*silence of calendar* by ada has ended: upgrade"]
    result.stdout.fnmatch_lines(told)
    assert "[P2] OPENED: watch: rounds were missed" in [a.summary.partition(" on ")[0] for a in wired.pager.alerts]
