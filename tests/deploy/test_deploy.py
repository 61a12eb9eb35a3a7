"""What deploy/ holds: manifests by Kubernetes' own schema, a unit by systemd's own word, an image that is nobody's."""

from __future__ import annotations

import configparser
import fnmatch
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from dialtone import shards
from dialtone.cli import parser
from dialtone.keeping import EVERY, PLACE, ROUND
from dialtone.watch.page import address

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SCHEMA = json.loads((Path(__file__).parent / "kubernetes.json").read_text())
UNIT = DEPLOY / "systemd" / "dialtone-watch.service"
KINDS = {
    "CronJob": "io.k8s.api.batch.v1.CronJob",
    "Job": "io.k8s.api.batch.v1.Job",
    "Deployment": "io.k8s.api.apps.v1.Deployment",
}
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def manifest(path: Path) -> Any:
    """What a file declares."""
    (found,) = yaml.safe_load_all(path.read_text())
    return found


def judged(found: Any) -> list[str]:
    """What the API's schema has against it."""
    schema = {"$ref": f"#/$defs/{KINDS[found['kind']]}", "$defs": SCHEMA["$defs"]}
    return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(found)]


def pod(found: Any) -> Any:
    """The specification of its pods."""
    of = found["spec"]
    while "template" not in of:
        of = of["jobTemplate"]["spec"]
    return of["template"]["spec"]


def job(found: Any) -> Any:
    """The specification of a job, its own or that of a schedule."""
    return found["spec"].get("jobTemplate", found)["spec"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.name)
def test_kubernetes_would_take_it(path: Path) -> None:
    """By the strict schema of the API; one with a key that the API does not know would not pass."""
    found = manifest(path)
    assert judged(found) == []
    job(found)["paralelism"] = 3
    assert "paralelism" in judged(found)[0]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.name)
def test_pods_may_do_nothing(path: Path) -> None:
    """Nobody's rights, nothing to write to but their own, no token of the cluster, a bound on memory."""
    spec = pod(manifest(path))
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert {m["mountPath"] for m in container["volumeMounts"]} == {"/tmp", "/var/lib/dialtone"}
    assert not container["image"].endswith("latest")


@pytest.mark.parametrize("path", [p for p in MANIFESTS if "watch" not in p.name], ids=lambda p: p.name)
def test_shards_are_the_pods_of_one_round(path: Path) -> None:
    """As many pods as shards, all with one token, each of them a part that there is; no pod is started twice."""
    of = job(manifest(path))
    env = {e["name"]: e for e in pod(manifest(path))["containers"][0]["env"]}
    assert of["completionMode"] == "Indexed"
    assert of["backoffLimitPerIndex"] == 0
    for index in range(of["completions"]):
        told = {shards.COUNT: env[shards.COUNT]["value"], shards.INDEX: str(index)}
        assert shards.part(None, told) == (index + 1, of["completions"])
    assert "job-name" in env[ROUND]["valueFrom"]["fieldRef"]["fieldPath"]
    assert env[PLACE]["value"]
    if EVERY in env:
        assert manifest(path)["spec"]["schedule"] == f"*/{int(env[EVERY]['value']) // 60} * * * *"
        assert of["activeDeadlineSeconds"] < int(env[EVERY]["value"])


def test_the_watch_of_a_cluster() -> None:
    """One pod, never two of one place; its arguments are those of the command."""
    found = manifest(DEPLOY / "kubernetes" / "watch.yaml")
    (container,) = pod(found)["containers"]
    args = parser().parse_args(container["args"])
    assert address(args.listen)[1] == container["ports"][0]["containerPort"]
    assert (found["spec"]["replicas"], found["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_places_on_github() -> None:
    """A matrix of places and shards whose union is all checks; no right but to read, nothing of GitHub in a shell."""
    found = yaml.safe_load((DEPLOY / "github" / "places.yml").read_text())
    of = found["jobs"]["place"]
    told = {shards.part(shard, {}) for shard in of["strategy"]["matrix"]["shard"]}
    assert told == {(1, 2), (2, 2)}
    assert of["strategy"]["fail-fast"] is False
    assert len(of["strategy"]["matrix"]["place"]) == 3
    assert found["permissions"] == {}
    assert of["permissions"] == {"contents": "read"}
    assert all("${{" not in step.get("run", "") for step in of["steps"])
    env = of["steps"][-1]["env"]
    assert {PLACE, ROUND, shards.VARIABLE, EVERY} <= set(env)
    pytest_line = shlex.split(of["steps"][-1]["run"])
    assert pytest_line[:4] == ["python", "-m", "pytest", "checks"]


def unit() -> configparser.ConfigParser:
    """The unit of systemd; keys that stand twice are joined."""
    found = configparser.ConfigParser(strict=False, delimiters=("=",), interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read(UNIT)
    return found


def test_the_unit_runs_the_watch() -> None:
    """Its command is one that there is; it is stopped, reloaded and watched as the watch understands it."""
    service = unit()["Service"]
    command = shlex.split(service["ExecStart"])
    assert parser().parse_args(command[1:]).target == "production"
    assert service["Type"] == "notify"
    assert service["ExecReload"].endswith("-HUP $MAINPID")
    assert float(service["WatchdogSec"]) > 0
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_systemd_knows_every_key(tmp_path: Path) -> None:
    """By its own verifier; how exposed the service is, by its own count, of 10."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/dialtone/.venv/bin/dialtone", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    assert UNIT.name not in done.stdout + done.stderr
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(copy)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    level = re.search(r"exposure level for \S+: ([\d.]+)", told.stdout)
    if level is not None:  # older ones have no offline mode
        assert float(level[1]) <= 2.0


def steps() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return [(w, rest) for w, _, rest in (x.partition(" ") for x in text.splitlines() if x and x[0] != "#")]


def test_the_image_is_nobodys() -> None:
    """A user by number, nothing of the build in it, no address that fetches, no secret, and a word on its health."""
    told = steps()
    last = len(told) - 1 - [w for w, _ in reversed(told)].index("FROM")
    final = told[last:]
    assert ("USER", "10001:10001") in final
    assert not any(word == "ADD" for word, _ in told)
    assert not any(re.search(r"pip|apt", rest) for word, rest in final if word == "RUN")
    assert all("--constraint constraints.txt" in rest for w, rest in told if w == "RUN" and "pip install" in rest)
    assert all(":" in rest.split()[0] and "latest" not in rest for word, rest in told if word == "FROM")
    assert any(word == "HEALTHCHECK" for word, _ in final)
    assert not re.search(r"(?i)(token|secret|password|_key)=", " ".join(rest for w, rest in told if w == "ENV"))
    command = [json.loads(rest) for word, rest in final if word in ("ENTRYPOINT", "CMD")]
    args = parser().parse_args(command[1])
    assert args.listen == "127.0.0.1:9464"
    assert "127.0.0.1:9464/health" in next(rest for word, rest in final if word == "HEALTHCHECK")


def test_what_is_copied_is_there_and_let_in() -> None:
    """Every source exists, and .dockerignore, which keeps out everything else, lets it pass."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "**"
    let_in = [line[1:] for line in lines if line.startswith("!")]
    for word, rest in steps():
        if word != "COPY" or rest.startswith("--from"):
            continue
        for source in rest.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(fnmatch.fnmatchcase(source, pattern) for pattern in let_in), source
