"""What every bench needs: its options, a table for people, bars for machines, an exit code.

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from bench._table import Bench

    bench = Bench("kills", __doc__)
    bench.rows(["#", "seconds"], [[1, 0.4]])
    bench.bar("slowest end", 0.4, "s", most=10)
    raise SystemExit(bench.finish())

The bars go to build/bench/NAME.json: {"bars": [{"name", "value", "unit", "bound", "holds"}]}.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_TIMES = {"s", "ms", "us", "µs", "ns"}


class Bench:
    """One bench: `quick` asserts ratios and counts only, absolute times are just printed then."""

    def __init__(self, name: str, description: str | None, *, build: Path = ROOT / "build" / "bench") -> None:
        self.name = name
        self.build = build
        self.parser = argparse.ArgumentParser(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self.parser.add_argument("--quick", action="store_true", help="a short run; absolute times are not asserted")
        self._arguments: argparse.Namespace | None = None
        self._bars: list[dict[str, Any]] = []

    @property
    def arguments(self) -> argparse.Namespace:
        """The parsed command line; more options may be added to `parser` before.

        From here on SIGTERM ends the bench as Ctrl-C does, by an exception: what it started ends with it.
        """
        if self._arguments is None:
            self._arguments = self.parser.parse_args()
            unasked = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            if unasked and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, _end)
        return self._arguments

    @property
    def quick(self) -> bool:
        """Whether this is the short run."""
        return bool(self.arguments.quick)

    def rows(self, titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print a table; numbers stand on the right."""
        cells = [list(titles), *[[_text(cell) for cell in row] for row in rows]]
        widths = [max(len(line[i]) for line in cells) for i in range(len(titles))]
        right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(titles))]
        for line in cells:
            parts = [
                cell.rjust(width) if numeric else cell.ljust(width)
                for cell, width, numeric in zip(line, widths, right, strict=True)
            ]
            print("  ".join(parts).rstrip(), flush=True)
        print()

    def bar(self, name: str, value: float, unit: str, *, most: float | None = None, least: float | None = None) -> bool:
        """Compare a figure with its bound; answers whether it holds. A quick run only prints absolute times."""
        if (most is None) == (least is None):
            raise ValueError(f"{name}: a bar has one bound, `most` or `least`")
        holds = value <= most if most is not None else value >= (least or 0)
        bound = f"<= {_text(most)}" if most is not None else f">= {_text(least)}"
        asserted = not (self.quick and unit in _TIMES)
        word = ("holds" if holds else "DOES NOT HOLD") if asserted else "not asserted in a quick run"
        print(f"{name}: {_text(value)} {unit}, bound {bound} {unit}: {word}", flush=True)
        if asserted:
            self._bars.append({"name": name, "value": value, "unit": unit, "bound": bound, "holds": holds})
        return holds

    def finish(self) -> int:
        """Write the bars; the exit code, 1 when one does not hold."""
        self.build.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"bars": self._bars}, indent=1)
        (self.build / f"{self.name}.json").write_text(text + "\n")
        return 0 if all(bar["holds"] for bar in self._bars) else 1


def _end(number: int, _: Any) -> None:
    raise SystemExit(128 + number)


def _text(value: Any) -> str:
    if isinstance(value, float) and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
