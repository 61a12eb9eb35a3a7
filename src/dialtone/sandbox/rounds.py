"""The order of the rounds: the healthy one first, then each defect, the kept results where nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dialtone.sandbox.campaign import Kept, run_round
from dialtone.sandbox.controller import Sandbox
from dialtone.sandbox.matrix import Claims, Defect, Outcome, Round, evaluate, of_healthy, of_round
from dialtone.sandbox.source import source_hash

HEALTHY = "healthy"

RunRound = Callable[[Sandbox, "Defect | None", Sequence[str], Path], Round]


class Campaign:
    """All rounds over one sandbox, which starts when the first round is due and ends with the last."""

    def __init__(
        self,
        defects: Mapping[str, Defect],
        claims: Sequence[Claims],
        arguments: Sequence[str],
        build: Path,
        *,
        fresh: bool = False,
        tell: Callable[[str], None] = print,
        root: Path | None = None,
        run: RunRound = run_round,
        begin: Callable[[], Sandbox] = Sandbox.begin,
    ) -> None:
        self._defects = defects
        self._claims = claims
        self._arguments = arguments
        self._folder = build / "defects"
        self._tell = tell
        self._run = run
        self._begin = begin
        self._sandbox: Sandbox | None = None
        source = source_hash(root or Path.cwd(), salt=" ".join(arguments))
        self._kept = Kept(build / "defects-cache.json", source, fresh=fresh)

    def run(self, chosen: Sequence[str]) -> Outcome:
        """The rounds of these defects. A healthy round that is not clean ends it: nothing after it means anything."""
        self._folder.mkdir(parents=True, exist_ok=True)
        rounds: dict[str, Round] = {}
        try:
            healthy = self._round(None)
            if of_healthy(healthy):
                return Outcome({"defects": [], "never_red": []}, of_healthy(healthy))
            for number, name in enumerate(chosen, 1):
                rounds[name] = self._round(self._defects[name])
                self._tell(f"{number:>3}/{len(chosen)} {self._line(name, rounds[name])}")
        finally:
            if self._sandbox is not None:
                self._sandbox.stop()
                self._sandbox = None
        return evaluate(self._defects, self._claims, healthy, rounds)

    def _round(self, defect: Defect | None) -> Round:
        name = defect.id if defect else HEALTHY
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        if self._sandbox is None:
            self._sandbox = self._begin().wait(self._tell)
        shown = self._run(self._sandbox, defect, self._arguments, self._folder)
        wrong = of_round(defect, self._claims, shown) if defect else of_healthy(shown)
        if not wrong:  # what did not go as claimed is looked at again next time
            self._kept.put(name, shown)
        return shown

    def _line(self, name: str, shown: Round) -> str:
        wrong = of_round(self._defects[name], self._claims, shown)
        by = ", ".join(shown.red[:3]) + (f" and {len(shown.red) - 3} more" if len(shown.red) > 3 else "")
        state = f"caught by {by}" if not wrong else "; ".join(line.removeprefix(f"{name}: ") for line in wrong)
        return f"{name}: {state} ({shown.seconds:.1f} s)"
