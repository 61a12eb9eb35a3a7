"""An experiment's story: what it notes, that no fault outlives its block, and which verdict it forms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.drill.conftest import Customer, Inboxes
from tests.interceptor.conftest import Proxy, ask

from dialtone.drill import Answer, Duty, Entry, Ledger, Promise, Retry, reconcile
from dialtone.drill.declared import Fault, fault
from dialtone.drill.story import Story
from dialtone.drill.sweep import PAIRS, Call, Sweep, calls
from dialtone.fixtures import experiments
from dialtone.interceptor.client import FOLDER_VARIABLE, Controller
from dialtone.judging import Record
from dialtone.sandbox import ATTACH_VARIABLE, Sandbox
from dialtone.verdict import Bad, Unarmed, Undecided, Verdict

GONE = fault("refuse", host="api.test")
BUSY = fault("status", status=503, host="api.test")
DUTY = (Duty("row", "order", "rows"),)
ORDER, DONE, LATER = Promise("order", "a"), Entry("a", "1"), Retry("row", "a", 1.0)


def ledger(kept: int = 1, lost: int = 0, doubled: int = 0, at: float = 0.0) -> Ledger:
    """A ledger with so many of each."""
    names = [f"k{i}" for i in range(kept)] + [f"l{i}" for i in range(lost)] + [f"d{i}" for i in range(doubled)]
    entries = [Entry(n, n) for n in names if n[0] != "l"] + [Entry(n, n + "2") for n in names if n[0] == "d"]
    return reconcile([Promise("order", n, at, Answer.YES) for n in names], {"rows": entries}, DUTY)


def verdict(story: Story, record: Record) -> str:
    """What the story concludes, in a word."""
    try:
        story.conclude()
    except (Bad, Undecided) as judged:
        return ("fail: " if isinstance(judged, Bad) else "") + judged.finding.reason
    return str(record.worst().verdict)


def test_a_fallback_that_holds(story: Story, record: Record, customer: Customer, inboxes: Inboxes) -> None:
    """Steady, fault, fallback, alert, recovery, ledger: a pass with its times."""
    story.steady("served", customer.served)
    with story.fault(BUSY):
        story.fallback("the customer is told", not customer.served())
        inboxes.tell("slack", "api.test is down (shop 7)")
        assert story.alert("slack", names=["API.test"], about="shop 7")
    story.recovered("served again", customer.served)
    story.ledger(lambda: ledger(3))
    assert verdict(story, record) == Verdict.OK
    told = record.notes["experiment"]
    assert [step["step"] for step in told["steps"]] == [
        *("steady state", "fault", "fallback", "alert", "fault ends", "recovery", "ledger")
    ]
    assert (told["lost"], told["doubled"]) == (0, 0)
    assert 0 <= told["seconds_to_alert"] <= 30
    assert told["seconds_to_recover"] >= 0
    assert told["cells"] == [{"host": "api.test", "fault": "status", "matched": 1, "acted": 1}]
    assert told["ledger"]["row"]["kept"] == 3


def test_no_steady_state_is_inconclusive(story: Story, record: Record, controller: Controller) -> None:
    """Nothing is broken then, and nothing is green."""
    with pytest.raises(Undecided, match="does not hold: served"):
        story.steady("served", lambda: False)
    assert verdict(story, record).startswith("inconclusive: the steady state")
    assert not controller.faults()["active"]


def test_a_fault_that_met_nothing_is_inconclusive(story: Story, record: Record) -> None:
    """Whatever else held, or did not."""
    with story.fault(BUSY):
        story.fallback("fine", look=True)
        story.fallback("not fine", look=False)
    assert verdict(story, record) == "inconclusive: the fault met nothing: status at api.test"


def test_a_pattern_of_several_hosts_is_none_of_them(story: Story) -> None:
    """A cell of the matrix is a host that was hit; of several nobody knows which."""
    story._hosts = ["a.up.io", "b.up.io", "api.test"]
    assert (story.named("*.up.io"), story.named("*"), story.named("*.test")) == ("*.up.io", "*", "api.test")


def test_a_story_tells_which_hosts_speak_plain_tcp(story: Story) -> None:
    """As the interceptor's settings say; each of them is a host as any other."""
    told = story.record()
    assert told["tcp"] == ["tcp.test"]
    assert {"api.test", "tcp.test"} <= set(told["hosts"])


def test_a_refusal_counts_what_stood(story: Story, record: Record, customer: Customer, proxy: Proxy) -> None:
    """A kept connection is reset with the host; who is refused after is nobody's count."""
    with proxy.connect() as kept:
        ask(kept)
        with story.fault(GONE):
            proxy.settle()
            story.fallback("refused", not customer.served())
            with pytest.raises(ConnectionResetError):
                kept.recv(1)
    assert record.notes["story"][-1]["what"].endswith("acted on 1 of 1")
    assert verdict(story, record) == Verdict.OK


def test_a_refusal_of_a_host_that_was_called(story: Story, record: Record, customer: Customer) -> None:
    """That the steady state called it is the proof that it was reached."""
    story.steady("served", customer.served)
    with story.fault(GONE):
        story.fallback("refused", lambda: not customer.served(), within=20)
    assert verdict(story, record) == Verdict.OK


def test_a_refusal_of_a_host_that_nobody_called(story: Story, record: Record) -> None:
    """Proves nothing."""
    with story.fault(GONE):
        story.fallback("fine", look=True)
    assert "met nothing: refuse at api.test" in verdict(story, record)


def test_the_story_goes_on_after_what_does_not_hold(story: Story, record: Record, customer: Customer) -> None:
    """The verdict names the first, the record has all of it."""
    with story.fault(BUSY):
        customer.served()
        assert not story.fallback("first", look=False)
        story.fallback("second", look=False)
    story.ledger(lambda: ledger(1, lost=1, doubled=1), within=0)
    assert verdict(story, record) == "fail: fallback: first (and 3 more)"
    told = record.notes["experiment"]
    assert (told["lost"], told["doubled"]) == (1, 1)


def test_the_fault_is_gone_when_the_block_is_left_by_an_error(story: Story, controller: Controller) -> None:
    """Before anybody forms a verdict."""
    seen = []

    def left() -> None:
        with story.fault(BUSY):
            seen.extend(controller.faults()["active"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        left()
    assert len(seen) == 1
    assert not controller.faults()["active"]


def test_a_fault_that_ended_early_is_inconclusive(
    story: Story, record: Record, customer: Customer, controller: Controller
) -> None:
    """Somebody pulled the lever, or nobody renewed it: what was seen then was not under the fault."""
    with story.fault(BUSY):
        customer.served()
        controller.pull("too much")
        story.fallback("fine", look=True)
    controller.release()
    assert "status at api.test ended early: safety lever: too much" in verdict(story, record)


@pytest.mark.parametrize(
    ("provider", "text", "late", "accepted"),
    [
        ("mail", "api.test is down", 0, True),
        ("slack", "something is down", 0, True),
        ("slack", "api.test is down", 5, True),
        ("slack", "api.test is down", 0, False),
    ],
    ids=["other channel", "no cause", "too late", "refused"],
)
def test_an_alert_that_was_not_heard(
    story: Story, customer: Customer, inboxes: Inboxes, provider: str, text: str, late: float, accepted: bool
) -> None:
    """On another channel, without the cause, too late, or refused by the receiving end."""
    with story.fault(BUSY):
        customer.served()
        begun = story.fault_began or 0.0
        inboxes.tell(provider, text, begun + 0.01 + late, accepted=accepted)
        assert not story.alert("slack", names=["api.test"], within=0.1)
    with pytest.raises(Bad, match="alert: slack"):
        story.conclude()


@pytest.mark.parametrize(("times", "said"), [(1, "ok"), (3, "fail: alert: slack is told once, not 3 times")])
def test_an_alert_is_told_once(
    story: Story, record: Record, customer: Customer, inboxes: Inboxes, times: int, said: str
) -> None:
    """To the end of the story; what says that it is over does not count."""
    with story.fault(BUSY):
        customer.served()
        for _ in range(times):
            inboxes.tell("slack", "api.test is down")
        story.alert("slack", names=["api.test"])
    inboxes.tell("slack", "resolved: api.test is back")
    assert story.resolved("slack", names=["resolved"])
    assert verdict(story, record) == said


def test_silence_is_asserted_to_the_end(story: Story, record: Record, customer: Customer, inboxes: Inboxes) -> None:
    """Also when the message comes after the step."""
    story.silence("slack")
    with story.fault(BUSY):
        customer.served()
    inboxes.tell("slack", "api.test is down")
    assert verdict(story, record) == "fail: silence: nothing is told on slack: 1 messages"


def test_what_does_not_recover_in_time(story: Story, record: Record, customer: Customer) -> None:
    """The objective is the experiment's."""
    with story.fault(BUSY):
        customer.served()
    assert not story.recovered("served again", lambda: False, within=0)
    assert verdict(story, record) == "fail: recovery: not within 0 s: served again"


def test_a_recovery_after_its_time_is_none(story: Story, record: Record, customer: Customer) -> None:
    """Although it holds at the last look: the objective is a time."""
    with story.fault(BUSY):
        customer.served()
    assert story.fault_ended is not None
    story.fault_ended -= 30
    assert not story.recovered("served again", lambda: True, within=25)
    assert not record.notes["story"][-1]["holds"]
    assert verdict(story, record) == "fail: recovery: not within 25 s: served again"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (ledger(2, lost=1), "fail: ledger: 1 lost (row)"),
        (ledger(2, doubled=1), "fail: ledger: 1 doubled (row)"),
        (reconcile([ORDER], {"rows": []}, DUTY, retries=[LATER]), "fail: ledger: 1 still pending after 0 s (row)"),
        (
            reconcile([ORDER], {"rows": [DONE]}, DUTY, retries=[LATER]),
            "inconclusive: the ledger: 1 retries are still due: each may do again what is kept",
        ),
        (ledger(0), "inconclusive: the ledger: nothing was promised"),
        (reconcile([ORDER], {}, DUTY), "inconclusive: the ledger: row: nobody could read rows"),
    ],
    ids=["lost", "doubled", "pending", "kept, and a retry is due", "empty", "unknown"],
)
def test_the_ledger_decides(story: Story, record: Record, customer: Customer, made: Ledger, said: str) -> None:
    """Lost and doubled fail; a book that nobody could read, or that holds nothing, proves nothing."""
    with story.fault(BUSY):
        customer.served()
        story.fallback("fine", look=True)
    story.ledger(lambda: made, within=0)
    assert verdict(story, record).startswith(said)


def test_what_is_kept_may_be_done_again_by_a_retry_that_is_due(
    story: Story, record: Record, customer: Customer
) -> None:
    """The books balance, and a retry is still to come: it is waited for, and what it doubles is found."""
    with story.fault(BUSY):
        customer.served()
    again = reconcile([ORDER], {"rows": [DONE, Entry("a", "2")]}, DUTY)
    looks = iter([reconcile([ORDER], {"rows": [DONE]}, DUTY, retries=[LATER]), again])
    assert story.ledger(lambda: next(looks), within=30) is again
    assert verdict(story, record) == "fail: ledger: 1 doubled (row)"


def test_a_recovery_point_excuses_the_last_promises(story: Story, record: Record, customer: Customer) -> None:
    """And nothing older: `lost` is what is lost beyond the objective."""
    story.aims = type(story.aims)(rpo=10)
    with story.fault(BUSY):
        customer.served()
    story.ledger(lambda: ledger(1, lost=1, at=95.0), within=0, loss_at=100.0)
    assert verdict(story, record) == Verdict.OK
    story.ledger(lambda: ledger(1, lost=1, at=80.0), within=0, loss_at=100.0)
    assert verdict(story, record).startswith("fail: ledger: 1 lost")


def test_nothing_asserted_is_nothing_proved(story: Story, record: Record, customer: Customer) -> None:
    """A fault alone, or no fault at all."""
    assert verdict(story, record) == "inconclusive: no fault was put"
    with story.fault(BUSY):
        customer.served()
    assert verdict(story, record) == "inconclusive: nothing was asserted"


def test_two_faults_at_once_are_two_cells(story: Story, record: Record, customer: Customer) -> None:
    """Both have to have met something."""
    late = fault("latency", seconds=0.01, host="api.test")
    with story.fault(BUSY, late):
        customer.served()
        story.fallback("fine", look=True)
    assert verdict(story, record) == Verdict.OK
    assert {cell["fault"] for cell in record.notes["experiment"]["cells"]} == {"status", "latency"}


def test_a_cell_is_of_a_host_and_not_of_a_pattern(story: Story, record: Record, customer: Customer) -> None:
    """An answer may be of any host of a provider; the matrix has the one that the target calls."""
    with story.fault(fault("status", host="api.*")):
        customer.served()
        story.fallback("fine", look=True)
    assert verdict(story, record) == Verdict.OK
    assert record.notes["experiment"]["cells"][0]["host"] == "api.test"


def test_customers_are_sampled_throughout(story: Story, record: Record, customer: Customer) -> None:
    """Good before, bad during, and the first bad one is when it could be seen."""
    callers = story.load("callers", customer.served, every=0.005)
    story.steady("somebody was served", lambda: any(s.good for s in callers.samples), within=30)
    with story.fault(BUSY):
        story.fallback("seen", lambda: any(not s.good for s in story.during_fault(callers)), within=30)
    assert verdict(story, record) == Verdict.OK
    told = record.notes["experiment"]
    assert told["symptoms"][0]["bad"] >= 1
    assert told["seconds_to_detect"] is not None


def test_declared_faults() -> None:
    """An authentic answer, a mechanism, and the words of what is missing."""
    answer = fault("google.token.invalid_grant", share=0.5, seed=7)
    assert answer.plan == {
        "fault": "answer", "provider": "google", "row": "token.invalid_grant", "seed": 7,
        "match": {"host": "oauth2.googleapis.com", "path": "/token", "method": "POST", "share": 0.5},
    }  # fmt: skip
    assert answer.what == "google answers 400 invalid_grant"
    late = fault("latency", seconds=2, host="api.test", says="slow")
    assert late == Fault(
        "slow", "latency", "api.test", {"fault": "latency", "match": {"host": "api.test"}, "seconds": 2}
    )
    with pytest.raises(TypeError, match="of which host"):
        fault("refuse")
    with pytest.raises(LookupError, match="google has no answer"):
        fault("google.token.nonsense")


def test_a_hosted_target_has_no_wire(record: Record) -> None:
    """No fault and no receiving end there; what a story disturbs by itself it can tell of."""
    story = Story(None, None, settle=0.0, quiet=0.0)
    with pytest.raises(Unarmed, match="no interceptor"), story.fault(BUSY):
        pass
    with pytest.raises(Unarmed, match="no journal"):
        story.alert("slack")
    with story.disturbed("the webhook arrives twice", kind="duplicate", host="stripe webhook"):
        story.fallback("taken once", look=True)
    assert verdict(story, record) == Verdict.OK
    assert record.notes["experiment"]["cells"][0]["host"] == "stripe webhook"


def _line(host: str, method: str, path: str, kind: str = "exchange") -> dict[str, str]:
    return {"kind": kind, "host": host, "method": method, "path": path}


def test_calls_are_read_from_the_journal() -> None:
    """Names of things are globs, the same call twice is two, other hosts and other lines are left out."""
    lines = [
        _line("pay", "POST", "/v1/invoices"),
        _line("pay", "POST", "/v1/invoices/in_1NxYz2Lk/finalize"),
        _line("pay", "POST", "/v1/invoices/in_9Ab8Cd7Ef/finalize?expand="),
        _line("cal", "POST", "/calendar/v3/calendars/primary/events"),
        _line("pay", "POST", "/v1/invoices", "fault begins"),
    ]
    assert calls(lines, "pay") == [
        Call("pay", "POST", "/v1/invoices"),
        Call("pay", "POST", "/v1/invoices/*/finalize"),
        Call("pay", "POST", "/v1/invoices/*/finalize", 2),
    ]
    assert [str(call) for call in calls(lines)][-1] == "POST /calendar/v3/calendars/*/events"


def test_each_class_meets_each_call(story: Story, record: Record, controller: Controller, customer: Customer) -> None:
    """A path of one call: as many cells as classes; the one that the customer notices fails, by name."""
    sweep = Sweep(story, controller, classes=["status", "latency"])
    found = sweep.observe(customer.served, "api.test")
    assert found == [Call("api.test", "GET", "/")]
    assert sweep.inject(found, customer.served, "served") == 2
    assert verdict(story, record) == "fail: fallback: served: GET /, status"
    assert {cell["fault"] for cell in record.notes["experiment"]["cells"]} == {"status", "latency"}


def test_a_call_that_was_not_made_is_no_cell(story: Story, record: Record, controller: Controller) -> None:
    """The path went another way: nothing is proved, and nothing is red."""
    sweep = Sweep(story, controller, classes=["status"])
    assert sweep.inject([Call("api.test", "GET", "/never")], lambda: True, "served") == 0
    assert verdict(story, record) == "inconclusive: no fault was put"


def test_pairs_are_drawn_by_the_seed(
    story: Story, record: Record, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many, of two calls, on demand."""
    monkeypatch.setenv(PAIRS, "3:7")
    sweep = Sweep(story, controller, classes=["status"])
    found = [Call("api.test", "GET", f"/{i}") for i in range(4)]
    sweep.inject(found, lambda: True, "served")
    told = [step["what"] for step in record.notes["story"] if step["step"] == "fallback"]
    assert len(told) == 4 + 3
    assert sum(" and " in what for what in told) == 3


@pytest.mark.parametrize(("kind", "touched"), [("sandbox", ["switch again"]), ("preview", []), ("production", [])])
def test_another_target_never_touches_the_sandbox_of_the_environment(
    record: Record, monkeypatch: pytest.MonkeyPatch, kind: str, touched: list[str]
) -> None:
    """Whatever stands there: somebody else's experiment may have a defect switched on in it."""
    done: list[str] = []
    named = SimpleNamespace(switch_again=lambda: done.append("switch again"))
    monkeypatch.setattr(Sandbox, "attach", lambda state: done.append(state) if state != "state.json" else named)
    monkeypatch.setenv(ATTACH_VARIABLE, "state.json")
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    profile = SimpleNamespace(kind=kind, journal=None, settle=0.0, quiet=0.0)
    fixture: Any = experiments.story
    made = fixture.__wrapped__(None, SimpleNamespace(profile=profile))
    assert isinstance(next(made), Story)
    made.close()
    assert done == touched
