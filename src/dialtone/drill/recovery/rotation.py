"""Every secret of an application exchanged at once, as it should be done: two are valid, then the new one alone.

Keys of providers' APIs are valid beside their successors until they are retired; providers sign events with the new
secret from the moment at which the application knows both; the database knows one password at a time, so that it is
changed right before the application is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from secrets import token_hex

from dialtone import signing
from dialtone.drill.recovery.deployment import Deployment
from dialtone.probes.journal import Journal
from dialtone.sandbox.credentials import telnyx_public_key
from dialtone.sandbox.postgres import DATABASE, OWNER


def renewed(old: str) -> str:
    """A secret of the same form: its end is another one."""
    end = token_hex(4)
    return old[:-8] + end if old[-8:] != end else renewed(old)


class Rotation:
    """One rotation. `environment` is what the new revision of the application is told."""

    def __init__(self, deployment: Deployment, journal: Journal) -> None:
        self._deployment, self._journal = deployment, journal
        self.environment: dict[str, str] = {}
        self.signing: dict[str, str] = {}
        """Credentials of the profile with which events are signed after the rotation."""
        self._overlapping: list[str] = []

    def keys(self, variables: Sequence[str]) -> None:
        """Keys of providers' APIs: both are valid from now on."""
        for variable in variables:
            old = self._secret(variable)
            new = self.environment[variable] = self.environment.get(variable) or renewed(old)
            self._overlapping.append(self._journal.rotate(old, new))

    def secrets(self, webhooks: Mapping[str, str]) -> None:
        """Secrets of webhooks, by name of the webhook: the application is told the old one as NAME_PREVIOUS."""
        for webhook, variable in webhooks.items():
            spec = self._deployment.target.webhook(webhook)
            old = self._deployment.target.secret(spec.key)
            new = self.signing.get(spec.key) or self.environment.get(variable) or self._other(webhook, old)
            self.signing[spec.key] = new
            asymmetric = spec.scheme == "telnyx"
            self.environment[variable] = telnyx_public_key(new) if asymmetric else new
            self.environment[f"{variable}_PREVIOUS"] = telnyx_public_key(old) if asymmetric else old

    def own(self, variables: Sequence[str]) -> None:
        """Secrets that the application shares with nobody."""
        for variable in variables:
            self.environment[variable] = token_hex(20)

    def database(self) -> None:
        """Another password for the application's role: connections that stand go on, new ones need it."""
        password = token_hex(16)
        # A password cannot be a parameter; this one is hex digits.
        self._deployment.administrator.write(f"ALTER ROLE {OWNER} PASSWORD '{password}'")
        port = self._deployment.sandbox.ports["postgres"]
        self.environment["DATABASE_URL"] = f"postgresql://{OWNER}:{password}@127.0.0.1:{port}/{DATABASE}"

    def retire(self) -> None:
        """The old keys are refused from now on."""
        for rotation in self._overlapping:
            self._journal.retire(rotation)

    def _secret(self, variable: str) -> str:
        return self._deployment.sandbox.env[
            f"SANDBOX_{'UPSTASH_TOKEN' if variable == 'REDIS_REST_TOKEN' else variable}"
        ]

    def _other(self, webhook: str, old: str) -> str:
        scheme = self._deployment.target.webhook(webhook).scheme
        made = signing.scheme(scheme) if isinstance(scheme, str) else signing.configured(**scheme)
        return made.other_key(old)
