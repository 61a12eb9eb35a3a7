"""Call control: calls and the commands to them.

A call that was not dialled here may be commanded as well, since its webhook may have come from elsewhere, until it is
hung up.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping

from dialtone.standins.standin import Routes
from dialtone.standins.state import Bounded, Clock
from dialtone.standins.telnyx.wire import E164, body_of, error, missing
from dialtone.standins.wire import Answer, Refusal, Request, json_answer

_COMMAND_MEMORY = 60.0
"""Seconds in which a repeated `command_id` is taken for the same command
(https://developers.telnyx.com/docs/voice/programmable-voice/receiving-webhooks)."""

_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "bridge": ("call_control_id",),
    "enqueue": ("queue_name",),
    "gather_using_ai": ("parameters",),
    "gather_using_speak": ("payload", "voice"),
    "record_start": ("channels", "format"),
    "refer": ("sip_address",),
    "reject": ("cause",),
    "send_dtmf": ("digits",),
    "send_sip_info": ("body", "content_type"),
    "speak": ("payload", "voice"),
    "switch_supervisor_role": ("role",),
    "transfer": ("to",),
} | dict.fromkeys(
    "answer client_state_update fork_start fork_stop gather gather_stop gather_using_audio hangup leave_queue"
    " playback_start playback_stop record_pause record_resume record_stop siprec_start siprec_stop streaming_start"
    " streaming_stop suppression_start suppression_stop transcription_start transcription_stop".split(),
    (),
)
"""The commands of a call and the fields that each needs (src/telnyx/types/calls/action_*_params.py)."""


class Calls:
    """Which calls have ended, and which commands were given within the last minute."""

    routes = Routes()

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended: Bounded[bool] = Bounded()
        self._commands: Bounded[float] = Bounded()

    @routes("POST", "/v2/calls")
    def dial(self, request: Request) -> Answer:
        """Start an outgoing call."""
        wanted = body_of(request)
        for field in ("connection_id", "to", "from"):
            if not wanted.get(field):
                raise missing(f"/{field}")
        for field in ("to", "from"):
            number = wanted[field]
            if not isinstance(number, str) or not (E164.fullmatch(number) or number.startswith("sip:")):
                raise Refusal(error(400, "10016", f"/{field}"))
        call = {
            "record_type": "call",
            "call_control_id": f"v3:{secrets.token_urlsafe(40)}",
            "call_leg_id": str(uuid.uuid4()),
            "call_session_id": str(uuid.uuid4()),
            "is_alive": False,
        }
        return json_answer(200, {"data": call})

    @routes("POST", "/v2/calls/{call_control_id}/actions/{action}")
    def command(self, request: Request, call_control_id: str, action: str) -> Answer:
        """A command to a call: 404 for one that there is not, 422 after the call has ended."""
        needed = _ACTIONS.get(action)
        if needed is None:
            return error(404, "10005")
        wanted = body_of(request) if request.raw else {}
        for field in needed:
            if not wanted.get(field):
                raise missing(f"/{field}", status=422)
        if command_id := wanted.get("command_id"):
            now = self._clock.monotonic()
            seen = f"{call_control_id}\n{command_id}"
            if (until := self._commands.pop(seen)) is not None and until > now:
                self._commands[seen] = until
                return json_answer(200, {"data": {"result": "ok"}})
            self._commands[seen] = now + _COMMAND_MEMORY
        if call_control_id in self._ended:
            return error(422, "90018")
        if action in ("hangup", "reject"):
            self._ended[call_control_id] = True
        return json_answer(200, {"data": {"result": "ok"}})
