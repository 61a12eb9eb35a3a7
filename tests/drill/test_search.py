"""The search, on a real interceptor with a shop of a few lines behind it that loses or doubles on demand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.drill.conftest import Customer

from dialtone.drill import Act, Answer, Duty, Entry, Promise, Retry, reconcile
from dialtone.drill import search as searching
from dialtone.drill.declared import fault
from dialtone.drill.schedule import StoryFileError, alone, read, size
from dialtone.drill.search import REPLAY, SEARCH, Search
from dialtone.drill.story import Story
from dialtone.interceptor.client import Controller
from dialtone.judging import fail, running

FAULTS = {
    "slow": fault("latency", host="api.test", seconds=0.001),
    "refused": fault("status", host="api.test", status=503),
    "page": fault("html", host="api.test"),
}


class Shop:
    """Sells, and charges through the interceptor; `broken` says under what it charges twice or forgets."""

    def __init__(self, customer: Customer, broken: str) -> None:
        self.customer, self.broken = customer, broken
        self.promises: list[Promise] = []
        self.charges: list[Entry] = []
        self.begun = 0

    def begin(self) -> dict[str, Any]:
        """New customers."""
        self.begun += 1
        self.promises, self.charges = [], []
        return {"buys": self.buys, "looks": self.looks, "complains": self.complains}

    def looks(self) -> None:
        """Costs nothing."""

    def complains(self) -> None:
        """Must not be heard after somebody bought."""
        if self.broken == "complaint" and self.promises:
            fail("a customer who bought complains")

    def buys(self) -> None:
        """One promise, one charge."""
        key = f"k{self.begun}-{len(self.promises)}"
        self.promises.append(Promise("sale", key, 1.0, Answer.YES))
        if not self.customer.served() and self.broken == "loses":
            return
        self.charges.append(Entry(key, f"{key}-1"))
        if self.broken == "doubles" and len(self.promises) == 2:
            self.charges.append(Entry(key, f"{key}-2"))

    def look(self) -> Any:
        """The ledger."""
        return reconcile(self.promises, {"charges": self.charges}, [Duty("charge", "sale", "charges")])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(searching, "_LOST_FOR", 0.0)


def searched(story: Story, controller: Controller, shop: Shop, **environ: str) -> Search:
    """Search, as the environment says."""
    search = Search(story, controller, "books", environ={SEARCH: "60:3:60", **environ}, sleep=lambda _: None)
    search(shop.begin, FAULTS, shop.look)
    return search


def said(story: Story) -> str:
    """The step of the search."""
    return next(step["what"] for step in story.steps if step["step"] == "search")


@pytest.mark.parametrize(
    ("broken", "shortest", "found"),
    [
        ("loses", (Act("buys", ("refused",)),), "1 lost (charge)"),
        ("doubles", (Act("buys"), Act("buys")), "1 doubled (charge)"),
        ("complaint", (Act("buys"), Act("complains")), "a customer who bought complains"),
    ],
)
def test_the_shortest_story_is_found(
    story: Story, controller: Controller, customer: Customer, broken: str, shortest: tuple[Act, ...], found: str
) -> None:
    """One fault and one action, or the fewest actions; written as a file that runs again."""
    searched(story, controller, Shop(customer, broken))
    file = next(Path("build/drill/stories").iterdir())
    told = json.loads(file.read_text())
    assert [Act(a["do"], tuple(f["name"] for f in a["faults"])) for a in told["acts"]] == list(shortest)
    assert told["found"] == found
    assert not next(s for s in story.steps if s["step"] == "search")["holds"]
    assert controller.faults()["active"] == []
    assert running().findings == []

    again = searched(story, controller, Shop(customer, broken), **{REPLAY: str(file)})
    assert again.ran[shortest] == found


def test_what_is_kept_is_done_once_more_by_a_retry(story: Story, controller: Controller, customer: Customer) -> None:
    """The books balance, and a retry is due: the double is this schedule's, not the next one's."""
    shop = Shop(customer, "")
    looks = 0

    def look() -> Any:
        nonlocal looks
        looks += 1
        doubled = shop.broken and looks > 3
        entries = [*shop.charges, *(Entry(e.key, e.id + "-again") for e in shop.charges if doubled)]
        later = [Retry("charge", p.key, 1.0) for p in shop.promises if shop.broken and not doubled]
        return reconcile(shop.promises, {"charges": entries}, [Duty("charge", "sale", "charges")], retries=later)

    search = Search(story, controller, "books", environ={}, sleep=lambda _: None)
    search(shop.begin, FAULTS, look)
    looks, shop.broken = 0, "retries"
    assert search.run((Act("buys", ("slow",)),)) == "1 doubled (charge)"


def test_what_is_still_on_its_way_is_not_said_to_hold(story: Story, controller: Controller, customer: Customer) -> None:
    """It is told that something was open, and not waited for again after the next schedule."""
    shop = Shop(customer, "")
    stuck: list[Retry] = []
    now = iter(range(0, 10_000, 3))
    duty = [Duty("charge", "sale", "charges")]

    def look() -> Any:
        return reconcile(shop.promises, {"charges": shop.charges}, duty, retries=stuck)

    search = Search(story, controller, "books", environ={}, clock=lambda: float(next(now)), sleep=lambda _: None)
    search(shop.begin, FAULTS, look, known=[(Act("looks"),)])
    stuck.append(Retry("charge", "k", 1.0))
    assert search.run((Act("buys", ("slow",)),)) == ""
    assert search.run((Act("buys", ("page",)),)) == ""
    search._found(None, "", "2 schedules", write=False)
    assert "after 1 of them something was still on its way" in story.steps[-1]["what"]


def test_books_that_hold_are_said_to(story: Story, controller: Controller, customer: Customer) -> None:
    """As many schedules as were asked for, none run twice; the faults that acted are cells."""
    shop = Shop(customer, "")
    search = searched(story, controller, shop, **{SEARCH: "25:1:60"})
    assert "the books hold" in said(story)
    assert not Path("build/drill/stories").exists()
    assert {(cell["host"], cell["fault"]) for cell in story.cells} >= {("api.test", "latency")}
    assert shop.begun <= len(search.ran) + 2


def test_a_drill_runs_the_known_stories(story: Story, controller: Controller, customer: Customer) -> None:
    """Nothing is drawn; the first that breaks the books fails the experiment."""
    search = Search(story, controller, "books", environ={}, sleep=lambda _: None)
    shop = Shop(customer, "loses")
    search(shop.begin, FAULTS, shop.look, known=[(Act("buys"), Act("looks")), (Act("buys", ("refused",)),)])
    assert "2 known stories: refused: buys" in said(story)
    assert len(search.ran) == 3


def test_a_seed_repeats_itself(story: Story, controller: Controller, customer: Customer) -> None:
    """The same schedules in the same order; another seed has others."""
    ran = [list(searched(story, controller, Shop(customer, ""), **{SEARCH: f"12:{n}:60"}).ran) for n in (5, 5, 6)]
    assert ran[0] == ran[1] != ran[2]


def test_time_that_is_up_ends_the_search(story: Story, controller: Controller, customer: Customer) -> None:
    """What was not run in time is not run."""
    shop = Shop(customer, "loses")
    now = iter(range(0, 10_000, 3))
    search = Search(story, controller, "books", environ={SEARCH: "60:3:6"}, clock=lambda: float(next(now)))
    search(shop.begin, FAULTS, shop.look)
    assert shop.begun <= 5


def test_a_file_that_is_no_story_is_refused(tmp_path: Path) -> None:
    """In words, with what there is."""
    path = tmp_path / "story.json"
    for text, why in (
        ("{", "is no story"),
        ('{"acts": []}', "no acts"),
        ('{"acts": [{"do": "sleeps", "faults": []}]}', "there is no 'sleeps'; there are buys"),
        (
            '{"acts": [{"do": "buys", "faults": [{"name": "gone"}]}]}',
            "there is no 'gone'; there are slow, refused, page",
        ),
    ):
        path.write_text(text)
        with pytest.raises(StoryFileError, match=why):
            read(path, {"buys": lambda: None}, FAULTS)


def test_shorter_is_fewer_acts_and_faults() -> None:
    """One act under one fault is shorter than two acts under none... of one size the fewer acts."""
    assert size((Act("a", ("f",)),)) < size((Act("a"), Act("a")))
    assert size((Act("a"),)) < size((Act("a", ("f",)),))


def test_single_acts_under_single_faults_are_tried_first() -> None:
    """Each act by itself, without a fault and under each of its own; the schedule itself is none of them."""
    one = Act("a", ("f", "g"))
    told = [str(schedule[0]) for schedule in alone((one, Act("b"), one))]
    assert told == ["a", "b", "f: a", "g: a"]
    assert alone((Act("a", ("f",)),)) == [(Act("a"),)]
