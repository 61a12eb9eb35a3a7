"""Who may use the account: refresh tokens, and the access tokens made from them.

Each refresh token is a grant of one Google account to one client. Three are known from the start, of three kinds, and
so is everything that begins with one of them and a hyphen: as many grants of a kind as anybody needs.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Literal

from dialtone.standins.state import Bounded, Clock

LIFETIME = 3599
"""Seconds that an access token is valid, as Google counts them (googleapis/google-auth-library-python, tests)."""

SLOW = 8.0
"""Seconds that a calendar answer takes for access tokens made from a slow grant."""

Kind = Literal["lasting", "rotating", "slow"]
_GENERATION = re.compile(r"-rotated\d+$")


@dataclass(frozen=True, slots=True)
class Access:
    """One access token's grant and when it expires, on the monotonic clock."""

    grant: str
    slow: bool
    expires: float


@dataclass(frozen=True, slots=True)
class Issued:
    """A new access token; a new refresh token only where the grant rotates or is new."""

    access_token: str
    refresh_token: str | None = None


class Grants:
    """The refresh and access tokens of one account."""

    def __init__(self, lasting: str, rotating: str, slow: str, clock: Clock) -> None:
        self._bases: dict[str, Kind] = {lasting: "lasting", rotating: "rotating", slow: "slow"}
        self._lasting, self._clock = lasting, clock
        self._used: Bounded[bool] = Bounded()
        self._revoked: Bounded[bool] = Bounded()
        self._access: Bounded[Access] = Bounded()
        self._generation = 0

    def refresh(self, refresh_token: str) -> Issued | None:
        """A new access token; None for a token that is unknown, revoked or, where it rotates, used before."""
        kind, grant = self._kind(refresh_token), _grant(refresh_token)
        if kind is None or grant in self._revoked or refresh_token in self._used:
            return None
        successor = None
        if kind == "rotating":
            self._used[refresh_token] = True
            self._generation += 1
            successor = f"{grant}-rotated{self._generation}"
        return self._issue(grant, kind, successor)

    def grant(self) -> Issued:
        """A new grant, as consent gives it."""
        refresh_token = f"{self._lasting}-{secrets.token_hex(12)}"
        return self._issue(refresh_token, "lasting", refresh_token)

    def access(self, access_token: str) -> Access | None:
        """What an access token is good for; None when it is unknown, expired or revoked."""
        access = self._access.get(access_token)
        if access is None or access.expires <= self._clock.monotonic() or access.grant in self._revoked:
            return None
        return access

    def revoke(self, token: str) -> bool:
        """End the grant of a refresh or an access token; False when there is none."""
        access = self.access(token)
        grant = access.grant if access else _grant(token)
        if self._kind(grant) is None or grant in self._revoked:
            return False
        self._revoked[grant] = True
        return True

    def tail(self, token: str) -> str:
        """What of a token may be shown: the part that names one grant among those of its kind, or nothing."""
        return next((token.removeprefix(base) for base in self._bases if token.startswith(base + "-")), "")

    def _kind(self, refresh_token: str) -> Kind | None:
        for base, kind in self._bases.items():
            if refresh_token == base or refresh_token.startswith(base + "-"):
                return kind
        return None

    def _issue(self, grant: str, kind: Kind, shown: str | None) -> Issued:
        access_token = f"ya29.a0{secrets.token_urlsafe(48)}"
        self._access[access_token] = Access(grant, kind == "slow", self._clock.monotonic() + LIFETIME)
        return Issued(access_token, shown)


def _grant(refresh_token: str) -> str:
    """The first refresh token of a grant, which names it through all rotations."""
    return _GENERATION.sub("", refresh_token)
