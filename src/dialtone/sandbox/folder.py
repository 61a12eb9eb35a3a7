"""The run folder: one per sandbox, private, locked for as long as its supervisor lives.

    ${DIALTONE_RUN_DIR:-<tempdir>/dialtone-<uid>}/
        .lock                 held while run folders are made or looked for
        run-<8 hex digits>/   mode 0700
            lock              flock()ed by the supervisor for its whole life: free means that the run is dead
            processes.json    {name: [pid, start time]}
            state.json        written when the sandbox is healthy; see `controller.py`

An flock is released by the kernel when its holder dies, however it dies: there are no stale locks.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN_DIR_VARIABLE = "DIALTONE_RUN_DIR"
_RUN_ID = re.compile(r"run-[0-9a-f]{8}")


def root_folder() -> Path:
    """Where this user's run folders are."""
    chosen = os.environ.get(RUN_DIR_VARIABLE)
    return Path(chosen).absolute() if chosen else Path(tempfile.gettempdir()) / f"dialtone-{os.getuid()}"


def new_run_id() -> str:
    """A fresh name for a run."""
    return f"run-{secrets.token_hex(4)}"


def write_private(path: Path, content: str | bytes) -> Path:
    """Write a file that only this user can read, atomically: a reader sees the old content or the new one."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)
    return path


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run folder whose lock this process holds; the lock ends with `remove()` or with the process."""

    path: Path
    lock: int

    @property
    def run_id(self) -> str:
        """The name of the run."""
        return self.path.name

    def write(self, name: str, content: Any) -> Path:
        """Write `content` as JSON into a private file of the folder."""
        return write_private(self.path / name, json.dumps(content, indent=1))

    def empty(self) -> None:
        """Remove everything in the folder but the lock."""
        for entry in sorted(self.path.iterdir()) if self.path.exists() else ():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != "lock":
                entry.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder, the lock last so that no sweep takes it for dead before; then give the lock back."""
        self.empty()
        root = self.path.parent
        with _root_lock(root):
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self.lock)


def create(run_id: str) -> RunFolder:
    """Make and lock the folder of a new run. Raises OSError when the place belongs to somebody else."""
    root = root_folder()
    with _root_lock(root):
        path = root / run_id
        path.mkdir(mode=0o700)
        lock = _lock(path, wait=True)
        if lock is None:
            raise FileNotFoundError(f"{path} was removed while it was made")
        return RunFolder(path, lock)


def dead_runs() -> list[RunFolder]:
    """The folders of runs whose supervisor is gone, each locked now, so that two sweeps share the work."""
    root = root_folder()
    if not root.is_dir():
        return []
    with _root_lock(root):
        taken = [(path, _lock(path)) for path in _runs(root)]
    return [RunFolder(path, lock) for path, lock in taken if lock is not None]


def live_runs() -> list[Path]:
    """The folders of runs whose supervisor lives."""
    root = root_folder()
    return [path for path in _runs(root) if is_live(path)] if root.is_dir() else []


def is_live(path: Path) -> bool:
    """Whether the supervisor of this run folder lives."""
    if not (path / "lock").exists():
        return False
    descriptor = _lock(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _runs(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if _RUN_ID.fullmatch(path.name) and path.is_dir())


def _lock(path: Path, *, wait: bool = False) -> int | None:
    """A descriptor that holds the folder's lock; None when somebody else holds it (a look at it lasts no time)."""
    import fcntl

    try:
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:  # another sweep removed it meanwhile
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def _root_lock(root: Path) -> Iterator[None]:
    """Hold the root's own lock; afterwards remove the root when it is the default one and nothing is left in it."""
    import fcntl

    while True:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign(root)
        try:
            descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The last run may have removed the folder while this one waited: then this lock locks nothing.
        if _is_still(root / ".lock", descriptor):
            break
        os.close(descriptor)
    try:
        yield
        if not os.environ.get(RUN_DIR_VARIABLE) and [entry.name for entry in root.iterdir()] == [".lock"]:
            (root / ".lock").unlink()
            root.rmdir()
    finally:
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _refuse_foreign(root: Path) -> None:
    """The default place is in a folder that everybody may write to: accept only a real folder of this user's."""
    status = root.lstat()
    if root.is_symlink() or status.st_uid != os.getuid():
        raise PermissionError(f"{root} belongs to somebody else; set {RUN_DIR_VARIABLE} to a folder of your own")
    if status.st_mode & 0o077 and not os.environ.get(RUN_DIR_VARIABLE):
        root.chmod(0o700)
