"""What a check asks for stands in its `needs`: none books, calls or writes and then finds that something is missing."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialtone.scan import syntax

ROOT = Path(__file__).parents[1]
OF_TARGET = {
    "route": "routes",
    "query": "queries",
    "request": "requests",
    "value": "values",
    "webhook": "webhooks",
    "provider": "providers",
    "secret": "credentials",
    "page": "pages",
    "rate_limit": "rate_limits",
}
OF_FIXTURES = {"hook": "webhooks", "ask": "providers", "record": "providers", "indicator": "indicators"}
FIXTURES = {"db": "database", "statistics": "database", "tenant": "tenant", "tenants": "tenant", "journal": "journal"}
Functions = dict[str, ast.FunctionDef]


@functools.cache
def parsed(path: Path) -> ast.Module:
    """A file's tree, made once: it is looked at for each check in it."""
    return syntax(path.read_text())


def functions(path: Path) -> Functions:
    """The functions of a file by name."""
    return {node.name: node for node in parsed(path).body if isinstance(node, ast.FunctionDef)}


SHARED = functions(ROOT / "conftest.py")


def decorator(function: ast.FunctionDef, name: str) -> ast.Call | None:
    """The call of a decorator, `@check(…)`."""
    calls = (d for d in function.decorator_list if isinstance(d, ast.Call))
    return next((d for d in calls if isinstance(d.func, ast.Name) and d.func.id == name), None)


def declared(path: Path, function: ast.FunctionDef) -> set[str]:
    """The needs of a check, lists that it shares with others included."""
    call = decorator(function, "check")
    assert call
    given = next((k.value for k in call.keywords if k.arg == "needs"), None)
    names: dict[str, ast.expr] = {
        t.id: node.value
        for node in parsed(path).body
        if isinstance(node, ast.Assign)
        for t in node.targets
        if isinstance(t, ast.Name)
    }

    def texts(node: ast.expr | None) -> Iterator[str]:
        if isinstance(node, ast.Constant):
            yield str(node.value)
        elif isinstance(node, ast.List):
            for part in node.elts:
                yield from texts(part)
        elif isinstance(node, ast.Starred):
            yield from texts(node.value)
        elif isinstance(node, ast.Name):
            yield from texts(names[node.id])

    return set(texts(given))


def asked(function: ast.FunctionDef, near: Functions, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """What a function asks of the profile, through the helpers of its file and the fixtures of the suite as well."""
    if any(isinstance(n, ast.Attribute) and n.attr == "lacks" for n in ast.walk(function)):
        return  # it looks for itself before it does anything
    is_helper = function.name in seen and not function.decorator_list
    arguments = set() if is_helper else {a.arg for a in function.args.args}
    yield from (FIXTURES[name] for name in arguments & set(FIXTURES))
    if "cron" in arguments and function.name != "cron":
        yield "cron"
    for name in arguments - seen:
        if name in near or name in SHARED:
            yield from asked((near | SHARED)[name] if name in near else SHARED[name], near, seen | {name})
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in near and node.func.id not in seen | {function.name}:
            yield from asked(near[node.func.id], near, seen | {node.func.id})
        if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "target.profile.values":
            continue  # one that has a default
        first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        if not isinstance(first, str):
            continue
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            if node.func.value.id == "target" and node.func.attr in OF_TARGET:
                yield f"{OF_TARGET[node.func.attr]}.{first}"
        elif isinstance(node.func, ast.Name) and node.func.id in OF_FIXTURES:
            yield f"{OF_FIXTURES[node.func.id]}.{first}"


def checks() -> Iterator[tuple[Path, ast.FunctionDef]]:
    """Every check of the suite."""
    for path in sorted((ROOT / "checks").glob("test_*.py")):
        yield from ((path, f) for f in functions(path).values() if decorator(f, "check"))


@pytest.mark.parametrize(("path", "function"), [pytest.param(p, f, id=f.name) for p, f in checks()])
def test_a_check_needs_what_it_asks_for(path: Path, function: ast.FunctionDef) -> None:
    """Routes, queries, bodies, values, webhooks, providers, database, tenant and journal, however it comes to them."""
    needs = declared(path, function)
    asks = set(asked(function, functions(path))) - ONLY_READ.get(function.name, set())
    missing = {ask for ask in asks if not any(need == ask or need.startswith(f"{ask}.") for need in needs)}
    assert not missing


ONLY_READ = {
    "test_response_time_p95": {"routes.health"},  # of one case
    "test_response_time_p50": {"routes.health"},
    "test_health_answers_ok": {"values.health_ok"},  # where there is one
}
"""What is asked for in one case only, before anything is sent."""
