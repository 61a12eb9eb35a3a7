"""Telnyx: call control commands and outgoing SMS (API v2, bearer key; developers.telnyx.com)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import httpx

from dialtone_receptionist.defects import on
from dialtone_receptionist.providers.outgoing import Outgoing, Repeat


@dataclass(frozen=True, slots=True, repr=False)
class Telnyx:
    """The account's API; `seconds` for one command or message."""

    outgoing: Outgoing
    base: str
    api_key: str
    seconds: float = 3.0

    async def command(self, call_control_id: str, action: str, command_id: str, **body: str) -> bool:
        """Send a command to a live call; whether it was taken.

        `command_id` makes a repetition harmless: Telnyx drops one that it has seen within 60 s. Raises `OutgoingError`.
        """
        url = f"{self.base}/v2/calls/{quote(call_control_id, safe='')}/actions/{action}"
        repeat: Repeat = "never" if on("command-not-repeated") else "always"
        return (await self._post(url, {**body, "command_id": command_id}, self.api_key, repeat)).is_success

    async def send_message(self, sender: str, to: str, text: str, api_key: str = "") -> httpx.Response:
        """Send an SMS; the answer's `data.id` names the message. Raises `OutgoingError`."""
        body = {"from": sender, "to": to, "text": text}
        return await self._post(f"{self.base}/v2/messages", body, api_key or self.api_key)

    async def _post(self, url: str, body: dict[str, str], api_key: str, repeat: Repeat = "never") -> httpx.Response:
        headers = {"Authorization": f"Bearer {api_key}"}
        total = None if on("no-timeout-telnyx") else self.seconds
        return await self.outgoing.call("telnyx", "POST", url, total=total, repeat=repeat, json=body, headers=headers)
