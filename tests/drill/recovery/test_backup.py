"""A backup that is not whole is refused, and what is missing is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dialtone.drill.recovery.backup import Backup, BackupRefused, Taking
from dialtone.drill.recovery.wal import WalError, dropped, segment, whole
from dialtone.sandbox import Sandbox


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    data = change(path.read_bytes())
    path.unlink()  # it may be a link
    path.write_bytes(data)


def _segments(backup: Backup) -> list[Path]:
    return sorted(p for p in backup.archive.iterdir() if re.fullmatch(r"[0-9A-F]{24}", p.name))


def _lose_a_file(backup: Backup) -> None:
    (backup.folder / "global" / "1262").unlink()


def _cut_a_file(backup: Backup) -> None:
    _rewrite(backup.folder / "global" / "1262", lambda data: data[:-100])


def _change_a_file(backup: Backup) -> None:
    _rewrite(backup.folder / "global" / "1262", lambda data: bytes([data[0] ^ 1]) + data[1:])


def _lose_the_manifest(backup: Backup) -> None:
    (backup.folder / "backup_manifest").unlink()


def _cut_the_manifest(backup: Backup) -> None:
    _rewrite(backup.folder / "backup_manifest", lambda data: data[: len(data) // 2])


def _lose_its_log(backup: Backup) -> None:
    for path in _segments(backup)[:-1]:
        path.unlink()


def _lose_a_segment(backup: Backup) -> None:
    _segments(backup)[-2].unlink()


def _cut_a_segment(backup: Backup) -> None:
    _rewrite(_segments(backup)[-1], lambda data: data[:100_000])


def _cut_a_head(backup: Backup) -> None:
    _rewrite(_segments(backup)[-1], lambda data: data[:10])


def _swap_a_segment(backup: Backup) -> None:
    _rewrite(_segments(backup)[-1], lambda _: _segments(backup)[-2].read_bytes())


def _empty_the_archive(backup: Backup) -> None:
    for path in _segments(backup):
        path.unlink()


DAMAGES: dict[Callable[[Backup], None], str] = {
    _lose_a_file: r'"global/1262" is present in the manifest but not on disk',
    _cut_a_file: r'"global/1262" has size \d+ on disk but size \d+ in the manifest',
    _change_a_file: r'checksum mismatch for file "global/1262"',
    _lose_the_manifest: "has no manifest: it was not finished",
    _cut_the_manifest: "manifest cannot be read",
    _lose_its_log: r"begins with \w{24}: the WAL from the backup on to there is missing",
    _lose_a_segment: r"has a gap: nothing between \w{24} and \w{24}",
    _cut_a_segment: r"\w{24} is cut off: 100,000 of 1,048,576 bytes",
    _cut_a_head: r"\w{24} is cut off: 10 bytes",
    _swap_a_segment: "does not hold what its name says",
    _empty_the_archive: "holds no WAL from the beginning of the backup on",
}


def test_a_whole_backup_is_accepted(backup: Backup) -> None:
    """With the log from its beginning on, without a gap."""
    segments = backup.verified()
    assert len(segments) >= 3
    assert {s.size for s in segments} == {1024 * 1024}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.items(), ids=[d.__name__.strip("_") for d in DAMAGES])
def test_an_incomplete_backup_is_refused(backup: Backup, damage: Callable[[Backup], None], words: str) -> None:
    """Whatever is missing, before anything is restored from it."""
    damage(backup)
    with pytest.raises(BackupRefused, match=words):
        backup.verified()


def test_the_log_tells_what_was_dropped(taken: Backup) -> None:
    """Each of the three tables, by its transaction, in their order."""
    found = list(dropped(taken.verified()))
    assert len(found) >= 3
    assert [d.xid for d in found] == sorted(d.xid for d in found)
    assert all(taken.begun - 1 < d.at for d in found)


def test_another_timeline_is_not_this_one(taken: Backup) -> None:
    """A backup needs the log of its own timeline."""
    with pytest.raises(WalError, match="holds no WAL"):
        whole(taken.archive, 7, 0)


def test_what_is_no_segment_is_told(tmp_path: Path) -> None:
    """A file of the right name and size that holds nothing."""
    path = tmp_path / "000000010000000000000001"
    path.write_bytes(bytes(1024 * 1024))
    with pytest.raises(WalError, match="does not hold what its name says"):
        segment(path)


def test_a_server_that_refuses_is_told(database: Sandbox, tmp_path: Path) -> None:
    """A role that may not replicate: the backup fails in the server's words, and quotes no password."""
    url = database.env["SANDBOX_DATABASE_URL"]
    with pytest.raises(BackupRefused, match=r"the backup failed: .*permission denied") as refused:
        Taking(url, tmp_path / "base", tmp_path).finish()
    assert url.split(":")[2].split("@")[0] not in str(refused.value)
