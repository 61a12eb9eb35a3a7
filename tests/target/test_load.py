"""Profiles: what is wrong with one is told with file, key and remedy, before any request is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dialtone.redact import MASK, Redactor
from dialtone.target import ProfileError, load
from dialtone.target import load as load_module_function
from dialtone.target.load import read

GOOD = """
[defaults]
settle = "2s"

[defaults.routes]
health = "/health"

[defaults.objectives.errors]
alert = 5
unit = "%"

[target.preview]
kind = "preview"
base_url = "https://preview.example.com"
witnesses = ["https://one.example.org", "https://two.example.org"]
database = "db"

[target.preview.credentials]
db = "PREVIEW_DB"
key = "PREVIEW_KEY"
"""


@pytest.fixture
def profile(tmp_path: Path) -> Any:
    """`profile(text)`: writes a dialtone.toml and returns its path; `GOOD` with replacements by default."""

    def write(text: str = GOOD, **replacements: str) -> Path:
        for old, new in replacements.items():
            assert f"@{old}" in text or old in text, f"{old} does not occur"
            text = text.replace(old, new)
        path = tmp_path / "dialtone.toml"
        path.write_text(text)
        return path

    return write


def wrong(path: Path, environ: dict[str, str] | None = None, target: str = "preview") -> str:
    """The message that loading ends with."""
    with pytest.raises(ProfileError) as caught:
        load(path, target, environ or {})
    return str(caught.value)


def changed(old: str, new: str) -> str:
    """GOOD with one change, which has to be one."""
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_good_profile_is_loaded_over_its_defaults(profile: Any) -> None:
    """A target's table is laid over the defaults, key by key; durations are seconds."""
    text = GOOD + '[target.preview.routes]\nhome = "/"\n'
    target = load(profile(text), "preview", {"PREVIEW_KEY": "k-1"})
    assert target.profile.settle == 2.0
    assert target.profile.routes == {"health": "/health", "home": "/"}
    assert target.credentials == {"key": "k-1"}
    assert repr(target) == "Target(preview, https://preview.example.com)"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'kind = "preview"',
            'kind = "preview"\nknid = 1',
            "dialtone.toml: target.preview.knid: unknown key; did you mean 'kind'?",
        ),
        (
            "alert = 5",
            "alert = 5\nalrt = 6",
            "target.preview.objectives.errors.alrt: unknown key; did you mean 'alert'?",
        ),
        ("settle =", "zzzzzz =", "target.preview.zzzzzz: unknown key; remove it (docs/profile.md lists all)"),
        ('settle = "2s"', "settle = 2", 'target.preview.settle: a duration needs a number and a unit: "300ms", "5s"'),
        ('settle = "2s"', 'settle = "2 seconds"', "target.preview.settle: a duration needs a number and a unit"),
        ('unit = "%"', 'unit = "percent"', "target.preview.objectives.errors.unit: has to be one of 's', 'ms', '%'"),
        (
            'kind = "preview"',
            'kind = "prod"',
            "target.preview.kind: has to be one of 'sandbox', 'preview' or 'production'",
        ),
        ('kind = "preview"\n', "", "target.preview.kind: missing: a required setting has to be given"),
        ('"https://preview.example.com"', '""', "target.preview.base_url: empty: a required setting has to be given"),
        ('"https://preview', '"preview', "target.preview.base_url: an address of http or https is needed"),
        ("alert = 5\n", "", "target.preview.objectives.errors.alert: missing"),
        ("alert = 5", "alert = 5\ntarget = 9", "errors: target, alert and critical have to run from good to bad"),
        ("alert = 5", 'alert = 5\nquantile = 0.5\ndirection = "above"', "errors: a quantile is judged by the share"),
        (
            'db = "PREVIEW_DB"\n',
            "",
            "target.preview: database names the credential 'db', which [credentials] does not list",
        ),
        (', "https://two.example.org"', "", "target.preview: witnesses: name at least two hosts that do not depend on"),
        ('"preview"\n', '"preview"\neffects = ["reed"]\n', "effects.0: has to be one of 'reads', 'writes'"),
        ("[defaults]", "[default]", "dialtone.toml: default: unknown key; did you mean 'defaults'?"),
        ("[defaults]", "[colours]\nred = 1\n[defaults]", "dialtone.toml: colours: unknown key; remove it"),
        ("[defaults]", "tartget = 1\n[defaults]", "dialtone.toml: tartget: unknown key; did you mean 'target'?"),
        ("[defaults]", "[target]\nx = 5\n[defaults]", "dialtone.toml: target.x: has to be a table"),
        (
            "[defaults.routes]",
            "[defaults.pages]\nx = 1\n[defaults.routes]",
            "target.preview.pages.x: has to be a table",
        ),
        ('"/health"', "7", "target.preview.routes.health: has to be text in quotes"),
        ("alert = 5", 'alert = "five"', "target.preview.objectives.errors.alert: has to be a number"),
        ("[defaults]", "[defaults", "dialtone.toml: not readable as TOML: "),
        ("[defaults]", "a = 1\na = 2\n[defaults]", "dialtone.toml: not readable as TOML: "),
    ],
)
def test_a_mistake_is_told_with_file_key_and_remedy(profile: Any, old: str, new: str, message: str) -> None:
    """One line a mistake, in words that say what to do."""
    said = wrong(profile(changed(old, new)))
    assert said.startswith("dialtone.toml: ")
    assert message in said
    assert "pydantic" not in said
    assert len(said.splitlines()) == 1


def test_every_mistake_is_told_at_once(profile: Any) -> None:
    """Nobody wants to mend a file one error at a time."""
    text = changed('settle = "2s"', 'settle = 2\nfoo = 1\nbudget = { requests = 0, window = "1m" }')
    lines = wrong(profile(text)).splitlines()
    assert len(lines) == 3
    assert [line.split(": ")[1] for line in lines] == [
        "target.preview.settle",
        "target.preview.budget.requests",
        "target.preview.foo",
    ]


def test_an_unknown_target_is_told_with_those_there_are(profile: Any) -> None:
    """The default target is the sandbox; a file need not have one."""
    assert wrong(profile(), target="staging") == "dialtone.toml: there is no target 'staging'; it describes preview"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """The whole path, since the name alone does not say where was looked."""
    path = tmp_path / "nowhere.toml"
    assert wrong(path) == f"{path}: no such file; a target needs a profile (see docs/profile.md)"


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are not TOML."""
    path = tmp_path / "dialtone.toml"
    path.write_bytes(b"\xff\xfe = 1")
    assert "not readable as TOML" in wrong(path)


def test_a_file_without_targets_is_told(profile: Any) -> None:
    """An empty file describes nothing."""
    assert wrong(profile("")) == "dialtone.toml: target: missing: a required setting has to be given"


def test_the_environment_does_not_add_to_the_file(profile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the file that the caller named is read: no variable becomes a setting by its name."""
    monkeypatch.setenv("DIALTONE_FILE_DEFAULTS", '{"settle": "9s"}')
    monkeypatch.setenv("DEFAULTS", '{"settle": "9s"}')
    assert read(profile()).defaults["settle"] == "2s"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("   ", "holds nothing but blanks: set it, or remove it"),
        ("\n", "holds nothing but blanks"),
        ("hush-hush ", "ends with a blank: set it again without it"),
        ("hush-hush\n", "ends with a line break: set it again without it"),
        ("hush-hush\r\n", "ends with a line break: set it again without it"),
        (" hush-hush", "begins with a blank: set it again without it"),
        ("\nhush-hush", "begins with a line break: set it again without it"),
        ("hush-hush\t", "ends with a blank: set it again without it"),
    ],
)
def test_blanks_around_a_credential_are_told_and_the_value_is_not(profile: Any, value: str, message: str) -> None:
    """A pasted secret ends with a line break more often than not."""
    said = wrong(profile(), {"PREVIEW_KEY": value})
    assert said.startswith("environment variable PREVIEW_KEY (dialtone.toml: target.preview.credentials.key) ")
    assert message in said
    assert "hush" not in said


@pytest.mark.parametrize("environ", [{}, {"PREVIEW_KEY": ""}])
def test_a_missing_or_empty_credential_is_no_mistake(profile: Any, environ: dict[str, str]) -> None:
    """A fork's secrets arrive empty: its checks are unarmed, the others run."""
    target = load(profile(), "preview", environ)
    assert target.credentials == {}
    assert target.lacks(["credentials.key", "database"]) == ["PREVIEW_KEY and PREVIEW_DB are not set"]


def test_a_variable_in_the_file_has_to_be_set(profile: Any) -> None:
    """All of them in one message; an empty one is not set."""
    path = profile(changed('"/health"', '"${HEALTH}"').replace("https://preview.", "${BASE}"))
    assert wrong(path, {"BASE": ""}).splitlines() == [
        f"dialtone.toml: target.preview.{key} needs the environment variable {name}, which is not set or empty:"
        " set it, or write the value into the file"
        for key, name in (("routes.health", "HEALTH"), ("base_url", "BASE"))
    ]
    target = load(path, "preview", {"HEALTH": "/h", "BASE": "https://x."})
    assert (target.route("health"), target.profile.base_url) == ("/h", "https://x.example.com")


def test_a_variable_in_the_file_may_not_have_blanks_around_it(profile: Any) -> None:
    """The message names file, key and variable, not the value."""
    said = wrong(profile(changed('"/health"', '"${HEALTH}"')), {"HEALTH": "/hidden \n"})
    assert said == (
        "dialtone.toml: target.preview.routes.health needs the environment variable HEALTH,"
        " which ends with a line break: set it again without it"
    )


def test_a_question_mark_leaves_an_entry_out(profile: Any) -> None:
    """`${NAME?}` inside an entry makes the entry optional; anywhere else it is a mistake."""
    entry = '[target.preview.providers.slack]\nbase_url = "${SLACK?}"\n'
    path = profile(GOOD + entry)
    assert load(path, "preview", {}).profile.providers == {}
    assert load(path, "preview", {}).lacks(["providers.slack"]) == ["providers.slack needs SLACK, which is not set"]
    assert load(path, "preview", {"SLACK": "https://s"}).provider("slack").base_url == "https://s"
    said = wrong(profile(changed('"https://preview.example.com"', '"${BASE?}"')))
    assert said == "dialtone.toml: target.preview: ${BASE?} may stand only inside an entry such as [providers.NAME]"


def test_credentials_are_masked_from_then_on(profile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a target registers its credentials, those of production beside it included."""
    redactor = Redactor()
    monkeypatch.setitem(load_module_function.__globals__, "secrets", redactor)
    live = (
        '[target.live]\nkind = "production"\nbase_url = "https://example.com"\n'
        'witnesses = ["https://one.example.org", "https://two.example.org"]\n'
        'database = "db"\n[target.live.credentials]\ndb = "LIVE_DB"\n'
    )
    load(profile(GOOD + live), "preview", {"PREVIEW_KEY": "hush-hush", "LIVE_DB": "hush-live"})
    assert redactor.scrub("hush-hush and hush-live") == f"{MASK} and {MASK}"
