"""Writes the pages of a drill beside its data, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dialtone.report.pages import drilled
from dialtone.report.pages.drill_page import drill_page
from dialtone.report.pages.drill_text import drill_text


def drill_report(document: Path) -> list[Path]:
    """`drill.html` and `drill.md` of a `drill.json`, beside it. Raises OSError or ValueError."""
    told, earlier = drilled.read(document)
    made = {".html": drill_page(told, earlier), ".md": drill_text(told, earlier)}
    return [put(document.with_suffix(suffix), text) for suffix, text in made.items()]


def put(path: Path, text: str) -> Path:
    """Write a file whole or not at all; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)
    return path


def read_json(path: Path) -> dict[str, Any]:
    """A document of the build folder; empty where there is none or it cannot be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
