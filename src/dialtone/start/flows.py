"""`dialtone workflows`: the GitHub workflows of a profile, from one template each.

A workflow gets the variables and secrets that its target's checks need, by name, and no other: written anew when a
check needs one more. `dialtone init` writes the same.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as packaged
from pathlib import Path

from dialtone import __version__
from dialtone.catalog import CatalogError, collected, rows
from dialtone.target import ProfileError, Target
from dialtone.target.load import alerting, describe, nearest, raw

FOLDER = Path(".github/workflows")
CHECKLIST = Path(".github/drill-checklist.md")
INSTALL = 'python -m pip install -q uv && python -m uv pip install -q --python "$(command -v python)" '
"""uv takes a fifth of pip's time: 3 s of CPU against 15."""
EXTRAS = {
    "checks": "allure,database,history,signing",
    "gate": "database,signing",
    "drill": "xdist,sandbox",
    "pages": "database,history,signing",
}
_VARIABLE = re.compile(r"\$\{(\w+)\??\}")
_ADDRESS = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a target needs of its environment: `variables` are no secrets, `address` is the one of its base_url."""

    target: str
    variables: Sequence[str] = ()
    secrets: Sequence[str] = ()
    address: str = ""


def needs(config: Path, target: str, checks: Sequence[str], *, alerts: bool = False) -> Needs:
    """What the checks need on a target of a profile, and its alerts. Raises ProfileError, CatalogError."""
    known = describe(config, target)
    found = rows(collected(checks, target, config), known)
    asked = {name for row in found if row.runs for name in row.variables}
    asked |= _common(known)
    told = raw(config, target)
    named = set(_VARIABLE.findall(str(told)))
    base = _ADDRESS.fullmatch(str(told.get("base_url", "")))
    credentials = set(known.profile.credentials.values())
    secret = asked & credentials
    if alerts:
        channels = alerting(config).channels.values()
        secret |= {name for c in channels for name in (c.secret, c.signing) if name}
    return Needs(target, sorted(named - credentials), sorted(secret), base[1] if base else "")


def _common(known: Target) -> set[str]:
    """Variables of the credentials that go with every request: the prober's own key, and those in headers."""
    told = [v.removeprefix("credential:").rstrip("?") for v in known.profile.headers.values() if ":" in v]
    return {known.profile.credentials[name] for name in ("synthetic_key", *told) if name in known.profile.credentials}


def environment(needed: Iterable[Needs], without: str = "") -> list[str]:
    """Lines of a step's `env`: variables of the repository, then its secrets."""
    variables = {name for n in needed for name in n.variables} - {without}
    secrets = {name for n in needed for name in n.secrets}
    return [f"{v}: ${{{{ vars.{v} }}}}" for v in sorted(variables)] + [
        f"{s}: ${{{{ secrets.{s} }}}}" for s in sorted(secrets)
    ]


def render(name: str, values: Mapping[str, str | Sequence[str]]) -> str:
    """A template with its values. A line that is nothing but a name of no lines goes, with the comment above it."""
    text = (packaged("dialtone.start") / "workflows" / f"{name}.yml").read_text()
    made: list[str] = []
    for line in text.splitlines():
        alone = re.fullmatch(r"(\s*)@(\w+)@", line)
        if alone:
            told = values.get(alone[2], ())
            lines = [told] if isinstance(told, str) and told else list(told)
            if not lines and made and made[-1].strip().startswith("# What is not set"):
                made.pop()
            made += [alone[1] + one for one in lines]
        else:
            made.append(re.sub(r"@([A-Z]+)@", lambda m: str(values.get(m[1], "")), line))
    return "\n".join(made) + "\n"


def checks(needed: Needs, install: str) -> str:
    """Watches a target."""
    when = f"if: vars.{needed.address} != ''" if needed.address else ""
    told = {"TARGET": needed.target, "IF": when, "INSTALL": install}
    allure = " --alluredir build/allure-results" if "allure" in install else ""
    return render("checks", {**told, "ENVIRONMENT": environment([needed]), "ALLURE": allure})


def gate(preview: Needs, baseline: Needs | None, install: str) -> str:
    """Gates a preview beside a baseline."""
    told = {"TARGET": preview.target, "URL": preview.address, "INSTALL": install}
    beside = f" --baseline {baseline.target}" if baseline else ""
    needed = [preview, *([baseline] if baseline else [])]
    return render("gate", {**told, "BASELINE": beside, "ENVIRONMENT": environment(needed, preview.address)})


def drill(targets: Sequence[str], install: str) -> str:
    """Holds the experiments."""
    return render("drill", {"TARGETS": ", ".join(targets), "INSTALL": install})


def pages(target: str, install: str, root: Path) -> str:
    """Publishes what people open, beside the site that `make docs` builds in build/site, where there is one."""
    build = root / "Makefile"
    own = (root / "docs/conf.py").is_file() and build.is_file() and "build/site" in build.read_text()
    documents = ["- name: Documents", "  if: steps.pages.outputs.on == 'true'", "  run: make docs"] if own else []
    return render("pages", {"TARGET": target, "INSTALL": install, "DOCUMENTS": documents})


def installing(flow: str, package: str = "") -> str:
    """The step that installs: `package` with `{extras}` in it, or this version of this package."""
    told = package or f"'pytest-dialtone[{{extras}}]=={__version__}'"
    return INSTALL + told.replace("{extras}", EXTRAS[flow])


def checklist() -> str:
    """What only people can do."""
    return (packaged("dialtone.start") / "workflows" / "drill-checklist.md").read_text()


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "workflows",
        help="write the GitHub workflows of a profile: checks, gate, drill, pages",
        description="Writes .github/workflows/checks.yml, gate.yml (where the profile has a preview) and drill.yml"
        " (where there are experiments) from dialtone.toml: each gets the variables and secrets that its checks need,"
        " by name. With --pages, or where it is there already, pages.yml too, which replaces what GitHub Pages publish"
        " of the repository. Exit codes: 0 written, or nothing to do; 1 with --check: they differ; 4 the profile cannot"
        " be read.",
    )
    parser.add_argument("--config", type=Path, default=None, help="the profile file (default: dialtone.toml)")
    parser.add_argument("--check", action="store_true", help="write nothing; say whether they are as they would be")
    parser.add_argument("--target", default="production", metavar="NAME", help="what is watched (production)")
    parser.add_argument("--preview", default="preview", metavar="NAME", help="what is gated (preview)")
    parser.add_argument("--pages", action="store_true", help="pages.yml too: status, report and drill by GitHub Pages")
    parser.add_argument(
        "--package",
        default="",
        metavar="WHAT",
        help="what is installed (this version of the package);"
        " {extras} in it is what a workflow needs: -c constraints.txt '.[{extras}]'",
    )
    parser.set_defaults(run=_run)


def made(config: Path, target: str, preview: str, package: str = "", *, publish: bool = False) -> dict[Path, str]:
    """The files of a profile, path -> text. `publish`: by Pages, even where that was not done yet.

    Raises ProfileError, CatalogError.
    """
    root = config.resolve().parent
    paths = [str(root / "checks")]
    targets = raw(config)
    watched = needs(config, target, paths, alerts=True)
    found = {FOLDER / "checks.yml": checks(watched, installing("checks", package))}
    if preview in targets:
        live = raw(config, target).get("base_url", "")
        beside = Needs(target, _VARIABLE.findall(str(live)))  # only asked for pages, by GET
        seen = needs(config, preview, [*paths, "--gate"])
        if not seen.address:
            raise ProfileError(f'target.{preview}.base_url has to be a variable: base_url = "${{PREVIEW_URL}}"')
        found[FOLDER / "gate.yml"] = gate(seen, beside, installing("gate", package))
    if (root / "chaos").is_dir():
        others = [name for name, table in targets.items() if table.get("kind") == "sandbox"]
        found[FOLDER / "drill.yml"] = drill(others, installing("drill", package))
        found[CHECKLIST] = checklist()
    if publish or (root / FOLDER / "pages.yml").is_file():
        found[FOLDER / "pages.yml"] = pages(target, installing("pages", package), root)
    return found


def _run(args: argparse.Namespace) -> int:
    config = args.config or nearest()
    try:
        found = made(config, args.target, args.preview, args.package, publish=args.pages)
    except (ProfileError, CatalogError) as wrong:
        print(wrong, file=sys.stderr)
        return 4
    root, code = config.resolve().parent, 0
    for path, text in found.items():
        old = (root / path).read_text() if (root / path).exists() else ""
        if path == CHECKLIST and old:  # the team's own, once it is there
            continue
        if old == text:
            print(f"as it is: {path}")
        elif args.check:
            code = 1
            sys.stdout.writelines(
                difflib.unified_diff(old.splitlines(True), text.splitlines(True), str(path), "as it would be")
            )
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            print(f"written: {path}")
    return code
