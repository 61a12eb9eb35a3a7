"""`dialtone drill --defects`: each resilience defect has to fail the experiments that claim it, and no other.

A round is one defect against who claims it, all of their dependency, and a seeded quarter of the rest. Rounds that went
as claimed are kept for as long as the sources stay what they are; the complete matrix is put together from them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from dialtone.drill.choice import HERE, Known, for_defect
from dialtone.sandbox import Sandbox, SandboxError
from dialtone.sandbox.campaign import CampaignError, resilience_defects, round_steps
from dialtone.sandbox.folder import write_private
from dialtone.sandbox.kept import Kept
from dialtone.sandbox.matrix import Claims, Defect, Round, of_round
from dialtone.sandbox.profile import app_defects, sandbox_options
from dialtone.sandbox.rounds import HEALTHY
from dialtone.sandbox.source import SOURCES, source_hash
from dialtone.target import ProfileError

_UNUSED = ("randomly", "cacheprovider", "hypothesispytest", "allure_pytest", "syrupy", "xdist")
_PAUSE = 0.05
_BOUND = 1_200.0
"""Seconds after which a round is given up: what fails is waited for as long as it may take to recover."""
_PART = 20
"""Experiments of one round without a defect."""
JOBS = min(6, (os.cpu_count() or 1) * 2)
"""Rounds at a time, each with a sandbox: most of a round is waiting."""
Say = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the matrix."""
    group = parser.add_argument_group("resilience defects")
    group.add_argument(
        "--defects", action="store_true", help="switch each on in turn: the experiments that claim it have to fail"
    )
    group.add_argument("--defect", nargs="+", metavar="ID", default=[], help="only these (implies --defects)")
    group.add_argument("--sample", type=int, metavar="N", help="only N of them, chosen by --seed")
    group.add_argument("--seed", type=int, default=0, help="of --sample, and of the quarter of the rest (default: 0)")
    group.add_argument("--complete", action="store_true", help="hold each against all experiments")
    group.add_argument("--fresh", action="store_true", help="forget rounds kept from unchanged sources")


def run(args: argparse.Namespace, experiments: Sequence[Known], say: Say) -> int:
    """Run the rounds; 0 when every claim holds."""
    began = time.monotonic()
    try:
        defects = resilience_defects(app_defects(args.target))
        chosen = _chosen(args, defects, experiments)
        options = {**sandbox_options(args.target), "intercepted": True}
    except ProfileError as wrong:
        raise CampaignError(str(wrong)) from None
    matrix = Matrix(args, experiments, defects, say, partial(Sandbox.begin, **options))
    try:
        rounds = matrix.run(chosen)
    except SandboxError as error:
        raise CampaignError(str(error)) from None
    document, complaints = outcome(chosen, defects, experiments, rounds, matrix.against, args.defect or args.sample)
    document["seconds"] = round(time.monotonic() - began, 1)
    path = args.build / "drill-defects.json"
    write_private(path, json.dumps({**document, "complaints": complaints}, indent=1) + "\n").chmod(0o644)
    if args.json:
        print(json.dumps({**document, "complaints": complaints}, indent=1))
    caught = sum(entry["caught"] for entry in document["defects"])
    say(f"{caught} of {len(chosen)} resilience defects fail what claims them, {len(complaints)} complaints")
    for complaint in complaints:
        say(f"  {complaint}")
    return 1 if complaints else 0


def _chosen(args: argparse.Namespace, defects: Mapping[str, Defect], experiments: Sequence[Known]) -> list[str]:
    wrong = sorted(set(args.defect) - set(defects))
    if wrong:
        raise LookupError(f"no such resilience defect: {', '.join(wrong)}; there are {', '.join(sorted(defects))}")
    chosen = [name for name in defects if not args.defect or name in args.defect]
    if args.only or args.scope == "smoke":
        claimed = {name for e in experiments for name in e.catches}
        chosen = [name for name in chosen if name in claimed]
    if args.sample is not None:
        chooser = random.Random(args.seed)  # noqa: S311 - a choice that can be repeated
        chosen = sorted(chooser.sample(chosen, min(args.sample, len(chosen))))
    return chosen


class Matrix:
    """The rounds: a job each has a sandbox that stays up between its rounds."""

    def __init__(
        self,
        args: argparse.Namespace,
        experiments: Sequence[Known],
        defects: Mapping[str, Defect],
        say: Say,
        begin: Callable[[], Sandbox],
    ) -> None:
        self._args, self._experiments, self._defects, self._say, self._begin = args, experiments, defects, say, begin
        self._folder = args.build / "drill" / "defects"
        how = f"drill {args.target} {args.seed} {args.complete}"
        source = source_hash(Path.cwd(), [*SOURCES, "chaos"], salt=how)
        self._kept = Kept(args.build / "drill-defects-cache.json", source, fresh=args.fresh)
        self._claims = [e.claims() for e in experiments]
        self._healthy: dict[str, list[Known]] = {}
        self._jobs = args.jobs or JOBS

    def against(self, name: str) -> list[Known]:
        """The experiments of the round of a defect, or of a part of the healthy one."""
        if name in self._healthy:
            return self._healthy[name]
        if self._args.complete:
            return list(self._experiments)
        return for_defect(name, self._experiments, self._args.seed)

    def _key(self, name: str) -> str:
        """What a round is kept by: one that was held against fewer says nothing of the others."""
        return name if name in self._healthy else f"{name}-{_hashed(self.against(name))}"

    def without(self, chosen: Sequence[str]) -> dict[str, list[Known]]:
        """The rounds without a defect: all that any round has, in parts that do not depend on what was chosen."""
        wanted = {e.id for name in chosen for e in self.against(name)}
        known = list(self._experiments)
        parts = [known[at : at + _PART] for at in range(0, len(known), _PART)]
        parts = [part for part in parts if any(e.id in wanted for e in part)]
        return {f"{HEALTHY}-{_hashed(part)}": part for part in parts}

    def run(self, chosen: Sequence[str]) -> dict[str, Round]:
        """All rounds, those that are kept first; one without a defect that is not clean ends it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._healthy = self.without(chosen)
        names = [*self._healthy, *chosen]
        rounds = {name: kept for name in names if (kept := self._kept.get(self._key(name))) is not None}
        due = [name for name in names if name not in rounds]
        if rounds:
            self._say(f"{len(rounds)} of {len(names)} rounds are kept from unchanged sources")
        sandboxes = [self._begin() for _ in range(min(self._jobs, len(due)))]
        try:
            for name, shown in self._rounds(due, sandboxes):
                rounds[name] = shown
                wrong = self._wrong(name, shown)
                told = "without a defect" if name in self._healthy else name
                self._say(f"{len(rounds):>3}/{len(names)} {told}: {self._told(shown, wrong)} ({shown.seconds:.0f} s)")
                if not wrong:
                    self._kept.put(self._key(name), shown)
                elif name in self._healthy:
                    raise CampaignError(f"without a defect: {'; '.join(wrong)}")
        finally:
            for sandbox in sandboxes:
                sandbox.stop()
        return rounds

    def _rounds(self, due: Sequence[str], sandboxes: Sequence[Sandbox]) -> Any:
        """Those without a defect, then the others, as they end."""
        yield from self._at_once([n for n in due if n in self._healthy], sandboxes)
        yield from self._at_once(self.longest_first([n for n in due if n not in self._healthy]), sandboxes)

    def longest_first(self, names: Sequence[str]) -> list[str]:
        """So that no long round is left alone at the end: who fails waits for as long as a recovery may take."""
        return sorted(names, key=lambda name: -sum(name in e.catches for e in self.against(name)))

    def _at_once(self, names: Sequence[str], sandboxes: Sequence[Sandbox]) -> Any:
        waiting, idle = list(names), list(sandboxes)
        running: list[Any] = []
        try:
            while waiting or running:
                while waiting and idle:
                    name, sandbox = waiting.pop(0), idle.pop(0).wait()
                    defect = self._defects.get(name)
                    steps = round_steps(sandbox, defect, self._arguments(name), self._folder, name=name, bound=_BOUND)
                    running.append((name, sandbox, steps))
                for entry in list(running):
                    name, sandbox, steps = entry
                    try:
                        next(steps)
                    except StopIteration as ended:
                        running.remove(entry)
                        idle.append(sandbox)
                        yield name, ended.value
                time.sleep(_PAUSE)
        finally:
            for _, _, steps in running:
                steps.close()

    def _arguments(self, name: str) -> list[str]:
        plugins = [word for plugin in _UNUSED for word in ("-p", f"no:{plugin}")]
        nodeids = [e.nodeid for e in self.against(name)]
        return [*nodeids, "--target", self._args.target, "-q", "--no-diagnosis", *HERE, *plugins]

    def _wrong(self, name: str, shown: Round) -> list[str]:
        if shown.failure:
            return [shown.failure]
        if name in self._healthy:
            bad = [f"{i} fails" for i in shown.red] + [f"{i} broke" for i in shown.broken]
            return bad + [f"{i} is inconclusive" for i in shown.undecided]
        return _of(self._defects[name], self._claims, self.against(name), shown)

    def _told(self, shown: Round, wrong: Sequence[str]) -> str:
        if wrong:
            return "; ".join(wrong)
        return f"failed by {', '.join(shown.red[:3])}" if shown.red else "nothing fails"


def _hashed(experiments: Sequence[Known]) -> str:
    return sha256(" ".join(e.id for e in experiments).encode()).hexdigest()[:8]


def _of(defect: Defect, claims: Sequence[Claims], against: Sequence[Known], shown: Round) -> list[str]:
    """What is wrong with the round of a defect, as far as it was held against them."""
    there = {e.id for e in against}
    wrong = of_round(defect, [c for c in claims if c.id in there], shown)
    return [line.removeprefix(f"{defect.id}: ") for line in wrong]


def outcome(
    chosen: Sequence[str],
    defects: Mapping[str, Defect],
    experiments: Sequence[Known],
    rounds: Mapping[str, Round],
    against: Callable[[str], Sequence[Known]],
    partly: Any,
) -> tuple[dict[str, Any], list[str]]:
    """The document, and what is wrong in sentences. Of a part of the defects only their own claims can be missed."""
    claims = [e.claims() for e in experiments]
    complaints, entries = [], []
    unknown = sorted({d for e in experiments for d in e.catches} - set(defects))
    complaints += [f"{name} is claimed, and there is no such resilience defect" for name in unknown]
    for name in chosen:
        shown, met = rounds[name], against(name)
        claiming = [e.id for e in experiments if name in e.catches]
        wrong = _of(defects[name], claims, met, shown) if claiming else ["is claimed by no experiment"]
        complaints += [f"{name}: {line}" for line in wrong]
        entries.append(
            {
                "id": name,
                "what": defects[name].what,
                "expected": claiming,
                "against": len(met),
                "red": list(shown.red),
                "caught": bool(set(claiming) & set(shown.red)),
                "seconds": shown.seconds,
            }
        )
    failed = {i for shown in rounds.values() for i in shown.red}
    functions = {e.function for e in experiments if e.id in failed}
    due = experiments if not partly else [e for e in experiments if set(e.catches) & set(chosen)]
    never = sorted({e.function for e in due} - functions)
    complaints += [f"{name} is failed by no defect" for name in never]
    return {"defects": entries, "never_failed": never, "experiments": len(experiments)}, complaints
