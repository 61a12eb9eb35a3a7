"""One tick of the alerting with 10,000 open incidents in the store: nothing due, 100 due, and a claim of the outbox."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import Bench

from dialtone.history import Store
from dialtone.incidents.desk import Desk, identity
from dialtone.incidents.lifecycle import Incident, Rules, Sign, begin, observe
from dialtone.incidents.routing import Router
from dialtone.target.alerting import Alerting
from dialtone.verdict import Severity, Verdict

NOON = 1_780_315_200.0
CONFIG = {
    "channels": {"slack": {"kind": "slack", "secret": "T", "to": ["C"]}},
    "people": {"ada": {}, "bo": {}},
    "on_call": {"primary": "ada", "secondary": "bo"},
    "routes": {"all": {"channels": ["slack"]}},
}


def opened(number: int, due: float) -> Incident:
    """An open incident whose deadline is at a given time."""
    name = f"check_{number:05d}"
    bad = [Sign(name, NOON + n, Verdict.CRITICAL, severity=Severity.P2, reason="it is bad", samples=9) for n in (0, 60)]
    incident = begin(identity("production", name, NOON), "production", name, NOON, Severity.P2)
    rules = Rules(ack_within=due - NOON - 60, resend_every=None)
    for one in bad:
        incident, _ = observe(incident, [one], one.at, rules)
    return incident


def timed(work: Callable[[], object], times: int) -> float:
    """Median of some runs, ms."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1_000)
    return statistics.median(taken)


def _main() -> int:
    bench = Bench("alert_tick", __doc__)
    count = 1_000 if bench.quick else 10_000
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "history.db")
        desk = Desk(store.engine, Router(Alerting.model_validate(CONFIG), ["production"]))
        with store.engine.transaction():
            for number in range(count):
                incident = opened(number, NOON + 3_600 + (0 if number < 100 else 86_400))
                desk.records.put(incident, incident.wakes)
        none = timed(lambda: desk.tick(NOON + 120), 21)
        begun = time.perf_counter()
        told = len(desk.tick(NOON + 3_600))
        some = (time.perf_counter() - begun) * 1_000
        claim = timed(lambda: desk.outbox.claim(NOON + 3_601), 21)
        rows = [["a tick, none due", none], [f"a tick, {told} due and told", some], ["a claim of the outbox", claim]]
        store.close()
    bench.rows([f"with {count:,} open incidents", "ms"], rows)
    bench.bar("a tick with nothing due", none, "ms", most=100)
    bench.bar("a tick with 100 due", some, "ms", most=100)
    bench.bar("incidents that were due and told", told, "incidents", least=100)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(_main())
