"""A whole copy of a history that is a file, for an artifact; and whether a copy can be used."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from dialtone.history.engines import StoreError
from dialtone.history.store import Store


def snapshot(of: Path, to: Path) -> None:
    """Copy a history while nobody has to stop writing it. Raises StoreError."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.unlink(missing_ok=True)
    try:
        connection = sqlite3.connect(of, timeout=10)
        try:
            connection.execute("VACUUM INTO ?", (str(to),))
        finally:
            connection.close()
    except sqlite3.Error as wrong:
        raise StoreError(f"history {of}: {wrong}") from None


def usable(path: Path) -> None:
    """Open it, and bring an older one to the newest schema. Raises StoreError: damaged, or of a newer program."""
    Store.open(path).close()
