"""Whether the gate command refuses what it claims to refuse, and lets pass what is healthy.

Two sandboxes, a candidate and a live one beside it, and `dialtone gate --revision` for each: once under every defect
that a check of the gate claims, which has to be refused by a check that claims it; then under none, which has to pass
within the bound on wrong refusals (1 % of equal builds: 2 of 10 happen once in 230 tries). 500 gates more are
simulated, as `bench/gate.py` does it. Then the wrong revision, which never passes: another one is served, or both in
turn while a deployment rolls out.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench
from bench.gate import CHECKS, SEED, SIGMAS, load_of, refused, samples

from dialtone.comparison import ALPHA, LOOKS
from dialtone.evidence import lower_bound, upper_bound
from dialtone.sandbox import Sandbox
from dialtone.sandbox.campaign import _Held, known_claims, known_defects
from dialtone.sandbox.matrix import Claims, Defect
from dialtone.target import load
from dialtone.target.gate import Revision
from dialtone.watch.revision import Served

ATTACH = "DIALTONE_SANDBOX"
PROFILE = """
[target.sandbox.gate]
required = ["pages_answer", "health_answers_ok", "response_time_p95", "webhook_accepts_genuine"]
revision = { path = "/api/health", field = "version" }
[target.live]
kind = "production"
base_url = "${LIVE_URL}"
effects = ["reads"]
witnesses = ["${SANDBOX_SLACK_URL}", "${SANDBOX_GOOGLE_URL}"]
client_address = { range = "fd64:6961:6c75::/48", header = "${LIVE_CLIENT_HEADER}" }
"""


class Gates:
    """Runs gates: a candidate and a live deployment, and where the outcome of each is kept."""

    def __init__(self, candidate: Sandbox, live: Sandbox, folder: Path) -> None:
        self.candidate, self.folder = candidate, folder
        config = folder / "dialtone.toml"
        text = (ROOT / "dialtone.toml").read_text()
        names = tomllib.loads(text)["target"]["production"]["credentials"]
        listed = "".join(f'{name} = "LIVE_{name.upper()}"\n' for name in names)  # the tools name them; none is set
        config.write_text(f"{text}{PROFILE}[target.live.credentials]\n{listed}")
        self.environment = {
            **os.environ,
            **candidate.env,
            ATTACH: str(candidate.state_file),
            "LIVE_URL": live.env["SANDBOX_BASE_URL"],
            "LIVE_CLIENT_HEADER": live.env["SANDBOX_CLIENT_HEADER"],
            "DIALTONE_CONFIG": str(config),
            "DIALTONE_HISTORY": "off",
            "DIALTONE_NO_DIAGNOSIS": "1",
        }
        self.revision = str(self._served())

    def _served(self) -> str:
        from dialtone.http import Client

        with Client(self.candidate.env["SANDBOX_BASE_URL"]) as client:
            return str(client.get("/api/health").json()["version"])

    def run(self, name: str, revision: str | None = None, within: str = "30s") -> tuple[int, list[str], float]:
        """One gate: its exit code, the checks that are red, seconds."""
        verdicts = self.folder / f"{name}.json"
        command = [sys.executable, "-m", "dialtone.cli", "gate", "--target", "sandbox", "--baseline", "live"]
        command += ["--fail-on", "breach", "--revision", revision or self.revision, "--within", within]
        command += ["--", str(ROOT / "checks"), "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
        began = time.monotonic()
        with (self.folder / f"{name}.log").open("wb") as log:
            done = subprocess.run(
                [*command, "--verdicts", str(verdicts)],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=600,
                check=False,
            )
        found = json.loads(verdicts.read_text())["checks"] if verdicts.exists() else []
        red = [str(entry["id"]) for entry in found if entry["verdict"] in ("breach", "critical")]
        return done.returncode, red, time.monotonic() - began


def defects(bench: Bench, gates: Gates, chosen: list[Defect], claims: list[Claims]) -> None:
    """Each defect is refused, by a check that claims it."""
    rows, missed = [], []
    for defect in chosen:
        held = _Held(gates.candidate, defect) if defect.how == "hold" else None
        try:
            if held:
                for _ in held.applied():
                    time.sleep(0.05)
            gates.candidate.switch([defect.id] if held is None else [])
            code, red, seconds = gates.run(defect.id)
            if held:
                for _ in held.undone():
                    time.sleep(0.05)
        finally:
            if held:
                held.end()
            gates.candidate.switch([])
        claimants = {name for claim in claims if defect.id in claim.catches for name in (claim.id,)}
        by = [name for name in red if name in claimants]
        if code != 1 or not by:
            missed.append(defect.id)
        rows.append([defect.id, code, ", ".join(by) or "nobody that claims it", seconds])
        print(f"  {rows[-1][0]}: {code}, {rows[-1][2]}", flush=True)
    bench.rows(["defect", "exit code", "refused by", "s"], rows)
    bench.bar("defects let through", len(missed), "defects", most=0)
    if not bench.quick:
        bench.bar("defects that a check of the gate claims", len(chosen), "defects", least=30)


def healthy(bench: Bench, gates: Gates, count: int) -> None:
    """Real gates of equal builds."""
    done = [gates.run(f"healthy-{number}") for number in range(count)]
    rows = [[n, code, ", ".join(red) or "none", seconds] for n, (code, red, seconds) in enumerate(done, 1)]
    bench.rows(["healthy", "exit code", "red", "s"], rows)
    bench.bar(
        "healthy previews refused", sum(code != 0 for code, _, _ in done), "previews", most=1 if count >= 10 else 0
    )


def simulated(bench: Bench, count: int) -> None:
    """Gates of equal builds, by samples that are made up."""
    rng = np.random.default_rng(SEED + 1)
    bad = 0
    for _ in range(count):
        hit = False
        for sigma in SIGMAS:
            load_ = load_of(rng, LOOKS[-1])
            errors = (rng.random(LOOKS[-1]) < 0.005, rng.random(LOOKS[-1]) < 0.005)
            hit |= refused(samples(rng, sigma, load_), samples(rng, sigma, load_), errors)[0] is not None
        bad += hit
    print(
        f"simulated: {bad} of {count} gates of {CHECKS} checks refused, at most {100 * upper_bound(bad, count):.2f} %"
    )
    bench.bar("simulated previews refused, lower bound", 100 * lower_bound(bad, count), "%", most=100 * ALPHA)


class _Rolling(BaseHTTPRequestHandler):
    """Two instances behind one address; `share` of the answers is the new one's."""

    share, chance = 0.5, random.Random(SEED)  # noqa: S311 - can be repeated
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The health route."""
        body = json.dumps({"version": ("b" if self.chance.random() < self.share else "a") * 40}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def revisions(bench: Bench, gates: Gates, rollouts: int) -> None:
    """The wrong revision, through the command; and a deployment that rolls out, before and after a gate."""
    codes = [gates.run(f"wrong-{n}", wanted, "2s") for n, wanted in enumerate(("f" * 40, "0.0.9", "0123456"))]
    bench.bar(
        "gates of a wrong revision that did not end with 19", sum(c != 19 or r != [] for c, r, _ in codes), "", most=0
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Rolling)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target = load(gates.folder / "dialtone.toml", "sandbox", gates.environment)
    profile = target.profile.model_copy(update={"base_url": f"http://127.0.0.1:{server.server_port}"})
    passed = asked = 0
    for _ in range(rollouts):
        served = Served(replace(target, profile=profile), Revision(path="/", field="version"), sleep=lambda _: None)
        if served.wait("b" * 40, 0, tell=lambda _: None).proved and served.prove("b" * 40).proved:
            passed += 1
        asked += len(served.looks)
        served.close()
    server.shutdown()
    server.server_close()
    print(f"half of the answers from the old revision: {rollouts:,} gates, {asked / rollouts:.1f} requests each")
    bench.bar("gates in the middle of a rollout that passed", passed, "gates", most=0)


def main() -> int:
    """All of it."""
    bench = Bench("previews", __doc__)
    bench.parser.add_argument("--only", nargs="*", metavar="DEFECT", help="these defects alone")
    bench.parser.add_argument("--healthy", type=int, metavar="N", help="healthy previews (10; 1 in a quick run)")
    options = bench.arguments
    with tempfile.TemporaryDirectory(prefix="dialtone-previews-") as name:
        folder = Path(name)
        arguments = [str(ROOT / "checks"), "--gate", "--target", "sandbox"]
        claims = known_claims([*arguments, "-p", "no:cacheprovider"], folder)
        claimed = {defect for claim in claims for defect in claim.catches}
        every = [d for d in known_defects(None, claimed).values() if d.id in claimed]
        every.sort(key=lambda defect: defect.id)
        only = options.only or (["health-503", "telnyx-wrong-algorithm"] if bench.quick else None)
        chosen = [d for d in every if only is None or d.id in only]
        with Sandbox.start() as candidate, Sandbox.start() as live:
            gates = Gates(candidate, live, folder)
            defects(bench, gates, chosen, claims)
            healthy(bench, gates, options.healthy or (1 if bench.quick else 10))
            revisions(bench, gates, 200 if bench.quick else 2000)
    simulated(bench, 100 if bench.quick else 500)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
