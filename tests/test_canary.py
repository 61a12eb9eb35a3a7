"""A secret in every credential and a customer in every answer: no file and no output of a run holds either."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

if TYPE_CHECKING:
    from tests.conftest import Suite

SECRETS = {
    "PREVIEW_KEY": "canary-Key/+secret=1",
    "PREVIEW_DB": "postgresql://prober:canary-pass%2Fword@127.0.0.1:1/app",
    "PREVIEW_HOOK": "whsec_canary+Hook/secret==",
    "PREVIEW_BYPASS": "canary bypass ünd secret",
    "DIALTONE_SYNTHETIC": "canary-synthetic-secret",
}
CUSTOMER = {
    "name": "Canaria Finch",
    "phone": "+1 (555) 010-4477",
    "email": "canaria.finch@example.org",
    "transcript": "hello I would like a canary yellow appointment",
}
PROFILE = """
database = "db"
headers = { authorization = "credential:key", "x-bypass" = "credential:ascii" }
[target.preview.pages.home]
path = "/customer"
contains = "nothing of the kind"
"""
CREDENTIALS = """db = "PREVIEW_DB"
hook = "PREVIEW_HOOK"
bypass = "PREVIEW_BYPASS"
synthetic_key = "DIALTONE_SYNTHETIC"
ascii = "PREVIEW_KEY"
"""

PASSING = """
import json, logging, warnings

@pytest.fixture
def answer(http):
    return http.get("/customer?token=" + os.environ["PREVIEW_KEY"])

@check(runbook="x")
def test_pass(answer, target, caplog):
    body, secret = answer.json(), target.secret("key")
    print(body, secret)
    logging.getLogger("mine").warning("using %s", secret)
    expect(answer).status(200).json_field("customer")

@check(runbook="x", objective="days")
def test_degraded(objective, answer):
    objective.value(20)
"""
# Every way in which a check can fail with a customer's data and a secret in its hands.
FAILING = {
    "status": "expect(answer).status(500)",
    "field": "expect(answer).json_field('customer', 'other')",
    "nested": "expect(answer).json_field('customer.name', 'other')",
    "missing": "expect(answer).json_field('customer.none')",
    "header": "expect(answer).header('x-customer', '^nobody$')",
    "contains": "expect(answer).contains('nobody')",
    "within": "expect(answer).within(0.0)",
    "that": "expect(answer).that(lambda a: a.json()['customer'] is None, 'there is a customer')",
    "cached": "expect(answer).not_cached()",
    "plain_assert": "assert body['customer'] == {'name': 'nobody'}",
    "assert_in": "assert secret in body['customer']['transcript']",
    "assert_message": "assert not name, f'found {name} with {secret}'",
    "assert_call": "assert body['customer']['name'].startswith('x'), body",
    "assert_answer": "assert answer is None",
    "pytest_fail": "pytest.fail(f'{name} {secret}')",
    "raises": "with pytest.raises(ValueError, match='nobody'):\\n        raise ValueError(name)",
    "skip": "pytest.skip(f'no {name} {secret}')",
    "xfail": "pytest.xfail(f'no {name}')",
    "key_error": "{}[name]",
    "value_error": "int(body['customer']['transcript'])",
    "chained": "try:\\n        {}[name]\\n    except KeyError as e:\\n        raise RuntimeError(secret) from e",
    "group": "raise ExceptionGroup(name, [ValueError(secret)])",
    "not_json": "json.loads(body['customer']['transcript'])",
    "exit": "raise SystemExit(name)",
    "warning": "warnings.warn(f'odd {name} {secret}'); warnings.warn(name, DeprecationWarning); ok('fine')",
    "thread": "import threading; t = threading.Thread(target=lambda: {}[name]); t.start(); t.join(); ok('fine')",
    "unraisable": "type('T', (), {'__del__': lambda self: {}[name]})(); ok('fine')",
    "property": "record_property('customer', name); ok('fine')",
    "refused": "expect(http.get('/refused')).status(200)",
    "evidence": "note('shape', secret); fail('no good', key=secret)",
    "reset": "expect(http.get('/customer', headers={'x': 'y'})).status(204)",
}
SPOILT = """
@pytest.fixture
def spoilt(answer):
    raise RuntimeError(answer.text())

@pytest.fixture
def leaving(answer):
    yield
    raise RuntimeError(answer.text())

@check(runbook="x")
def test_spoilt(spoilt): ...

@check(runbook="x")
def test_leaving(leaving):
    ok("fine")
"""
CRASHING = """
@check(runbook="x")
def test_crash(answer, target):
    body, secret = answer.text(), target.secret("key")
    print(body, secret, flush=True)
    os._exit(3)
"""


def spellings() -> dict[bytes, str]:
    """What must not be found, in every form in which text may hold it, with the name of what it is."""
    found: dict[bytes, str] = {}
    parts = {**SECRETS, "the password": "canary-pass/word", "the encoded password": "canary-pass%2Fword", **CUSTOMER}
    for name, value in parts.items():
        forms = {
            value,
            quote(value, safe=""),
            quote(value),
            quote_plus(value),
            json.dumps(value)[1:-1],
            repr(value)[1:-1],
        }
        forms |= {b64encode(value.encode()).decode().rstrip("=")}
        found |= {form.encode(): name for form in forms}
    return {**found, b"Finch": "name", b"finch": "email", b"010-4477": "phone", b"canary yellow": "transcript"}


def holds(folder: Path, *outputs: str) -> list[str]:
    """Where a canary was found: the files below the folder, and the outputs."""
    places = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    places |= {f"output {n}": text.encode() for n, text in enumerate(outputs)}
    return sorted(
        {f"{place}: {name}" for place, text in places.items() for form, name in spellings().items() if form in text}
    )


@pytest.fixture
def aviary(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A suite whose every credential is a canary, against a server whose every answer holds a customer."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    suite.profile(more=PROFILE)
    path = suite.pytester.path / "dialtone.toml"
    path.write_text(path.read_text() + CREDENTIALS)
    headers = {
        "content-type": "application/json",
        "set-cookie": f"session={quote(CUSTOMER['email'])}",
        **dict.fromkeys(("x-customer", "server", "retry-after", "cache-control", "x-vercel-error"), CUSTOMER["name"]),
    }
    body = json.dumps({"customer": CUSTOMER, CUSTOMER["phone"]: 1, "key": SECRETS["PREVIEW_KEY"]}).encode()
    suite.server.pages["/customer"] = (200, headers, body)
    suite.server.pages["/refused"] = (429, headers, body)
    return suite


LOUD = (
    "-vv -l --showlocals --tb=long -rA --junitxml=junit.xml -o junit_logging=all -pallure_pytest.plugin"
    " --alluredir=allure -o log_cli=true --log-cli-level=DEBUG --log-file=run.log --log-file-level=DEBUG --durations=5"
).split()


def failing() -> str:
    """A check for each way of failing."""
    head = (
        "def test_{}(answer, http, target, record_property):\n    body, secret = answer.json(), target.secret('key')\n"
    )
    head += "    name = body['customer']['name']\n    ok('so far')\n    {}\n"
    return "\n".join(
        "@check(runbook='x')\n" + head.format(name, body.replace("\\n", "\n")) for name, body in FAILING.items()
    )


@pytest.mark.parametrize("options", [(), ("--tb=native",), ("--tb=short", "-s"), ("--capture=tee-sys",)])
def test_runs_that_fail(aviary: Suite, options: tuple[str, ...]) -> None:
    """Every form of assertion and of exception, as loud as pytest can be; only a check's own print reaches -s."""
    source = PASSING + failing() + SPOILT
    if options and options[-1] in ("-s", "--capture=tee-sys"):
        source = source.replace("print(body, secret)", "pass")
    aviary.checks(source)
    result = aviary.run(*LOUD, *options, apart=True)
    assert result.ret == 1
    assert len(aviary.verdicts) == len(FAILING) + 4
    assert set(aviary.verdicts.values()) == {"ok", "degraded", "breach", "undecided", "refused", "broken"}
    assert aviary.pytester.path.joinpath("run.log").read_text().count("using ‹secret›") == 1
    assert holds(aviary.pytester.path, result.stdout.str(), result.stderr.str()) == []


def test_runs_that_pass(aviary: Suite) -> None:
    """A good run tells no more than a bad one."""
    aviary.checks(PASSING)
    result = aviary.run(*LOUD, apart=True)
    assert result.ret == 0
    assert holds(aviary.pytester.path, result.stdout.str(), result.stderr.str()) == []


def test_runs_that_crash(aviary: Suite) -> None:
    """A worker dies with everything in its hands; the others fail beside it."""
    pytest.importorskip("xdist")
    aviary.checks(PASSING + failing() + SPOILT + CRASHING)
    result = aviary.run("-pxdist.plugin", "-n2", *LOUD, apart=True)
    assert aviary.verdicts["crash"] == "broken"
    assert len(aviary.verdicts) == len(FAILING) + 5
    assert holds(aviary.pytester.path, result.stdout.str(), result.stderr.str()) == []


def test_a_run_that_is_interrupted(aviary: Suite) -> None:
    """--full-trace prints the arguments of every frame."""
    aviary.checks(
        PASSING
        + "@check(runbook='x')\ndef test_interrupt(answer, target):\n    look(answer.text(), target.secret('key'))\n"
        "def look(text, secret):\n    raise KeyboardInterrupt(text)\n"
    )
    result = aviary.run(*LOUD, "--full-trace", apart=True)
    assert result.ret == 2
    assert holds(aviary.pytester.path, result.stdout.str(), result.stderr.str()) == []


def test_the_canaries_would_be_found(tmp_path: Path) -> None:
    """The test can fail: each canary, planted, is seen."""
    for number, value in enumerate([*SECRETS.values(), *CUSTOMER.values()]):
        (tmp_path / str(number)).write_text(f"x{quote_plus(value)}x")
    assert len({place.partition(":")[0] for place in holds(tmp_path)}) == len(SECRETS) + len(CUSTOMER)
