"""The default `checks` job, step by step on a clean folder: what a billed minute has to hold.

Every `run:` step of .github/workflows/checks.yml is executed as it stands, by bash, in a fresh clone with a Python of
its own, against a sandbox in the place of production and a stand-in for GitHub's API; checkout is a clone, the upload
an archive. What GitHub adds around it (a runner, the start of its own actions) is not in the figures. Packages come
from where pip finds them: on a runner from its cache, which the workflow keeps.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench

from dialtone.sandbox import Sandbox
from dialtone.standins.exchange import own_answer
from dialtone.standins.github import GitHub, Job
from dialtone.standins.state import Clock
from dialtone.standins.wire import Request

BOUND = 55.0
"""Seconds from checkout to upload: a billed minute less what a runner's own start may take."""
TOKEN = "ghs_of_the_job"


class _Server(ThreadingHTTPServer):
    """The stand-in of GitHub's API on a port."""

    daemon_threads = True

    def __init__(self, permissions: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.github = GitHub([Job(TOKEN, permissions)], Clock(), base=lambda: self.url)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path, _, query = self.path.partition("?")
        headers = {k.lower(): v for k, v in self.headers.items()}
        answer = own_answer(self.server.github, Request(self.command, unquote(path), path, query, headers, body))
        self.send_response(answer.status)
        told = {"content-type": answer.content_type, **answer.headers, "content-length": str(len(answer.body))}
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PATCH = _any

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def environment(folder: Path, server: _Server, sandbox: Sandbox) -> dict[str, str]:
    """What GitHub sets for a step, and what the repository's variables and secrets are."""
    event = folder / "event.json"
    payload = {"schedule": "7,37 * * * *", "repository": {"full_name": "acme/shop", "private": True}}
    event.write_text(json.dumps(payload))
    packages = ("PIP_", "UV_", "SSL_CERT_", "HOME", "LANG")  # where this machine has its packages from
    kept = {k: v for k, v in os.environ.items() if k.startswith(packages)}
    return {
        **kept,
        "PATH": f"{folder}/python/bin:/usr/bin:/bin",
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": server.url,
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_EVENT_NAME": "schedule",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_RUN_ID": "41",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_TOKEN": TOKEN,
        "DIALTONE_TARGET": "production",
        "DIALTONE_HEARTBEAT_URL": f"{server.url}/ping/checks",
        "JOB_STATUS": "success",
        "PRODUCTION_URL": sandbox.env["SANDBOX_BASE_URL"],
    }


def cpu() -> float:
    """Seconds of CPU of the children so far: what a busy machine does not change much."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """The job."""
    bench = Bench("checks_job", __doc__)
    bench.parser.add_argument("--requirements", help="install this in place of the checkout: a built wheel, say")
    options = bench.arguments
    steps = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())["jobs"]["checks"]["steps"]
    server = _Server({"contents": "read", "actions": "read"})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rows: list[list[object]] = []
    codes: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="dialtone-job-") as name, Sandbox.start() as sandbox:
        folder, clone = Path(name), Path(name) / "shop"
        subprocess.run([sys.executable, "-m", "venv", folder / "python"], check=True)
        env = environment(folder, server, sandbox)
        for number, step in enumerate(steps):
            title = str(step.get("name") or step.get("uses"))
            began, spent = time.monotonic(), cpu()
            if "checkout" in step.get("uses", ""):
                subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{ROOT}", clone], check=True)
            elif "upload-artifact" in step.get("uses", ""):
                kept = "history-artifact" if "history" in title else "report"
                codes[title] = 0 if (clone / "build" / kept).is_dir() else 1
                if not codes[title]:
                    shutil.make_archive(str(folder / kept), "zip", clone / "build" / kept)
            elif "run" in step:
                script = step["run"]
                if options.requirements and title == "Install":
                    script = f"python -m pip install -q {options.requirements}"
                with (folder / f"{number}.log").open("wb") as log:
                    command = ["bash", "-eo", "pipefail", "-c", script]
                    own = {**env, "DIALTONE_HISTORY": "build/history.db"} if title == "Check" else env
                    done = subprocess.run(
                        command, cwd=clone, env=own, stdout=log, stderr=subprocess.STDOUT, timeout=300, check=False
                    )
                codes[title] = done.returncode
                if done.returncode:
                    print((folder / f"{number}.log").read_text()[-2000:])
            else:
                continue
            rows.append([title, codes.get(title, 0), time.monotonic() - began, cpu() - spent])
        if (folder / "summary.md").exists():
            print((folder / "summary.md").read_text())
    server.shutdown()
    server.server_close()
    total = sum(float(str(row[2])) for row in rows)
    work = sum(float(str(row[3])) for row in rows)
    bench.rows(["step", "exit code", "s", "s of CPU"], [*rows, ["from checkout to upload", 0, total, work]])
    bench.bar("steps that failed", sum(code != 0 for code in codes.values()), "steps", most=0)
    bench.bar("heartbeats", len(server.github.pings), "heartbeats", least=1)
    bench.bar("from checkout to upload", total, "s", most=BOUND)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
