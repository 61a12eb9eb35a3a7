"""Providers whose SDK in an application's dependencies says that it depends on them: one row each.

The probe is the provider's cheapest read, as its own documentation tells it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sdk:
    """A provider: the packages of its SDK in npm and PyPI, and what a profile says of it."""

    name: str
    packages: frozenset[str]
    base_url: str
    probe: str
    grant: str
    narrow: str | None = None

    @property
    def credential(self) -> str:
        """The name of the prober's own credential."""
        return f"{self.name}_probe_key"

    @property
    def variable(self) -> str:
        """The variable of the environment that holds it."""
        return f"PRODUCTION_{self.name.upper()}_PROBE_KEY"


SDKS = (
    Sdk(  # https://docs.stripe.com/keys
        "stripe",
        frozenset({"stripe"}),
        "https://api.stripe.com",
        "/v1/balance",
        "a restricted key (rk_) that reads Balance and nothing else",
        "^rk_(live|test)_",
    ),
    Sdk(  # https://docs.retellai.com/api-references
        "retell",
        frozenset({"retell-sdk"}),
        "https://api.retellai.com",
        "/get-concurrency",
        "an API key of its own, so that it can be revoked alone, and not the one with the webhook badge",
    ),
    Sdk(  # https://developers.telnyx.com/api
        "telnyx",
        frozenset({"telnyx"}),
        "https://api.telnyx.com",
        "/v2/balance",
        "an API key of its own, so that it can be revoked alone",
    ),
)


def sdks(packages: Iterable[str]) -> list[Sdk]:
    """Those among an application's dependencies."""
    names = set(packages)
    return [sdk for sdk in SDKS if sdk.packages & names]
