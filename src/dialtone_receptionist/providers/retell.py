"""Retell: registering a phone call for an agent (api.retellai.com, bearer key)."""

from __future__ import annotations

from dataclasses import dataclass

from dialtone_receptionist.defects import on
from dialtone_receptionist.providers.outgoing import Outgoing

SIP_HOST = "sip.retellai.com"
"""Where a registered call is transferred to: `sip:<call_id>@` this host."""


@dataclass(frozen=True, slots=True, repr=False)
class Retell:
    """The account's API. The caller hears nothing for the `seconds` that it may take."""

    outgoing: Outgoing
    base: str
    api_key: str
    seconds: float = 2.5

    async def register_call(self, agent_id: str, from_number: str, to_number: str) -> str | None:
        """Announce a call to an agent: its call id, or None when Retell refuses. Raises `OutgoingError`.

        Repeated only if it did not arrive: Retell has no idempotency key, and a second registration is a second call.
        """
        answer = await self.outgoing.call(
            "retell",
            "POST",
            f"{self.base}/v2/register-phone-call",
            total=None if on("no-timeout-retell") else 0.2 if on("retell-impatient") else self.seconds,
            repeat="unsent",
            headers={"Authorization": f"Bearer {self.api_key}"},
            json={
                "agent_id": agent_id,
                "from_number": from_number,
                "to_number": to_number,
                "direction": "inbound",
            },
        )
        if not answer.is_success:
            return None
        try:
            call_id = answer.json()["call_id"]
        except (ValueError, KeyError, TypeError):
            return None
        return str(call_id)
