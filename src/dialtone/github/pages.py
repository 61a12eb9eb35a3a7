"""What GitHub Pages publish: customers' status, the report, the last drill, beside a site that is there already.

A repository has one site, and each deployment replaces the whole of it: so one workflow puts everything together. A
site is public even where its repository is private, unless GitHub says otherwise (`public` of
https://docs.github.com/rest/pages/pages#get-a-github-pages-site: Enterprise Cloud alone can close it). Only such a one
gets the full report; any other gets what the list in `report.public` allows.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from dialtone.github.api import GitHubError
from dialtone.github.job import Job, JobError, recall, remember
from dialtone.report.export import pages as allowed
from dialtone.report.pages import command
from dialtone.report.pages.paint import page
from dialtone.report.pages.written import put, read_json
from dialtone.report.public import FORM
from dialtone.report.site import GATE

OFF = (
    "Pages are off: nothing is published. To turn them on: Settings, Pages, Build and deployment, Source: GitHub"
    " Actions; then start this workflow again"
)
_NONE = "no run has left one yet"
DRILL, DRILL_PAGE = Path("drill-public.json"), Path("drill.html")
"""What `fetch` leaves of the last drill in the build folder."""


def ask(job: Job) -> str:
    """Where Pages are served, empty where a workflow cannot publish any; remembers who may see them."""
    try:
        told = job.api.ask("GET", "/pages") or {}
    except GitHubError as wrong:
        if wrong.status != 404:
            raise
        told = {}
    by_workflow = told.get("build_type") in (None, "workflow")  # a branch that Pages publish takes no deployment
    where = str(told.get("html_url") or "") if by_workflow else ""
    remember(pages={"url": where, "closed": job.private and told.get("public") is False})
    return where


def site(target: str, to: Path, *, title: str, build: Path = Path("build")) -> list[str]:
    """Write what is published into a folder; what is told of it. Raises JobError where the last site is to stay."""
    known = recall()
    closed = bool(known.get("pages", {}).get("closed"))
    shown = "whole: readers of the repository alone see it" if closed else "states alone: anybody can see it"
    had = {
        "status": (_status(build, target, to / "status", title), "what customers see"),
        "report": (_report(build, target, to / "report", closed=closed), shown),
        "drill": (_drill(build, to / "drill", closed=closed), shown),
    }
    links = [(name, what) for name, (there, what) in had.items() if there]
    if closed and (build / "allure-report/index.html").is_file():
        _copied(build / "allure-report/index.html", to / "report/allure/index.html")
        links.append(("report/allure", "Allure"))
    if not (to / "index.html").is_file():
        put(to / "index.html", page(title, _index(title, links)))
    told = [f"`{name}/`: {what}" for name, what in links]
    none = {"report": _of_another(build, target), "drill": f"{_NONE}, or it is older than GitHub keeps any, 90 days"}
    told += [f"`{name}/` is left out: {none.get(name) or _NONE}" for name, (there, _) in had.items() if not there]
    if (build / "allure-results").is_dir() and not (build / "allure-report/index.html").is_file():
        told.append("Allure's report could not be made: the step Allure says why")
    with contextlib.suppress(OSError):
        told.append((build / GATE).read_text().strip())
    url = str(known.get("pages", {}).get("url") or "")
    return [f"at {url}" if url else OFF, *told]


def _status(build: Path, target: str, to: Path, title: str) -> bool:
    if not _reported(build=build, target=target, to=to, public=True, title=title):
        return False
    _copied(to / "status.html", to / "index.html")
    return True


def _report(build: Path, target: str, to: Path, *, closed: bool) -> bool:
    if closed:
        if not _reported(build=build, target=target, to=to, public=False, title=""):
            return False
        _copied(to / "report.html", to / "index.html")
        return True
    return not _of_another(build, target) and _allowed(read_json(build / "verdicts.json"), to)


def _of_another(build: Path, target: str) -> str:
    """What is wrong with the target of the last report; empty for nothing: each workflow of checks leaves one."""
    told = read_json(build / "verdicts.json").get("target", target)
    return "" if told == target else f"the last one is of {told}"


def _drill(build: Path, to: Path, *, closed: bool) -> bool:
    if closed and (build / DRILL_PAGE).is_file():
        _copied(build / DRILL_PAGE, to / "index.html")
        return True
    return _allowed(read_json(build / DRILL), to)


def _allowed(document: Mapping[str, Any], to: Path) -> bool:
    """Made anew by the list: what an older program left is not handed on as it is."""
    if not document.get("checks") or document.get("form", FORM) != FORM:
        return False
    for name, text in allowed(document).items():
        put(to / name, text)
    return True


def _reported(**told: Any) -> bool:
    """`dialtone report`; whether anything is known. Raises JobError."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = command.run(argparse.Namespace(store=None, config=None, allure=False, **told))
    if code not in (0, 1):
        raise JobError(said.getvalue().strip())
    return code == 0


def _copied(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def _index(title: str, links: list[tuple[str, str]]) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1><main><ul>"
    yield from (f'<li><a href="{name}/">{name}</a>: {escape(what)}' for name, what in links)
    yield "</ul></main>"
