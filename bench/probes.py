"""Many probes at once: CPU of one, beside Debian's prometheus-blackbox-exporter and monitoring-plugins' check_http.

1,000 endpoints on ten loopback addresses in one round, a new connection each, plain and over TLS with chain and host
verified. Sample and verdict are included everywhere: blackbox_exporter renders its metrics, check_http exits with its
state. Only the prober's own CPU is counted, in rounds that take turns; a prober that finds an endpoint wrong voids the
run. The two Debian packages are taken from the system, or downloaded and unpacked into build/bench/debian. A quick run
asserts the plain figures only, and goes without the packages where they cannot be had.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench._table import ROOT, Bench

from dialtone.http import shared_context
from dialtone.probes.many import Load, Probe, probe_many

HOSTS = [f"127.0.0.{n}" for n in range(2, 12)]
PACKAGES = {
    "blackbox_exporter": ("prometheus-blackbox-exporter", "usr/bin/prometheus-blackbox-exporter"),
    "check_http": ("monitoring-plugins-basic", "usr/lib/nagios/plugins/check_http"),
}
LOAD = Load(at_once=50, per_host=5, rate=0)
BODY = b'{"status":"ok"}' + b" " * 462


class NotHad(Exception):
    """A program to compare with is not here, and cannot be fetched."""


def tool(name: str) -> Path:
    """A program of a Debian package: the system's, or one that is unpacked below build/."""
    package, path = PACKAGES[name]
    place = ROOT / "build" / "bench" / "debian"
    for candidate in (Path("/") / path, place / path):
        if candidate.exists():
            return candidate
    place.mkdir(parents=True, exist_ok=True)
    print(f"downloading {package}", flush=True)
    try:
        subprocess.run(["apt-get", "-qq", "download", package], cwd=place, check=True, stderr=subprocess.DEVNULL)
        for archive in place.glob(f"{package}_*.deb"):
            subprocess.run(["dpkg", "-x", str(archive), str(place)], check=True)
    except (OSError, subprocess.CalledProcessError) as wrong:
        raise NotHad(f"{package} cannot be had ({wrong}): apt-get install {package}") from None
    return place / path


# --- what is probed: a process of its own


class _Endpoint(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.seen = transport, b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        if self.seen.endswith(b"\r\n\r\n"):
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(BODY)}\r\n"
            self.transport.write(head.encode() + b"connection: close\r\n\r\n" + BODY)  # type: ignore[attr-defined]
            self.transport.close()


async def _serve(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    loop, ports = asyncio.get_running_loop(), []
    for host in HOSTS:
        plain = await loop.create_server(_Endpoint, host, 0, backlog=512)
        secure = await loop.create_server(_Endpoint, host, 0, ssl=context, backlog=512)
        ports.append([server.sockets[0].getsockname()[1] for server in (plain, secure)])
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def endpoints(folder: Path, count: int) -> Iterator[dict[str, list[str]]]:
    """The addresses of `count` endpoints, spread over all hosts, by kind: `plain` and `TLS`."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert(*HOSTS).private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    command = [sys.executable, __file__, "--serve", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        ports = json.loads(process.stdout.readline())
        spread = [(HOSTS[n % len(HOSTS)], *ports[n % len(HOSTS)], n) for n in range(count)]
        yield {
            "plain": [f"http://{host}:{plain}/endpoint/{n}" for host, plain, _, n in spread],
            "TLS": [f"https://{host}:{secure}/endpoint/{n}" for host, _, secure, n in spread],
        }
        process.stdin.close()


# --- the probers: each answers CPU milliseconds a probe


class Dialtone:
    """`probe_many`, in a process of its own that was warmed up."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, __file__, "--prober", str(folder / "ca.pem")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, urls: Sequence[str]) -> float:
        """CPU milliseconds a probe of one round."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(list(urls)) + "\n")
        self.process.stdin.flush()
        good, spent = json.loads(self.process.stdout.readline())
        _all_good("dialtone", good, len(urls))
        return float(spent) * 1000 / len(urls)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def _prober(ca_file: str) -> None:
    context = shared_context(ca_file)
    for line in sys.stdin:
        probes = [Probe(url) for url in json.loads(line)]
        began = time.process_time()
        samples = probe_many(probes, load=LOAD, verify=context)
        good = sum(sample.ok for sample in samples)
        print(json.dumps([good, time.process_time() - began]), flush=True)


class Blackbox:
    """blackbox_exporter, asked for one probe after another over connections that stay open."""

    def __init__(self, folder: Path) -> None:
        module = {"prober": "http", "timeout": "5s", "http": {"preferred_ip_protocol": "ip4"}}
        module["http"]["tls_config"] = {"ca_file": str(folder / "ca.pem")}  # type: ignore[index]
        (folder / "blackbox.yml").write_text(json.dumps({"modules": {"http_2xx": module}}))  # JSON is YAML
        self.port = _free_port()
        self.process = subprocess.Popen(
            [
                str(tool("blackbox_exporter")),
                f"--config.file={folder / 'blackbox.yml'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=error",
            ],
            stderr=subprocess.DEVNULL,
        )
        ready = [Probe(f"http://127.0.0.1:{self.port}/-/healthy")]
        while self.process.poll() is None and not probe_many(ready)[0].ok:
            time.sleep(0.05)

    def measure(self, urls: Sequence[str]) -> float:
        """CPU milliseconds a probe of one round."""
        base = f"http://127.0.0.1:{self.port}/probe?module=http_2xx&target="
        asked = [Probe(base + quote(url, safe=""), contains=b"\nprobe_success 1\n") for url in urls]
        began = _cpu(self.process.pid)
        samples = probe_many(asked, load=Load(at_once=50, per_host=50, rate=0))
        _all_good("blackbox_exporter", sum(sample.ok for sample in samples), len(urls))
        return (_cpu(self.process.pid) - began) * 1000 / len(urls)

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)


class CheckHttp:
    """check_http, a process each."""

    def __init__(self) -> None:
        self.program = str(tool("check_http"))

    def measure(self, urls: Sequence[str]) -> float:
        """CPU milliseconds a probe of one round."""
        good, began = 0, resource.getrusage(resource.RUSAGE_CHILDREN)
        for url in urls:
            scheme, _, rest = url.partition("://")
            place, _, path = rest.partition("/")
            host, _, port = place.partition(":")
            command = [self.program, "-I", host, "-p", port, "-u", f"/{path}", *(["-S"] if scheme == "https" else [])]
            good += subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        _all_good("check_http", good, len(urls))
        spent = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
        return spent * 1000 / len(urls)


def _all_good(prober: str, good: int, asked: int) -> None:
    if good != asked:
        raise SystemExit(f"{prober} found {good} of {asked} endpoints good: its figure would mean nothing")


def _cpu(pid: int) -> float:
    """CPU seconds of a process so far (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _main() -> int:
    bench = Bench("probes", __doc__)
    bench.parser.add_argument("--serve", type=Path, help="(its own) be the endpoints")
    bench.parser.add_argument("--prober", help="(its own) be dialtone's prober")
    if bench.arguments.serve or bench.arguments.prober:
        import uvloop

        if bench.arguments.prober:
            _prober(bench.arguments.prober)
        else:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(bench.arguments.serve))
        return 0
    folder = bench.build / "probes"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    count, turns, processes = (300, 3, 30) if bench.quick else (1000, 7, 200)
    rows: list[list[object]] = []
    with contextlib.ExitStack() as stack:
        urls = stack.enter_context(endpoints(folder, count))
        ours = stack.enter_context(contextlib.closing(Dialtone(folder)))
        others: dict[str, Blackbox | CheckHttp] = {}
        try:
            others["blackbox_exporter"] = stack.enter_context(contextlib.closing(Blackbox(folder)))
            others["check_http"] = CheckHttp()
        except NotHad as wrong:
            if not bench.quick:
                raise SystemExit(str(wrong)) from None
            print(f"{wrong}: not compared in a quick run")
        for kind, most in (("plain", 0.6), ("TLS", 0.9)):
            bounds = {"blackbox_exporter": most, "check_http": 0.2}
            costs = _costs(urls[kind], ours, others, turns, processes)
            rows.append([kind, count, costs["all"], costs["tens"], *(costs.get(name, "-") for name in bounds)])
            bench.bar(
                f"{kind}: a probe in a round of {count}, in one of 10 being 1",
                costs["all"] / costs["tens"],
                "",
                most=1.25,
            )
            for name in others:
                ratio, words = costs["all"] / costs[name], f"{kind}: CPU a probe, {name}'s being 1"
                if (
                    bench.quick and kind == "TLS"
                ):  # a handshake's cost depends on what else runs: asserted at full length
                    print(f"{words}: {ratio:.3g}, bound <= {bounds[name]}: not asserted in a quick run", flush=True)
                else:
                    bench.bar(words, ratio, "", most=bounds[name])
    bench.rows(["", "endpoints", "dialtone, ms", "in rounds of 10", "blackbox_exporter", "check_http"], rows)
    return bench.finish()


def _costs(
    urls: Sequence[str], ours: Dialtone, others: Mapping[str, Blackbox | CheckHttp], turns: int, processes: int
) -> dict[str, float]:
    """CPU milliseconds a probe by prober, each of the turn that others disturbed least; all take turns."""
    some = urls[:: max(1, len(urls) * turns // processes)]
    probers = {name: (other, some if isinstance(other, CheckHttp) else urls) for name, other in others.items()}
    ours.measure(urls)  # warms it up
    if "blackbox_exporter" in others:
        others["blackbox_exporter"].measure(urls)
    seen: dict[str, list[float]] = {name: [] for name in ("all", "tens", *probers)}
    for _ in range(turns):
        seen["tens"].append(statistics.mean(ours.measure(urls[n : n + 10]) for n in range(0, len(urls), 10)))
        seen["all"].append(ours.measure(urls))
        for name, (prober, asked) in probers.items():
            seen[name].append(prober.measure(asked))
    return {name: min(values) for name, values in seen.items()}


if __name__ == "__main__":
    raise SystemExit(_main())
