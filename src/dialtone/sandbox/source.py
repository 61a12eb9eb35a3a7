"""A hash over everything that a defect round depends on, so that results may be kept while nothing changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

SOURCES = ("src", "checks", "dialtone.toml", "conftest.py")


def source_hash(root: Path, names: Iterable[str] = SOURCES, *, salt: str = "") -> str:
    """SHA-256 over the names and contents of all files below `names`, in order; compiled files do not count."""
    digest = hashlib.sha256(salt.encode())
    for path in _files(root, names):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _files(root: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in sorted(names):
        place = root / name
        below = sorted(place.rglob("*")) if place.is_dir() else [place]
        yield from (path for path in below if path.is_file() and "__pycache__" not in path.parts)
