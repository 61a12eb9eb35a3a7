"""The site of these pages: `make docs`. Sphinx with MyST and Furo; a reader's browser loads nothing from elsewhere."""

from __future__ import annotations

import argparse
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dialtone
from dialtone import cli

if TYPE_CHECKING:
    from sphinx.application import Sphinx

os.environ["COLUMNS"] = "100"  # the width of the commands' help
os.environ["NO_COLOR"] = "1"

project = "Dialtone"
author = "The Dialtone maintainers"
release = dialtone.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = "Dialtone"
html_show_sourcelink = html_copy_source = html_show_sphinx = False
myst_heading_anchors = 4
suppress_warnings = [
    "misc.highlighting_failure",  # a provider's answer is shown as it is: status, headers, body
]
autodoc_member_order = "bysource"

_ANCHOR = re.compile(r'^<a id="([\w-]+)"></a>$', re.M)
_COMMANDS = "<!-- commands -->"


@functools.cache
def _anchors() -> dict[str, list[str]]:
    """The anchors that each page sets by hand."""
    return {page.stem: _ANCHOR.findall(page.read_text()) for page in Path(__file__).parent.glob("*.md")}


def _source(_app: Sphinx, name: str, text: list[str]) -> None:
    """Anchors as MyST knows them, one name for the whole site; the help of every command where a page asks for it."""
    for page, anchors in _anchors().items():
        for anchor in anchors:
            text[0] = text[0].replace(f"]({page}.md#{anchor})", f"](#{page}-{anchor})")
    for anchor in _anchors().get(name, ()):
        text[0] = text[0].replace(f"](#{anchor})", f"](#{name}-{anchor})")
    text[0] = _ANCHOR.sub(rf'<a id="\1"></a>\n\n({name}-\1)=', text[0])
    if _COMMANDS in text[0]:
        text[0] = text[0].replace(_COMMANDS, "\n".join(_helps(cli.parser())))


def _helps(parser: argparse.ArgumentParser, depth: int = 2) -> Iterator[str]:
    """A parser's help under its name, then that of its sub-commands."""
    yield f"{'#' * depth} `{parser.prog}`\n\n```text\n{parser.format_help()}```\n"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in dict.fromkeys(action.choices.values()):
                yield from _helps(sub, min(depth + 1, 4))


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls it."""
    app.connect("source-read", _source)
    return {"parallel_read_safe": True}
