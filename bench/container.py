"""Executes deploy/Dockerfile without a container runtime: its steps, then its command as its user, read-only.

In a mount namespace of its own the machine's root lies under an overlay in memory, so that every step sees a whole
system and changes nothing of it: COPY takes only what .dockerignore lets in, RUN runs in a chroot. `FROM` is this
machine's Python. Then the overlay is made read-only, with a tmpfs where the documentation says so, and the command runs
without a capability until its own health check is well; SIGTERM ends it. What a runtime adds (layers, the base image)
is not tried. Needs root, util-linux, and a kernel with overlayfs.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench

INSIDE = "DIALTONE_BENCH_INSIDE"
PROFILE = """
[target.production]
kind = "production"
base_url = "{url}"
witnesses = ["{url}", "{url}/two"]
[target.production.schedule]
every = "2s"
[target.production.routes]
page = "/page"
"""
CHECK = '''
from dialtone import check, expect
@check(runbook="x", requests=1)
def test_page(http, target):
    """A page is served."""
    expect(http.get(target.route("page"))).status(200)
'''


def steps() -> list[tuple[str, str]]:
    """The instructions, continued lines joined."""
    text = (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
    return [
        (word, rest)
        for word, _, rest in (line.partition(" ") for line in text.splitlines() if line[:1] not in ("", "#"))
    ]


def run(*command: str, **more: Any) -> None:
    """A command that has to succeed."""
    subprocess.run(command, check=True, **more)


class Image:
    """The overlay, and where the steps have come to."""

    def __init__(self, folder: Path) -> None:
        run("mount", "-t", "tmpfs", "tmpfs", str(folder))
        self.root, self.environment, self.work, self.user = folder / "root", dict[str, str](), "/", "0:0"
        self.entry: list[str] = []
        self.command: list[str] = []
        self.health: list[str] = []
        for name in ("up", "work", "root"):
            (folder / name).mkdir()
        layers = f"lowerdir=/,upperdir={folder / 'up'},workdir={folder / 'work'}"
        run("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))
        run("mount", "-t", "proc", "proc", str(self.root / "proc"))
        run("mount", "-t", "tmpfs", "tmpfs", str(self.root / "dev"))
        for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
            os.mknod(self.root / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
            (self.root / "dev" / name).chmod(0o666)
        run("mount", "-t", "tmpfs", "tmpfs", str(self.root / "tmp"))
        self._python()

    def _python(self) -> None:
        """`python` as the base image has it: on the path, for everybody."""
        home = Path(sys.base_prefix)
        for part in (home, *home.parents):
            if part != Path("/"):
                (self.root / str(part).lstrip("/")).chmod(0o755)

    def chroot(self, command: list[str], user: str = "0:0", *, rights: bool = True) -> list[str]:
        """A command within; without rights it keeps no capability and gets none."""
        uid, _, gid = user.partition(":")
        base = f"{Path(sys.base_prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        path = self.environment.get("PATH", "$PATH").replace("$PATH", base)
        own = [f"{k}={v}" for k, v in {"LANG": "C.UTF-8", **self.environment, "PATH": path}.items()]
        drop = [] if rights else ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *drop]
        within = "import os, sys; os.chroot(sys.argv[1]); os.chdir(sys.argv[2]); os.execvp(sys.argv[3], sys.argv[3:])"
        return [sys.executable, "-I", "-c", within, str(self.root), self.work, *become, "env", "-i", *own, *command]

    def step(self, word: str, rest: str, mirror: list[str]) -> None:
        """One instruction."""
        if word == "WORKDIR":
            self.work = rest
            (self.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "ENV":
            self.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "RUN":
            run(*self.chroot(["env", *mirror, "sh", "-c", rest]))
        elif word == "COPY" and not rest.startswith("--from"):
            *sources, there = rest.split()
            for source in sources:
                self._copy(source, there, into=len(sources) > 1 or there.endswith("/"))
        elif word == "USER":
            self.user = rest
        elif word in ("ENTRYPOINT", "CMD"):
            setattr(self, "entry" if word == "ENTRYPOINT" else "command", json.loads(rest))
        elif word == "HEALTHCHECK":
            self.health = json.loads(rest.partition("CMD ")[2])

    def _copy(self, source: str, there: str, *, into: bool) -> None:
        listed = (ROOT / ".dockerignore").read_text().splitlines()
        if f"!{source}" not in listed:
            raise SystemExit(f".dockerignore keeps {source} out")
        target = self.root / self.work.lstrip("/") / there
        target = target / Path(source).name if into else target
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / source, target)


def inside(bench: Bench) -> None:
    """All of it, in the namespace."""
    mirror = [f"{k}={v}" for k, v in os.environ.items() if k.startswith(("PIP_", "UV_", "SSL_", "REQUESTS_"))]
    image = Image(Path(os.environ[INSIDE]))
    for word, rest in steps():
        print(f"{word} {rest[:100]}", flush=True)
        if word == "FROM":  # what COPY --from would fetch lies where the build made it
            image.environment, image.work = {}, "/"
        image.step(word, rest, mirror)
    made = (image.root / "opt/dialtone").rglob("*")
    size = sum(path.stat().st_size for path in made if path.is_file() and not path.is_symlink())
    bench.bar("what the image adds to its base", size / 1e6, "MB", most=200)
    bench.bar("the user is not root", int(image.user.split(":")[0] != "0"), "yes", least=1)
    watched(bench, image)


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def watched(bench: Bench, image: Image) -> None:
    """The command against a service on loopback, as it would run."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    suite = image.root / "suite"
    (suite / "dialtone.toml").write_text(PROFILE.format(url=f"http://127.0.0.1:{server.server_address[1]}"))
    shutil.rmtree(suite / "checks")
    (suite / "checks").mkdir()
    (suite / "checks" / "test_page.py").write_text(CHECK)
    (image.root / "var/lib/dialtone").mkdir(exist_ok=True)
    run("mount", "-o", "remount,ro", str(image.root))
    run("mount", "-t", "tmpfs", "-o", "uid=10001,gid=10001,mode=700", "tmpfs", str(image.root / "var/lib/dialtone"))
    refused = subprocess.run(
        image.chroot(["touch", "/suite/written"], image.user, rights=False), capture_output=True, check=False
    ).returncode
    bench.bar("a write to the suite is refused", refused, "code", least=1)
    process = subprocess.Popen(image.chroot([*image.entry, *image.command], image.user, rights=False))
    try:
        well, end = False, time.monotonic() + 120
        while not well and time.monotonic() < end and process.poll() is None:
            well = (
                subprocess.run(image.chroot(image.health, image.user), capture_output=True, check=False).returncode == 0
            )
            time.sleep(0.5)
        bench.bar("its own health check is well", int(well), "yes", least=1)
        read = (
            "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/metrics', timeout=4).read().decode())"
        )
        metrics, looks = image.chroot(["python", "-c", read], image.user), 0
        while not looks and time.monotonic() < end:
            said = subprocess.run(metrics, capture_output=True, text=True, check=False).stdout
            found = re.search(r"dialtone_watch_looks_total\{[^}]*\} (\d+)", said)
            looks = int(found[1]) if found else 0
            time.sleep(0.5)
        bench.bar("looks at the service", looks, "looks", least=1)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
        bench.bar("SIGTERM to the end", time.monotonic() - begun, "s", most=2)
        bench.bar("exit code", code, "code", most=0)
    finally:
        process.kill()
        process.wait()
        server.shutdown()


def main() -> int:
    """Go into a namespace of our own first."""
    bench = Bench("container", __doc__)
    _ = bench.arguments
    if not os.environ.get(INSIDE):
        if os.getuid() != 0 or shutil.which("unshare") is None:
            print("not run: needs root and util-linux")
            return 0
        # Mounts end with the namespace, and that with its process: nothing is ever removed below one.
        folder = Path(tempfile.mkdtemp())
        try:
            again = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
            process = subprocess.Popen(again, env={**os.environ, INSIDE: str(folder)}, process_group=0)
            try:
                return process.wait()
            except BaseException:  # it and what its steps have started
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
                raise
        finally:
            folder.rmdir()
    inside(bench)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
