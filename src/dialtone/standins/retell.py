"""Stand-in for Retell's REST API.

Endpoints and fields: RetellAI/retell-python-sdk (api.md, src/retell/types). Error bodies are `status` and `message`
in the words of the vendor's OpenAPI examples: 401 key, 400 request, 422 an asset that the key does not have
(`"Cannot find requested asset under given api key."`; an unknown id is 422, not 404).
"""

from __future__ import annotations

import secrets
from hmac import compare_digest
from typing import Any

from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Bounded, Clock
from dialtone.standins.wire import STRANGER, Answer, Caller, Refusal, Request, json_answer

_APPLICATION, _PROBER = Caller("unknown", "application"), Caller("unknown", "prober")
_DIRECTIONS = ("inbound", "outbound")


class Retell(StandIn):
    """One workspace. Every agent id that begins with `agent_` exists in it."""

    name = "retell"
    routes = Routes()

    def __init__(self, key: str, probe_key: str, clock: Clock) -> None:
        self._key, self._probe_key, self._clock = key.encode(), probe_key.encode(), clock
        self._calls: Bounded[dict[str, Any]] = Bounded()

    def answer(self, request: Request) -> Answer:
        """What the API answers; 401 before anything else."""
        if self.caller(request) is STRANGER:
            return _error(401, "API key is missing or invalid.")
        found = self.routes.find(request.method, request.path)
        if found is None:
            return _error(404, f"Cannot {request.method} {request.path}")
        handler, names = found
        return handler(self, request, **names)

    def caller(self, request: Request) -> Caller:
        """Keys have no mode."""
        key = (request.bearer or "").encode()
        if compare_digest(key, self._key):
            return _APPLICATION
        return _PROBER if compare_digest(key, self._probe_key) else STRANGER

    @routes("GET", "/get-concurrency")
    def concurrency(self, _request: Request) -> Answer:
        """How many calls run and may run at once."""
        return json_answer(
            200,
            {
                "current_concurrency": 0,
                "concurrency_limit": 20,
                "base_concurrency": 20,
                "purchased_concurrency": 0,
                "concurrency_purchase_limit": 100,
                "remaining_purchase_limit": 100,
                "concurrency_burst_enabled": False,
                "concurrency_burst_limit": 0,
                "reserved_inbound_concurrency": 0,
            },
        )

    @routes("POST", "/v2/register-phone-call")
    def register_phone_call(self, request: Request) -> Answer:
        """Announces a call of the caller's own telephony; dialled as `sip:<call_id>@sip.retellai.com`."""
        wanted = _body(request)
        direction = wanted.get("direction", "inbound")
        if direction not in _DIRECTIONS:
            raise Refusal(_error(400, "direction must be inbound or outbound"))
        for field in ("from_number", "to_number"):
            if not isinstance(wanted.get(field, ""), str):
                raise Refusal(_error(400, f"{field} must be a string"))
        numbers: dict[str, Any] = {field: wanted[field] for field in ("from_number", "to_number") if field in wanted}
        return self._created(wanted, {"call_type": "phone_call", "direction": direction, **numbers})

    @routes("POST", "/v2/create-web-call")
    def create_web_call(self, request: Request) -> Answer:
        """A call in the browser, joined with the access token."""
        return self._created(_body(request), {"call_type": "web_call", "access_token": secrets.token_urlsafe(64)})

    @routes("GET", "/v2/get-call/{call_id}")
    def get_call(self, _request: Request, call_id: str) -> Answer:
        """A call that was registered here."""
        call = self._calls.get(call_id)
        return json_answer(200, call) if call else _not_found()

    @routes("GET", "/get-agent/{agent_id}")
    def get_agent(self, _request: Request, agent_id: str) -> Answer:
        """An agent."""
        if not agent_id.startswith("agent_"):
            return _not_found()
        return json_answer(
            200,
            {
                "agent_id": agent_id,
                "agent_name": "receptionist",
                "version": 0,
                "is_published": True,
                "voice_id": "11labs-Adrian",
                "language": "en-US",
                "response_engine": {"type": "retell-llm", "llm_id": "llm_sandbox", "version": 0},
                "webhook_timeout_ms": 10_000,
                "last_modification_timestamp": int(self._clock.time() * 1000),
            },
        )

    def _created(self, wanted: dict[str, Any], fields: dict[str, Any]) -> Answer:
        agent_id = wanted.get("agent_id")
        if not isinstance(agent_id, str) or not agent_id:
            raise Refusal(_error(400, "agent_id is required"))
        if not agent_id.startswith("agent_"):
            raise Refusal(_not_found())
        call_id = f"call_{secrets.token_hex(14)}"
        call = {"call_id": call_id, "agent_id": agent_id, "agent_version": 0, "call_status": "registered", **fields}
        for field in ("metadata", "retell_llm_dynamic_variables"):
            if field in wanted:
                call[field] = wanted[field]
        self._calls[call_id] = call
        return json_answer(201, call)


def _body(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(_error(400, "Invalid request format, please check API reference."))
    return body


def _error(status: int, message: str) -> Answer:
    return json_answer(status, {"status": "error", "message": message})


def _not_found() -> Answer:
    return _error(422, "Cannot find requested asset under given api key.")
