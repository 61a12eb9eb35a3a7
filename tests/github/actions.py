"""A runner of workflows for tests: expressions, `if`, outputs and shells as GitHub has them; `uses` is only noted.

The shell of a `run:` step is real. Commands that it starts are noted with their arguments and environment by a program
in their place, and `dialtone` then runs in this process: a start of Python each would cost more than all else.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dialtone import cli

_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|\|\||&&|==|!=|[!(),]|[\w.*-]+)")
_NOTE = """#!/bin/sh
for a in "$(basename "$0")" "$@"; do printf '%s\\0' "$a"; done > "$NOTED.new" && mv "$NOTED.new" "$NOTED"
"""


class Expression:
    """https://docs.github.com/actions/reference/evaluate-expressions-in-workflows-and-actions, as far as it is used."""

    def __init__(self, text: str, context: Mapping[str, Any]) -> None:
        self._tokens = [t.strip() for t in _TOKEN.findall(text)]
        assert "".join(self._tokens) == re.sub(r"\s+(?=(?:[^']*'[^']*')*[^']*$)", "", text), text
        self._at, self._context = 0, context

    def value(self) -> Any:
        """The whole of it."""
        found = self._or()
        assert self._at == len(self._tokens), self._tokens[self._at :]
        return found

    def _take(self, *words: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at] in words:
            self._at += 1
            return self._tokens[self._at - 1]
        return None

    def _or(self) -> Any:
        left = self._and()
        while self._take("||"):
            right = self._and()
            left = left or right
        return left

    def _and(self) -> Any:
        left = self._equal()
        while self._take("&&"):
            right = self._equal()
            left = right if left else left
        return left

    def _equal(self) -> Any:
        left = self._one()
        while word := self._take("==", "!="):
            right = self._one()
            same = str(left or "").lower() == str(right or "").lower()
            left = same if word == "==" else not same
        return left

    def _one(self) -> Any:
        if self._take("!"):
            return not self._one()
        if self._take("("):
            found = self._or()
            assert self._take(")")
            return found
        token = self._tokens[self._at]
        self._at += 1
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if self._take("("):
            given = []
            while not self._take(")"):
                given.append(self._or())
                self._take(",")
            return self._call(token, given)
        return self._named(token)

    def _call(self, name: str, given: list[Any]) -> Any:
        if name == "startsWith":
            return str(given[0] or "").lower().startswith(str(given[1]).lower())
        if name == "contains":
            return str(given[1]).lower() in str(given[0] or "").lower()
        assert name in ("always", "failure", "cancelled", "success"), name
        status = self._context["job"]["status"]
        return True if name == "always" else status == {"success": "success"}.get(name, name)

    def _named(self, name: str) -> Any:
        found: Any = self._context
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


def filled(text: Any, context: Mapping[str, Any]) -> str:
    """A value of a workflow with its expressions evaluated."""

    def one(match: re.Match[str]) -> str:
        found = Expression(match[1].strip(), context).value()
        return {True: "true", False: "false", None: ""}.get(found, str(found)) if not isinstance(found, str) else found

    return re.sub(r"\$\{\{(.*?)\}\}", one, str(text), flags=re.DOTALL)


@dataclass
class Step:
    """What became of a step. `argv` is what its shell started."""

    name: str
    outcome: str
    argv: list[str] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)
    """Its environment, or what an action was given."""


@dataclass
class Run:
    """What became of a job."""

    steps: list[Step] = field(default_factory=list)
    uploads: dict[str, Path] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    handed: dict[str, str] = field(default_factory=dict)
    """What the job hands on to others."""
    status: str = "success"
    skipped: bool = False

    def step(self, name: str) -> Step:
        """The step of this name."""
        return next(step for step in self.steps if step.name == name)


class Runner:
    """Runs a workflow's first job, or the steps of a composite action, in a folder."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        run: Callable[[list[str], Mapping[str, str]], int] | None = None,
    ) -> None:
        self.folder, self.environment = folder, dict(environment)
        self._run = run or self.started
        self._tools = folder / ".tools"
        self._tools.mkdir(exist_ok=True)
        for name in ("dialtone", "python"):
            self.tool(name, _NOTE)

    def tool(self, name: str, script: str) -> None:
        """Put a program on the PATH of the steps."""
        (self._tools / name).write_text(script)
        (self._tools / name).chmod(0o755)

    def job(self, workflow: Path, name: str, **context: Any) -> Run:
        """Run one job of a workflow."""
        told = yaml.safe_load(workflow.read_text())["jobs"][name]
        outputs = told.get("outputs")
        return self.steps(told["steps"], told.get("if", "true"), told.get("env", {}), outputs, **context)

    def steps(
        self,
        steps: list[dict[str, Any]],
        condition: str = "true",
        env: Any = None,
        outputs: Mapping[str | bool, str] | None = None,
        **context: Any,
    ) -> Run:
        """Run steps; one that fails skips those without a condition of their own, unless it may fail."""
        done = Run()
        known = {"secrets": {}, "vars": {}, "inputs": {}, **context, "job": {"status": "success"}}
        known["steps"] = {}
        if condition != "true" and not Expression(condition, known).value():
            done.skipped = True
            return done
        known["env"] = {k: filled(v, known) for k, v in (env or {}).items()}
        for number, step in enumerate(steps):
            title = step.get("name") or step.get("id") or step.get("uses") or str(number)
            when = str(step.get("if", "success()"))
            if not re.search(r"\b(always|failure|cancelled|success)\(", when):
                when = f"success() && ({when})"
            if not Expression(when, known).value():
                done.steps.append(Step(title, "skipped"))
                known["steps"][step.get("id", title)] = {"outputs": {}, "outcome": "skipped"}
                continue
            given = {k: filled(v, known) for k, v in {**(env or {}), **step.get("env", {})}.items()}
            if "uses" in step:
                done.steps.append(Step(title, "noted", given=self._uses(step, known, done)))
                continue
            made = self._shell(title, step["run"], given, done)
            known["steps"][step.get("id", title)] = {"outputs": done.outputs.get(title, {}), "outcome": made.outcome}
            failed = made.outcome == "failure" and not step.get("continue-on-error")
            if failed and known["job"]["status"] == "success":
                done.status = known["job"]["status"] = "failure"
            done.steps.append(made)
        # `on` is true in the YAML of this parser, and a word in GitHub's.
        told = {"on" if name is True else name: value for name, value in (outputs or {}).items()}
        done.handed = {name: filled(value, known) for name, value in told.items()}
        return done

    def _uses(self, step: dict[str, Any], known: Mapping[str, Any], done: Run) -> dict[str, str]:
        told = {k: filled(v, known) for k, v in step.get("with", {}).items()}
        if "upload" in step["uses"]:
            paths = [self.folder / line for line in told["path"].split()]
            assert any(path.exists() for path in paths), told
            done.uploads["page" if "pages" in step["uses"] else told["name"]] = paths[0]
        return told

    def _shell(self, title: str, script: str, given: dict[str, str], done: Run) -> Step:
        assert "${{" not in script, f"{title}: an expression in a shell"
        noted, output = self.folder / ".noted", self.folder / ".output"
        noted.unlink(missing_ok=True)
        output.write_text("")
        env = {**self.environment, **given, "GITHUB_OUTPUT": str(output)}
        shell = {**env, "PATH": f"{self._tools}:/usr/bin:/bin", "NOTED": str(noted)}
        made = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.folder,
            env=shell,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert made.returncode == 0, made.stderr.decode()
        argv = [part.decode() for part in noted.read_bytes().split(b"\0")[:-1]]
        code = self._run(argv, env)
        done.outputs[title] = outputs(output.read_text())
        return Step(title, "failure" if code else "success", argv, given)

    def started(self, argv: list[str], env: Mapping[str, str]) -> int:
        """`dialtone` in this process, with this environment and in this folder; what is installed is only noted."""
        if argv[:2] == ["python", "-m"] and argv[2] in ("pip", "uv", "sphinx"):
            return 0
        assert argv[0] == "dialtone", argv
        before, here = dict(os.environ), Path.cwd()
        os.environ.clear()
        os.environ.update(env, PATH=f"{Path(sys.executable).parent}:{self._tools}:{before['PATH']}")
        os.chdir(self.folder)
        argv = [sys.executable if part == "python" else part for part in argv[1:]]
        try:
            return cli.main([*argv])
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(before)


def outputs(text: str) -> dict[str, str]:
    """A GITHUB_OUTPUT file."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        name, _, mark = line.partition("<<")
        value = []
        for inner in lines:
            if inner == mark:
                break
            value.append(inner)
        found[name] = "\n".join(value)
    return found


def event(folder: Path, payload: Mapping[str, Any]) -> str:
    """A file with an event's payload."""
    path = folder / ".event.json"
    path.write_text(json.dumps(payload))
    return str(path)
