"""One run of pytest: what a check does becomes its verdict, pytest's outcome and the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Server, Suite

GOOD = """
@check(runbook="site-down", severity="P0")
def test_good(target, http):
    expect(http.get(target.route("good"))).status(200).json_field("status", "ok")
"""


def test_a_good_check_passes(suite: Suite) -> None:
    """Green, exit code 0, one request, and a verdict in the document."""
    suite.checks(GOOD)
    result = suite.run()
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert suite.server.asked == ["/status/200"]
    assert suite.verdicts == {"good": "ok"}


def test_the_document_has_the_form_that_was_promised(suite: Suite) -> None:
    """Every key of every check, also where there is nothing to say."""
    suite.checks(
        GOOD
        + """
@check(runbook="tls", severity="P1", objective="days")
def test_days(objective):
    objective.value(2, what="days left:")

@check(runbook="keys", effect="reads", needs=["credentials.key"])
def test_keys(): ...
"""
    )
    suite.run()
    document = suite.document
    assert set(document) == {"target", "started", "finished", "exit_code", "checks"}
    assert (document["target"], document["exit_code"]) == ("preview", 1)
    assert document["started"] < document["finished"]
    assert document["started"].endswith("Z")
    days, good, keys = document["checks"]  # worst first, unarmed last
    assert days | {"seconds": 0, "at": "", "proof": None, "experiment": False} == {
        "id": "days",
        "severity": "P1",
        "runbook": "tls",
        "effect": "reads",
        "verdict": "critical",
        "kind": None,
        "value": 2.0,
        "unit": "days",
        "samples": 1,
        "levels": {"target": 21.0, "alert": 14.0, "critical": 3.0},
        "armed": True,
        "reason": "days left: 2 days, below the critical level 3 days",
        "seconds": 0,
        "proof": None,
        "experiment": False,
        "at": "",
        "trace": None,
    }
    assert days["at"] == "test_it.py:12"
    assert (good["verdict"], good["kind"], good["severity"]) == ("ok", None, "P0")
    assert good["seconds"] > 0
    assert keys["armed"] is False
    assert [keys[name] for name in ("verdict", "kind", "value", "unit", "samples")] == [None, None, None, None, 0]
    assert keys["reason"] == "PREVIEW_KEY is not set"


def test_degraded_passes_and_is_counted_by_its_word(suite: Suite) -> None:
    """Yellow, not red: nobody is woken."""
    suite.checks("@check(runbook='x', objective='days')\ndef test_a(objective):\n    objective.value(20)\n")
    result = suite.run("-v", "--color=yes")
    assert result.ret == 0
    assert "\x1b[33mDEGRADED" in result.stdout.str()
    assert "\x1b[33m\x1b[1m1 degraded" in result.stdout.str()
    assert suite.verdicts == {"a": "degraded"}


@pytest.mark.parametrize(("severity", "verdict"), [("P0", "critical"), ("P1", "breach")])
def test_a_failed_expectation_is_critical_for_p0_and_a_breach_otherwise(
    suite: Suite, severity: str, verdict: str
) -> None:
    """pytest counts it as a failure; the last line is red."""
    suite.checks(
        f"@check(runbook='x', severity='{severity}')\ndef test_a(http):\n"
        "    expect(http.get('/status/500')).status(200)\n"
    )
    result = suite.run("--color=yes", "-v")
    assert result.ret == 1
    assert suite.verdicts == {"a": verdict}
    assert suite.check("a")["reason"] == "GET /status/500: answered 500, not 200"
    assert f"{verdict.upper()}\x1b" in result.stdout.str()
    assert f"1 {verdict}" in result.stdout.lines[-1]
    assert result.stdout.lines[-1].startswith("\x1b[31m=")


@pytest.mark.parametrize(
    "body",
    [
        "ok('first'); assert 1 == 2",
        "ok('first'); pytest.fail('no')",
        "fail('no')",
        "ok('first'); expect(http.get('/json')).contains('nothing of the kind')",
        "expect(http.get('/status/200')).status(200).header('x-none')",
        "expect(http.get('/status/200')).not_cached()",
        "expect(http.get('/status/200')).that(lambda a: False, 'it is so')",
        "expect(http.get('/status/200')).within(0.0)",
        "expect(http.get('/status/200')).json_field('status', 'error')",
    ],
)
def test_every_form_of_assertion_is_a_breach(suite: Suite, body: str) -> None:
    """Ours, a plain assert, and pytest's own."""
    suite.checks(f"@check(runbook='x')\ndef test_a(http):\n    {body}\n")
    assert suite.run().ret == 1
    assert suite.verdicts == {"a": "breach"}


def test_the_worst_judgement_is_the_verdict(suite: Suite) -> None:
    """A check may judge often; what it says last does not make up for what it said first."""
    suite.checks(
        "@check(runbook='x', objective='days')\ndef test_a(objective):\n"
        "    objective.value(20)\n    ok('fine')\n    objective.value(30)\n"
    )
    suite.run()
    assert suite.verdicts == {"a": "degraded"}
    assert suite.check("a")["value"] == 20


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        ("undecided('too early')", "undecided", "too early"),
        ("pytest.skip('not today')", "undecided", "not today"),
        ("expect(http.get('/status/429')).status(200)", "refused", "GET /status/429: answered 429: the prober has"),
        ("expect(http.get('/status/401')).status(200)", "refused", "GET /status/401: answered 401: the prober's cred"),
        ("expect(http.get('/challenge')).status(200)", "refused", "GET /challenge: a challenge page stands in front"),
    ],
)
def test_what_cannot_be_judged_is_skipped_with_its_reason(suite: Suite, body: str, kind: str, reason: str) -> None:
    """Unknown is never ok: with nothing else judged the run is red."""
    suite.server.pages["/challenge"] = (403, {"cf-mitigated": "challenge"}, b"")
    suite.checks(f"@check(runbook='x')\ndef test_a(http):\n    {body}\n")
    result = suite.run("-v")
    assert suite.verdicts == {"a": kind}
    assert suite.check("a")["verdict"] == "unknown"
    assert suite.check("a")["reason"].startswith(reason)
    assert result.ret == 13
    result.stdout.fnmatch_lines([f"*{kind.upper()}*", f"*1 {kind}*"])


def test_a_status_that_is_asked_for_is_no_refusal(suite: Suite) -> None:
    """A check of the rate limit wants its 429."""
    suite.checks("@check(runbook='x')\ndef test_a(http):\n    expect(http.get('/status/429')).status(429)\n")
    assert suite.run().ret == 0


def test_a_refused_p0_check_makes_the_run_red(suite: Suite) -> None:
    """Exit code 12; of any other severity it does not."""
    refused = "@check(runbook='x', severity='{}')\ndef test_a(http):\n    expect(http.get('/status/429')).status(200)\n"
    suite.checks(GOOD + refused.format("P0"))
    assert suite.run().ret == 12
    suite.checks(GOOD + refused.format("P1"))
    assert suite.run().ret == 0


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        ("needs=['credentials.key']", "PREVIEW_KEY is not set"),
        ("needs=['pages.home', 'credentials.key']", "the profile has no pages.home; PREVIEW_KEY is not set"),
        ("needs=['database']", "the profile has no database"),
        ("effect='writes'", "preview does not allow writes: effects in its profile"),
        ("objective='speed'", "the profile has no objectives.speed"),
    ],
)
def test_an_unarmed_check_is_skipped_before_any_fixture(suite: Suite, declaration: str, reason: str) -> None:
    """Nothing of it runs; it says what it lacks and is never counted as ok."""
    suite.checks(
        "@pytest.fixture\ndef early(http):\n    http.get('/early')\n\n"
        f"@check(runbook='x', {declaration})\ndef test_a(early): ...\n"
    )
    result = suite.run("-v")
    assert suite.verdicts == {"a": "unarmed"}
    assert suite.check("a")["reason"] == reason
    assert suite.server.asked == []
    assert result.ret == 13
    result.stdout.fnmatch_lines(["*UNARMED*", "*1 unarmed*"])


def test_a_name_that_the_profile_lacks_leaves_a_check_unarmed(suite: Suite) -> None:
    """Also where the check did not declare that it needs it."""
    suite.checks("@check(runbook='x')\ndef test_a(target):\n    target.route('none')\n")
    suite.run()
    assert suite.verdicts == {"a": "unarmed"}
    assert suite.check("a")["reason"] == "the profile has no routes.none"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def test_a(http):\n    {}['jane']\n", "KeyError at test_it.py:8"),
        ("def test_a(http):\n    raise SystemExit('jane')\n", "SystemExit at test_it.py:8"),
        ("def test_a(spoilt):\n    ok('fine')\n", "ValueError at test_it.py:12"),
        ("def test_a(nothing):\n    ok('fine')\n", "FixtureLookupError: there is no fixture 'nothing' at test_it.py:"),
        ("def test_a(leaving):\n    ok('fine')\n", "ValueError at test_it.py:17"),
        ("def test_a(objective):\n    ok('fine')\n", "Misdeclared: the check asks for an objective that it does not"),
        ("def test_a(): ...\n", "Broken: the check judged nothing: it could not have failed at test_it.py:6"),
        ("def test_a(http):\n    http.get(target.route('good'))\n", "NameError at test_it.py:8"),
    ],
)
def test_a_check_that_fails_by_itself_is_broken(suite: Suite, source: str, reason: str) -> None:
    """In the check, in a fixture, in its clean-up, or because it judges nothing: exit code 10, no word of the error."""
    fixtures = (
        "@pytest.fixture\ndef spoilt():\n    raise ValueError('jane')\n\n"
        "@pytest.fixture\ndef leaving():\n    yield\n    raise ValueError('jane')\n\n"
    )
    suite.checks(f"\n@check(runbook='x')\n{source}\n{fixtures}")
    result = suite.run("-v")
    assert suite.verdicts == {"a": "broken"}
    assert suite.check("a")["reason"].startswith(reason)
    assert result.ret == 10
    assert "jane" not in result.stdout.str().replace("['jane']", "")
    result.stdout.fnmatch_lines(["*BROKEN*", "*exit code 10: a check itself failed*"])


def test_a_need_with_a_spelling_mistake_breaks_its_check_only(suite: Suite) -> None:
    """It would be unarmed for ever, and nobody would know why."""
    suite.checks(GOOD + "@check(runbook='x', needs=['route.good'])\ndef test_a(): ...\n")
    assert suite.run().ret == 10
    assert suite.verdicts == {"good": "ok", "a": "broken"}
    assert "did you mean 'routes'?" in suite.check("a")["reason"]


BREACH = "@check(runbook='x')\ndef test_breach():\n    fail('bad')\n"
BROKEN = "@check(runbook='x')\ndef test_broken():\n    {}[1]\n"
PLAIN = "def test_plain():\n    assert False\n"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (GOOD, 0),
        (GOOD + BREACH, 1),
        (GOOD + BROKEN, 10),
        (GOOD + BROKEN + BREACH, 1),
        (GOOD + BROKEN + PLAIN, 1),
        (GOOD + PLAIN, 1),
        (PLAIN, 1),
        (GOOD + "@pytest.mark.xfail\n" + BREACH, 1),
        (GOOD + "@pytest.mark.xfail\n" + BROKEN, 10),
        ("def test_plain(): ...\n", 0),
    ],
)
def test_own_exit_codes_replace_nothing_but_success(suite: Suite, source: str, code: int) -> None:
    """Except for a 1 that only broken checks caused."""
    suite.checks(source)
    assert suite.run().ret == code


def test_a_file_that_cannot_be_collected_keeps_pytests_code(suite: Suite) -> None:
    """Interrupted by errors; and 1 if the rest runs all the same."""
    suite.checks(GOOD + BROKEN)
    suite.pytester.path.joinpath("test_other.py").write_text("import nothing_of_the_kind\n")
    assert suite.run().ret == 2
    assert suite.run("--continue-on-collection-errors").ret == 1


def test_breach_and_a_broken_clean_up_stay_a_breach(suite: Suite) -> None:
    """Known to be bad is worse than not knowing."""
    suite.checks(
        "@pytest.fixture\ndef leaving():\n    yield\n    raise ValueError\n"
        "@check(runbook='x')\ndef test_a(leaving):\n    fail('bad')\n"
    )
    assert suite.run().ret == 1
    assert suite.verdicts == {"a": "breach"}


@pytest.fixture
def nowhere() -> str:
    """An address on loopback where nobody listens."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


MANY = """
@pytest.mark.parametrize("case", range(12))
@check(runbook="site-down", severity="P1")
def test_many(http, case):
    expect(http.get("/status/200")).status(200)
"""


def test_a_dead_target_with_a_living_witness_is_critical(suite: Suite, nowhere: str) -> None:
    """Whatever the severity of the check; told once."""
    suite.profile(base=nowhere)
    suite.checks(MANY)
    result = suite.run()
    assert result.ret == 1
    assert set(suite.verdicts.values()) == {"critical"}
    told = [line for line in result.stdout.lines if "the target is down" in line]
    assert len(told) == 1
    assert told[0].startswith(f"             the target is down: {nowhere}: connection refused")


def test_an_offline_prober_is_one_line(suite: Suite, nowhere: str) -> None:
    """Neither the target nor a witness answers: nothing is known, and one line says so. Exit code 11."""
    suite.profile(base=nowhere, witness=nowhere)
    suite.checks(MANY)
    result = suite.run()
    assert result.ret == 11
    assert set(suite.verdicts.values()) == {"offline"}
    told = [line for line in result.stdout.lines if "no witness answers" in line]
    assert len(told) == 1
    assert told[0].startswith("offline      12 checks: no witness answers (http://127.0.0.1:")
    result.stdout.fnmatch_lines(["exit code 11: the prober is offline: none of its witnesses answers"])


def test_cases_are_checks_of_their_own(suite: Suite) -> None:
    """Their id is `name[case]`."""
    suite.checks(
        "@pytest.mark.parametrize('n', [1, 2], ids=['a::b', 'two'])\n@check(runbook='x')\n"
        "def test_it(n):\n    ok('fine')\n"
        "class TestThem:\n    @check(runbook='x')\n    def test_inside(self):\n        ok('fine')\n"
    )
    suite.run()
    assert set(suite.verdicts) == {"it[a::b]", "it[two]", "inside"}


def test_two_checks_with_one_id_are_a_mistake(suite: Suite) -> None:
    """Their history would be one; pytest ends with its code for wrong use."""
    suite.checks(GOOD)
    suite.checks(GOOD, "test_other.py")
    result = suite.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: two checks have the id good: test_it.py::test_good and test_other.py::*"])
    assert suite.server.asked == []


@pytest.mark.parametrize("option", [(), ("--collect-only",)])
def test_a_wrong_profile_ends_the_run_before_any_request(suite: Suite, option: tuple[str, ...]) -> None:
    """Exit code 4 and the message; a run that only collects does not mind."""
    suite.profile(more="sttle = 5\n")
    suite.checks(GOOD)
    result = suite.run(*option)
    assert suite.server.asked == []
    if option:
        assert result.ret == 0
        return
    assert result.ret == 4
    text = result.stdout.str() + result.stderr.str()
    assert "dialtone.toml: target.preview.sttle: unknown key; did you mean 'settle'?" in text
    assert "Traceback" not in text


def test_a_credential_with_a_line_break_ends_the_run(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named and its value is not."""
    monkeypatch.setenv("PREVIEW_KEY", "hush-hush\n")
    suite.checks(GOOD)
    result = suite.run()
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == 4
    assert "PREVIEW_KEY (dialtone.toml: target.preview.credentials.key) ends with a line break" in text
    assert "hush" not in text


def test_a_fence_refuses_all_but_reading(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live key in a preview: told at the top of the summary and at the check, without the key."""
    monkeypatch.setenv("PREVIEW_KEY", "sk_live_hushhush")
    suite.profile(more='key_mode = "test"\n')
    suite.checks(GOOD + "@check(runbook='x', effect='provokes')\ndef test_a(): ...\n")
    result = suite.run()
    assert result.ret == 0
    assert suite.verdicts == {"good": "ok", "a": "unarmed"}
    assert suite.check("a")["reason"] == "provokes refused here: PREVIEW_KEY holds a live key"
    result.stdout.fnmatch_lines(["FENCED, only reads run: PREVIEW_KEY holds a live key"])
    assert "hushhush" not in result.stdout.str()


def test_a_round_keeps_to_the_budget(suite: Suite) -> None:
    """Five requests: the P0 check gets its three, the sampler the rest, and who asks for more is undecided."""
    suite.profile(more='budget = { requests = 5, window = "1m" }\n')
    suite.checks(
        "@check(runbook='x', severity='P0')\ndef test_first(http):\n"
        "    for _ in range(9):\n        expect(http.get('/first')).status(200)\n"
        "@check(runbook='x', severity='P1', requests=2)\ndef test_second(http):\n"
        "    expect(http.get('/second')).status(200)\n"
        "@check(runbook='x', severity='P2')\ndef test_third(http):\n    expect(http.get('/third')).status(200)\n"
        "@check(runbook='x', requests=0)\ndef test_none():\n    ok('fine')\n"
    )
    suite.run()
    assert suite.server.asked == ["/first"] * 3 + ["/second"]
    assert suite.verdicts == {"first": "undecided", "second": "ok", "third": "unarmed", "none": "ok"}
    assert suite.check("first")["reason"] == "the round's budget allows this check 3 requests"
    assert suite.check("third")["reason"] == "the round's request budget is used up by checks of higher severity"


def test_other_tests_beside_checks_are_left_alone(suite: Suite) -> None:
    """Their tracebacks, outputs and properties are as without the plugin."""
    suite.checks(GOOD + "def test_plain():\n    print('seen')\n    name = 'jane'\n    assert name == 'joe'\n")
    result = suite.run("--showlocals")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*assert 'jane' == 'joe'*", "*name*=*'jane'*", "*Captured stdout call*", "seen"])
    result.assert_outcomes(passed=1, failed=1)


def test_dialtones_fixtures_want_a_declaration(suite: Suite) -> None:
    """A plain test that asks for an objective is told what it lacks."""
    suite.checks("def test_plain(objective): ...\n")
    result = suite.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*test_plain asks for dialtone's fixtures without @check or @experiment*"])


def test_a_catalogue_is_left_on_request(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """What every check declares, without running one."""
    path = suite.pytester.path / "catalogue.json"
    monkeypatch.setenv("DIALTONE_CATALOG", str(path))
    suite.checks(
        "@pytest.mark.parametrize('n', ['a', 'b'])\n@check(runbook='x', catches={'a': ['one'], 'b': []})\n"
        "def test_it(n): ...\n"
    )
    suite.run("--collect-only")
    found = __import__("json").loads(path.read_text())["checks"]
    assert [(c["id"], c["function"], c["catches"]) for c in found] == [("it[a]", "it", ["one"]), ("it[b]", "it", [])]
    assert suite.server.asked == []


def test_an_experiment_that_could_not_decide_has_its_own_code(suite: Suite) -> None:
    """Inconclusive is not green: exit code 14."""
    suite.profile(more="")
    text = suite.pytester.path.joinpath("dialtone.toml").read_text()
    suite.pytester.path.joinpath("dialtone.toml").write_text(text.replace('"reads"]', '"reads", "disrupts"]'))
    suite.checks(
        GOOD + "from dialtone import experiment\n@experiment(runbook='x')\ndef test_a():\n    undecided('no match')\n"
    )
    assert suite.run().ret == 14
    assert suite.check("a")["experiment"] is True


def test_junit_tells_verdicts_and_no_traceback(suite: Suite) -> None:
    """Verdict, severity and runbook section as properties; words in place of a traceback."""
    suite.checks(GOOD + BREACH + BROKEN + "@check(runbook='x')\ndef test_u(record_property):\n    undecided('early')\n")
    suite.run("--junitxml=junit.xml", "-o", "junit_logging=all")
    text = suite.pytester.path.joinpath("junit.xml").read_text()
    from xml.etree import ElementTree

    found = {}
    for case in ElementTree.fromstring(text).iter("testcase"):  # noqa: S314 - written a moment ago
        found[case.get("name")] = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert found["test_good"]["verdict"] == "ok"
    assert found["test_breach"] == {"verdict": "breach", "severity": "P2", "runbook": "x", "reason": "bad"}
    assert (found["test_broken"]["kind"], found["test_u"]["kind"]) == ("broken", "undecided")
    assert "Traceback" not in text
    assert "{}[1]" not in text


def test_a_run_in_this_process_leaves_the_outer_one_alone(suite: Suite, request: pytest.FixtureRequest) -> None:
    """Two sessions in one process do not share what they gather."""
    suite.checks(BREACH)
    suite.run()
    assert request.config.pluginmanager.hasplugin("terminalreporter")
    outer = request.config.pluginmanager.get_plugin("dialtone-hooks")
    assert outer is None or not outer.session.gatherer.entries


def test_the_server_of_these_tests_is_quiet(server: Server) -> None:
    """Nothing is asked before a check asks."""
    assert server.asked == []
