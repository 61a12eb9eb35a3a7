"""Webhook signatures, one file per scheme; a plain HMAC scheme of another provider needs only options in a profile."""

from __future__ import annotations

from typing import Any, Protocol

from dialtone.signing import hmac, retell, standard_webhooks, stripe, telnyx


class Scheme(Protocol):
    """How one provider signs its events."""

    @property
    def stale_after(self) -> float:
        """Seconds after which a signature has to be refused."""
        ...

    def sign(self, body: bytes, *, key: str, at: float, event_id: str) -> dict[str, str]:
        """The headers that prove a body, signed at the Unix time `at`. Raises ValueError for a malformed key."""
        ...

    def other_key(self, key: str) -> str:
        """A key of the same form that is not `key`."""
        ...


_SCHEMES: dict[str, Scheme] = {
    "stripe": stripe.Stripe(),
    "telnyx": telnyx.Telnyx(),
    "retell": retell.Retell(),
    "standard-webhooks": standard_webhooks.StandardWebhooks(),
}


def scheme(name: str) -> Scheme:
    """A built-in scheme by name; raises KeyError with the names that there are."""
    if name not in _SCHEMES:
        raise KeyError(f"no signing scheme {name!r}; there is {', '.join(sorted(_SCHEMES))}")
    return _SCHEMES[name]


def configured(**options: Any) -> Scheme:
    """A plain HMAC scheme from a profile's options; see `dialtone.signing.hmac.Hmac`."""
    return hmac.Hmac(**options)
