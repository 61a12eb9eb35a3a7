"""What each kind of loss costs: the database of a sandbox is lost and brought back, again and again.

The experiments of chaos/test_recovery.py are run as they stand, while customers book; RPO and RTO are theirs. Beside
them: backups, archives and dumps that were made incomplete, each of which has to be refused.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench

RPO = 5.0
"""Seconds: the objective of the experiments; what was promised earlier may not be missing at all."""


def drill(folder: Path) -> list[dict[str, Any]]:
    """One run of the experiments; their records."""
    command = [sys.executable, "-m", "pytest", "chaos/test_recovery.py", "-q", "--no-diagnosis", "-p", "no:randomly"]
    subprocess.run(
        [*command, "--verdicts", str(folder / "verdicts.json")], cwd=ROOT, check=False, stdout=subprocess.DEVNULL
    )
    told: list[dict[str, Any]] = json.loads((folder / "drill.json").read_text())["experiments"]
    return told


def row(loss: str, runs: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The figures of one kind of loss over all runs: the worst, and of the times the median as well."""

    def of(name: str) -> list[float]:
        return [float(run[name] or 0.0) for run in runs]

    rto = of("seconds_to_recover")
    times = [f"{value:.2f}" for value in (max(of("seconds_to_detect")), max(of("seconds_to_restore")))]
    return [
        *(loss, len(runs), f"{max(of('rpo')):.2f}", f"{max(int(n) for n in of('lost'))} of {runs[-1]['promised']}"),
        *(*times, f"{median(rto):.2f}", f"{max(rto):.2f}"),
    ]


def main() -> int:
    """Run, print, judge."""
    bench = Bench("recovery", __doc__)
    verdicts: list[str] = []
    losses: dict[str, list[Mapping[str, Any]]] = {}
    refused = tried = 0
    for _ in range(1 if bench.quick else 5):
        with tempfile.TemporaryDirectory() as folder:
            for experiment in drill(Path(folder)):
                verdicts.append(f"{experiment['id']}: {experiment['verdict']}")
                if found := experiment.get("recovery"):
                    losses.setdefault(found["loss"], []).append(found)
                steps = [step for step in experiment["steps"] if step["step"] == "refused"]
                tried, refused = tried + len(steps), refused + sum(step["holds"] for step in steps)
    head = ["loss", "runs", "RPO s", "missing", "noticed s", "restored s", "RTO s, median", "worst"]
    bench.rows(head, [row(loss, runs) for loss, runs in sorted(losses.items())])
    print(f"\nincomplete backups and dumps refused: {refused} of {tried}\n")
    every = [run for runs in losses.values() for run in runs]
    bench.bar("kinds of loss", len(losses), "", least=4)
    bench.bar("experiments that did not pass", sum(not v.endswith(": pass") for v in verdicts), "", most=0)
    bench.bar("lost beyond the objective", sum(int(run["lost_beyond"]) for run in every), "", most=0)
    bench.bar("doubled", sum(int(run["doubled"]) for run in every), "", most=0)
    bench.bar("not refused", tried - refused, "", most=0)
    bench.bar("refused", refused, "", least=9)
    bench.bar("RPO, worst", round(max((float(run["rpo"]) for run in every), default=99.0), 2), "s", most=RPO)
    bench.bar(
        "RTO, worst", round(max((float(run["seconds_to_recover"]) for run in every), default=99.0), 2), "s", most=30
    )
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
