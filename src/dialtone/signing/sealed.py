"""Sealed boxes: anybody who has the public half seals, only who has the other half reads.

libsodium's `crypto_box_seal`: https://doc.libsodium.org/public-key_cryptography/sealed_boxes. A folder travels as a ZIP
archive inside of one.
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

MOST = 500_000_000
"""Bytes that an archive may unpack to."""
MAGIC = b"dialtone-sealed-1\n"


class SealError(Exception):
    """A key or a box that cannot be used; the message says why."""


def new_key() -> tuple[str, str]:
    """A pair: the secret half, and the public one that seals."""
    from nacl.public import PrivateKey

    key = PrivateKey.generate()
    return base64.b64encode(bytes(key)).decode(), base64.b64encode(bytes(key.public_key)).decode()


def public_half(secret: str) -> str:
    """The public half of a secret one. Raises SealError."""
    from nacl.public import PrivateKey

    return base64.b64encode(bytes(PrivateKey(_key(secret)).public_key)).decode()


def seal(content: bytes, recipient: str) -> bytes:
    """Seal for the holder of the other half. Raises SealError."""
    from nacl.public import PublicKey, SealedBox

    return MAGIC + SealedBox(PublicKey(_key(recipient))).encrypt(content)


def unseal(box: bytes, secret: str) -> bytes:
    """What is in it. Raises SealError."""
    from nacl.exceptions import CryptoError
    from nacl.public import PrivateKey, SealedBox

    if not box.startswith(MAGIC):
        raise SealError("this is no sealed file of dialtone")
    try:
        return SealedBox(PrivateKey(_key(secret))).decrypt(box[len(MAGIC) :])
    except CryptoError:
        raise SealError("the key does not open it, or it is damaged") from None


def packed(files: Iterable[Path], root: Path) -> bytes:
    """The files as a ZIP archive, with their paths below `root`."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            archive.write(path, path.relative_to(root).as_posix())
    return made.getvalue()


def unpacked(content: bytes, into: Path) -> list[Path]:
    """Unpack an archive below a folder. Raises SealError for one that would leave it, or is larger than `MOST`."""
    made = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > MOST:
                raise SealError(f"the archive unpacks to more than {MOST:,} bytes")
            for entry in entries:
                path = (into / entry.filename).resolve()
                if not path.is_relative_to(into.resolve()):
                    raise SealError("the archive holds a path that leads out of it")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(entry))
                made.append(path)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as wrong:
        raise SealError(f"no archive that can be read: {wrong}") from None
    return made


def _key(text: str) -> bytes:
    try:
        found = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != 32:
        raise SealError("that is no key: `dialtone export --new-key` makes a pair")
    return found
