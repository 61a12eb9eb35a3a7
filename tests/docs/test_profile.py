"""docs/profile.md tells every key of a profile, and no other; its defaults are the model's, its examples are valid."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import MISSING, fields
from typing import Any, NamedTuple

import pytest
from tests.docs.conftest import ROOT

from dialtone.signing.configured import Hmac
from dialtone.target import gate, model, parts, provider
from dialtone.target.duration import seconds
from dialtone.target.traffic import Listed, Traffic

TEXT = (ROOT / "docs" / "profile.md").read_text()
SOURCES = "\n".join(
    p.read_text() for p in sorted([*ROOT.glob("checks/*.py"), *ROOT.glob("chaos/*.py"), ROOT / "conftest.py"])
)
TABLES: dict[str, type[parts.Part]] = {
    "target": model.Profile,
    "timeouts": model.Limits,
    "budget": model.Budget,
    "schedule": model.Schedule,
    "gate": gate.Gate,
    "revision": gate.Revision,
    "allowance": gate.Allowance,
    "quorum": model.Quorum,
    "client_address": model.ClientAddress,
    "edge": model.Edge,
    "session": model.Session,
    "cron": model.Cron,
    "pages": model.Page,
    "redirects": model.Redirect,
    "objectives": model.ObjectiveTable,
    "indicators": model.Indicator,
    "webhooks": model.Webhook,
    "webhooks-effects": model.EffectOf,
    "rate_limits": model.RateLimit,
    "providers": provider.Provider,
    "leftovers": provider.Leftovers,
    "tools": provider.Tool,
    "tenant": model.Tenant,
    "own": model.Own,
    "books": model.Book,
    "traffic": Traffic,
    "listed": Listed,
    "journal": model.Journal,
    "history": model.History,
}
ELSEWHERE = {"see below", "the eight usual ones"}


class Row(NamedTuple):
    """One key as the page tells it."""

    key: str
    form: str
    default: str
    says: str
    example: str


def section(anchor: str) -> str:
    """The text between an anchor and the next one."""
    return TEXT.split(f'<a id="{anchor}"></a>')[1].split("<a id=")[0]


def rows(anchor: str) -> dict[str, Row]:
    """The first table of keys of a section."""
    found = {}
    for line in section(anchor).splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 5 and re.fullmatch(r"`[\w]+`", cells[0]):
            found[cells[0].strip("`")] = Row(cells[0].strip("`"), *cells[1:])
    return found


def example(row: Row) -> Any:
    """The value that the page gives as an example."""
    table = tomllib.loads(row.example.strip("`"))
    assert list(table) == [row.key]
    return table[row.key]


def plain(default: Any) -> Any:
    """A default of the model in terms of TOML."""
    return json.loads(json.dumps(default))


def said(text: str, default: Any) -> Any:
    """A default as the page says it, in the same terms."""
    if text in ("none", "empty"):
        return None if text == "none" and default is None else type(default)()
    inner = text.strip("`").strip('"')
    if isinstance(default, float) and re.search(r"[a-z]", inner):
        return seconds(inner)
    return inner if isinstance(default, str) else json.loads(text.strip("`"))


@pytest.mark.parametrize("anchor", TABLES)
def test_every_key_is_told(anchor: str) -> None:
    """No key of the model is missing, and none is made up."""
    assert list(rows(anchor)) == list(TABLES[anchor].model_fields)


def test_no_table_is_missing() -> None:
    """Every table that the model has is on the page."""
    told = {t for file in (model, provider, gate) for t in vars(file).values() if isinstance(t, type)}
    assert set(TABLES.values()) == {t for t in told if issubclass(t, parts.Part)} - {parts.Part}


@pytest.mark.parametrize("anchor", TABLES)
def test_defaults_are_the_models(anchor: str) -> None:
    """`required`, `none`, `empty` and values are those of the model."""
    for key, row in rows(anchor).items():
        field = TABLES[anchor].model_fields[key]
        assert (row.default == "required") == field.is_required(), key
        if not field.is_required() and row.default not in ELSEWHERE:
            assert said(row.default, plain(field.default)) == plain(field.default), key


@pytest.mark.parametrize("anchor", TABLES)
def test_examples_are_valid(anchor: str) -> None:
    """Each example, together with the required keys, makes a table that the model takes."""
    told = {key: row for key, row in rows(anchor).items() if row.example.startswith("`")}
    required = {k: example(row) for k, row in told.items() if row.default == "required"}
    if anchor == "target":
        required |= {
            "witnesses": example(told["witnesses"]),
            "credentials": {"database_url": "A", "bypass": "B", "cron_secret": "C"},
        }
    for key, row in told.items():
        table = {**required, key: example(row)}
        if anchor == "webhooks-effects" and not {"sql", "route"} & set(table):
            table["provider"] = "courier"
        if anchor == "books" and not {"sql", "accepted"} & set(table):
            table |= {"provider": "payments", "path": "/v1/charges"}
        if "route" in table and anchor == "webhooks-effects":
            table["contains"] = "{{object_id}}"
        TABLES[anchor].model_validate(table)


def test_options_of_schemes_are_those_of_the_code() -> None:
    """The table of HMAC schemes holds every option with its default, and its examples make schemes."""
    told = rows("schemes")
    options = {field.name: field for field in fields(Hmac)}
    assert list(told) == list(options)
    for name, field in options.items():
        default = None if field.default is MISSING else field.default
        assert (told[name].default == "required") == (field.default is MISSING), name
        if default not in (None, ""):
            assert told[name].default.strip("`") == (f"{default:g}" if isinstance(default, float) else default), name
        Hmac(**{"header": "X-Signature", name: example(told[name])})


NAMES = {
    "routes": r"""\broute\("(\w+)"\)|"routes\.(\w+)\"""",
    "requests": r"""\.request\("(\w+)"\)|"requests\.(\w+)\"""",
    "values": r"""\.value\("(\w+)"\)|"values\.(\w+)"|\bvalues\.get\("(?!src|href|rel)(\w+)\"""",
    "rate_limits": r"""rate_limit\("(\w+)"\)|"rate_limits\.(\w+)\"""",
    "indicators": r"""\bindicator\("(\w+)"|"indicators\.(\w+)\"""",
    "objectives": r"""objective="(\w+)\"""",
    "webhooks": r"""hook\("(\w+)"|"webhooks\.(\w+)[."]""",
    "providers": r"""provider\("(\w+)"\)|ask\("(\w+)"|"providers\.(\w+)[."]""",
    "pages": r"""\.page\("(\w+)"\)|"pages\.(\w+)\"""",
}
LISTS = {
    "webhooks": r"WEBHOOKS = (\[.*?\])",
    "rate_limits": r"""each\("rate_limits", "name", (\[.*?\])""",
    "providers": r"""each\("providers", "provider", (\[.*?\])""",
    "pages": r"""(?:each\("pages", |parametrize\()"page", (\[.*?\])""",
}


def asked(table: str) -> set[str]:
    """The names under a table that checks, experiments and their fixtures ask for."""
    found = {name for match in re.finditer(NAMES[table], SOURCES) for name in match.groups() if name}
    for match in re.finditer(LISTS.get(table, "(?!)"), SOURCES):
        found |= set(json.loads(match[1]))
    return found


@pytest.mark.parametrize("table", NAMES)
def test_names_are_those_that_checks_ask_for(table: str) -> None:
    """The page lists what the checks look for, no more and no less."""
    line = next(line for line in section("names").splitlines() if line.startswith(f"| `{table}` |"))
    told = set(re.findall(r"`(\w+)`", line)) - {table}
    found = asked(table)
    if table == "pages":
        found -= {"health"}  # the route, whose response time is judged like a page's
    assert told == found


def test_fields_and_queries_are_those_that_checks_ask_for() -> None:
    """Fields of answers with the names that they have by default, and queries."""
    lines = section("names").splitlines()
    fields_told = {m[1]: m[2] for line in lines if (m := re.match(r"\| `(\w+)` \| `?([\w.]+)`? \| (?!writes)", line))}
    defaults = dict(re.findall(r"""\.field\("(\w+)", "([\w.]+)"\)""", SOURCES))
    needed = set(re.findall(r'"fields\.(\w+)"', SOURCES))
    wanted = {name: "unarmed" if name in needed else default for name, default in defaults.items()}
    assert {k: v for k, v in fields_told.items() if k in wanted} == wanted
    queries = set(re.findall(r"""\.query\("(\w+)"\)""", SOURCES))
    told = {name for line in lines if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert queries <= told


def test_the_journal_of_the_example_is_understood() -> None:
    """The answer on the page has the form that the suite reads."""
    block = re.search(r"```json\n(.*?)```", section("journal"), re.S)
    assert block
    answer = json.loads(block[1])
    assert answer["last"] == answer["requests"][-1]["seq"]
    assert set(answer["requests"][0]) >= {"provider", "method", "path", "status", "accepted", "credential", "body"}


def test_links_lead_somewhere() -> None:
    """Every link inside of the documents has its file and its anchor."""
    pages = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text() if page.exists() else ""):
            path, _, anchor = link.partition("#")
            if re.match(r"https?:|mailto:", link):
                continue
            there = (page.parent / path) if path else page
            assert there.exists(), f"{page.name}: {link}"
            if anchor:
                assert anchor in anchors(there.read_text()), f"{page.name}: {link}"


def anchors(text: str) -> set[str]:
    """The anchors of a page: those it names, and GitHub's for its headings."""
    named = set(re.findall(r'<a id="([\w-]+)"', text))
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return named | {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
