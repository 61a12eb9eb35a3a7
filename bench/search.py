"""Searching for what breaks the books: five classic defects, each found from nothing and shrunk to its shortest story.

Each is a resilience defect of the receptionist that the search is not told of. What is asserted: every one is found,
the double charge as one fault and one action, and each within a minute of searching; the last only at full length.
Without a defect the same search finds nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench._table import ROOT, Bench

CLASSICS = {
    "fee-no-idempotency-key": "the answer is lost after the commit, and it is tried again",
    "claim-before-processing": "an event counts as done before it is",
    "slot-checked-then-inserted": "looked up first, written later",
    "tool-retry-charges": "tried again without an idempotency key",
    "refresh-race": "two workers refresh one token",
}
QUICK = ["fee-no-idempotency-key"]
MINUTE = 60


def main() -> int:
    """One search for each, and one without."""
    bench = Bench("search", __doc__)
    bench.parser.add_argument("--seed", type=int, default=1)
    rows, found = [], {}
    for defect in [*(QUICK if bench.quick else CLASSICS), None]:
        shown = _search(defect, bench.arguments.seed, MINUTE if defect else MINUTE // 4)
        found[defect] = shown
        rows.append([defect or "(none)", shown["schedules"], shown["seconds"], shown["broken"], shown["story"]])
    bench.rows(["defect", "schedules", "seconds", "what broke", "shortest story"], rows)
    searched = {defect: shown for defect, shown in found.items() if defect}
    bench.bar("defects found", sum(bool(s["acts"]) for s in searched.values()), "count", least=len(searched))
    charge = searched["fee-no-idempotency-key"]["acts"]
    bench.bar("acts of the double charge", len(charge), "count", most=1)
    bench.bar("its faults", sum(len(act["faults"]) for act in charge), "count", most=1)
    bench.bar("longest search", max(s["seconds"] for s in searched.values()), "s", most=MINUTE)
    bench.bar("found without a defect", len(found[None]["acts"]), "count", most=0)
    return bench.finish()


def _search(defect: str | None, seed: int, seconds: int) -> dict[str, Any]:
    under = ["--under", defect] if defect else []
    command = [sys.executable, "-m", "dialtone.cli", "drill", "search", "--json", "--seed", str(seed)]
    done = subprocess.run(
        [*command, "--seconds", str(seconds), *under],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{defect}: exit {done.returncode}: {done.stderr}")
    told = json.loads((ROOT / f"build/drill/search/{defect or 'healthy'}-drill.json").read_text())
    step = next(s["what"] for s in told["experiments"][0]["steps"] if s["step"] == "search")
    counted = re.match(r"(\d+) schedules in ([\d.]+) s: (.*)", step)
    if counted is None:
        raise SystemExit(f"{defect}: {step}")
    file = re.search(r"dialtone drill replay (\S+)", json.loads(done.stdout)[0]["reason"])
    story = json.loads((ROOT / file[1]).read_text()) if file else {"acts": [], "found": ""}
    return {
        "schedules": int(counted[1]),
        "seconds": float(counted[2]),
        "story": counted[3],
        "broken": story["found"],
        "acts": story["acts"],
    }


if __name__ == "__main__":
    raise SystemExit(main())
