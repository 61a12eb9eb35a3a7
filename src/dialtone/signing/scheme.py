"""What a signing scheme is."""

from __future__ import annotations

from typing import Protocol


class Scheme(Protocol):
    """How one provider signs the webhook events that it sends."""

    @property
    def stale_after(self) -> float:
        """Seconds after which a receiver has to refuse a signature; infinite where the scheme signs no time."""
        ...

    @property
    def signs(self) -> frozenset[str]:
        """What of a delivery the signature covers: `body` (its bytes), `form` (its names and values), `timestamp`,
        `id`, `url`; nothing where a secret is just shown."""
        ...

    def sign(self, body: bytes, *, key: str, at: float, event_id: str, url: str = "") -> dict[str, str]:
        """The headers that sign `body`, sent to `url`, at `at` (Unix seconds). Raises ValueError for a key of the
        wrong form, and Unarmed where the scheme cannot do it."""
        ...

    def other_key(self, key: str) -> str:
        """A key of the same form that is not this one, always the same for one key."""
        ...
