"""Stand-in for Retell's REST API.

Endpoints and fields: RetellAI/retell-python-sdk (api.md, src/retell/types). Error bodies are `status` and `message`
in the words of the vendor's OpenAPI examples: 401 key, 400 request, 422 an asset that the key does not have
(`"Cannot find requested asset under given api key."`; an unknown id is 422, not 404).
"""

from __future__ import annotations

import operator
import re
import secrets
from hmac import compare_digest
from typing import Any

from dialtone.standins.defects import Switches
from dialtone.standins.listed import NOTHING, Listed
from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Bounded, Clock
from dialtone.standins.wire import STRANGER, Answer, Caller, Refusal, Request, json_answer

_APPLICATION, _PROBER = Caller("unknown", "application"), Caller("unknown", "prober")
_DIRECTIONS = ("inbound", "outbound")
_KEPT = 3_600.0
_ORDER = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}
_E164 = re.compile(r"\+[1-9]\d{1,14}")


class Retell(StandIn):
    """One workspace. Every agent id that begins with `agent_` exists in it."""

    name = "retell"
    routes = Routes()

    def __init__(
        self,
        key: str,
        probe_key: str,
        clock: Clock,
        switches: Switches | None = None,
        listed: Listed = NOTHING,
    ) -> None:
        self._key, self._probe_key, self._clock = key.encode(), probe_key.encode(), clock
        self._switches, self._seeded, self._began = switches, listed, clock.time()
        self._calls: Bounded[dict[str, Any]] = Bounded()
        self._by_key: Bounded[tuple[float, dict[str, Any]]] = Bounded()
        self._agents: Bounded[dict[str, Any]] = Bounded()

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
    @routes("POST", "/v3/create-web-call")
    def create_web_call(self, request: Request) -> Answer:
        """A call in the browser, joined with the access token."""
        return self._created(_body(request), {"call_type": "web_call", "access_token": secrets.token_urlsafe(64)})

    @routes("POST", "/v2/create-phone-call")
    def create_phone_call(self, request: Request) -> Answer:
        """Dials a number from one of the workspace's own; a key gives the same call again for an hour."""
        wanted = _body(request)
        key, now = str(wanted.get("idempotency_key") or ""), self._clock.monotonic()
        if (made := self._by_key.get(key)) is not None and now < made[0]:
            return json_answer(201, made[1])
        for field in ("from_number", "to_number"):
            if not isinstance(wanted.get(field), str) or not _E164.fullmatch(wanted[field]):
                raise Refusal(_error(400, f"{field} must be in E.164 format"))
        agent = wanted.get("override_agent_id") or "agent_sandbox"
        numbers = {field: wanted[field] for field in ("from_number", "to_number")}
        more = {"call_type": "phone_call", "direction": "outbound", **numbers}
        answer = self._created({**wanted, "agent_id": agent}, more)
        if key:
            self._by_key[key] = (now + _KEPT, self._calls.newest_first()[0])
        return answer

    @routes("POST", "/v2/list-calls")
    def list_calls(self, request: Request) -> Answer:
        """Calls as an array, newest first unless `sort_order` says `ascending`; a page ends at `limit` (50)."""
        return json_answer(200, self._listed(_body(request) if request.raw else {})[0])

    @routes("POST", "/v3/list-calls")
    def list_calls_by_pages(self, request: Request) -> Answer:
        """The same as an object that says whether there is more, and where it goes on."""
        wanted = _body(request) if request.raw else {}
        calls, more, total = self._listed(wanted)
        answer = {"items": calls, "has_more": more, "pagination_key": calls[-1]["call_id"] if more else None}
        return json_answer(200, answer | ({"total": total} if wanted.get("include_total") else {}))

    @routes("PATCH", "/v2/update-call/{call_id}")
    def update_call(self, request: Request, call_id: str) -> Answer:
        """Change what was said about a call."""
        call, wanted = self._call(call_id), _body(request)
        call |= {field: wanted[field] for field in ("metadata", "override_dynamic_variables") if field in wanted}
        return json_answer(200, call)

    @routes("POST", "/v2/stop-call/{call_id}")
    def stop_call(self, _request: Request, call_id: str) -> Answer:
        """Hang up."""
        call, now = self._call(call_id), int(self._clock.time() * 1000)
        if call["call_status"] in ("ended", "error"):
            raise Refusal(_error(400, "The call has ended."))
        call |= {"call_status": "ended", "end_timestamp": now, "disconnection_reason": "user_hangup"}
        call["duration_ms"] = now - call["start_timestamp"]
        return Answer(204)

    @routes("DELETE", "/v2/delete-call/{call_id}")
    def delete_call(self, _request: Request, call_id: str) -> Answer:
        """Forget a call."""
        self._call(call_id)
        self._calls.pop(call_id)
        return Answer(204)

    @routes("GET", "/v2/get-call/{call_id}")
    def get_call(self, _request: Request, call_id: str) -> Answer:
        """A call that was registered here."""
        return json_answer(200, self._call(call_id))

    @routes("GET", "/get-agent/{agent_id}")
    def get_agent(self, _request: Request, agent_id: str) -> Answer:
        """An agent."""
        if not agent_id.startswith("agent_"):
            return _not_found()
        return json_answer(200, self._agents.get(agent_id) or self._agent(agent_id))

    @routes("POST", "/create-agent")
    def create_agent(self, request: Request) -> Answer:
        """A new agent: it needs a voice and an engine."""
        wanted = _body(request)
        for field in ("response_engine", "voice_id"):
            if not wanted.get(field):
                raise Refusal(_error(400, f"{field} is required"))
        agent = self._agent(f"agent_{secrets.token_hex(14)}") | {"is_published": False} | wanted
        self._agents[agent["agent_id"]] = agent
        return json_answer(201, agent)

    @routes("PATCH", "/update-agent/{agent_id}")
    def update_agent(self, request: Request, agent_id: str) -> Answer:
        """Change an agent, which stays a draft until it is published."""
        if not agent_id.startswith("agent_"):
            return _not_found()
        agent = (self._agents.get(agent_id) or self._agent(agent_id)) | _body(request) | {"agent_id": agent_id}
        self._agents[agent_id] = agent
        return json_answer(200, agent)

    @routes("POST", "/v2/list-agents")
    def list_agents(self, _request: Request) -> Answer:
        """The agents that were created here, newest first."""
        return json_answer(200, {"items": self._agents.newest_first(), "has_more": False})

    @routes("DELETE", "/delete-agent/{agent_id}")
    def delete_agent(self, _request: Request, agent_id: str) -> Answer:
        """Delete an agent that was created here."""
        return Answer(204) if self._agents.pop(agent_id) else _not_found()

    def _agent(self, agent_id: str) -> dict[str, Any]:
        return {
            "agent_id": agent_id,
            "agent_name": "receptionist",
            "version": 0,
            "is_published": True,
            "voice_id": "11labs-Adrian",
            "language": "en-US",
            "response_engine": {"type": "retell-llm", "llm_id": "llm_sandbox", "version": 0},
            "webhook_timeout_ms": 10_000,
            "last_modification_timestamp": int(self._clock.time() * 1000),
        }

    def _call(self, call_id: str) -> dict[str, Any]:
        call = self._calls.get(call_id)
        if call is None:
            raise Refusal(_not_found())
        return call

    def _listed(self, wanted: dict[str, Any]) -> tuple[list[dict[str, Any]], bool, int]:
        """One page, whether there is more, and how many match at all."""
        limit, criteria = wanted.get("limit", 50), wanted.get("filter_criteria") or {}
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 < limit <= 1_000:
            raise Refusal(_error(400, "limit must be between 1 and 1000"))
        if not isinstance(criteria, dict):
            raise Refusal(_error(400, "filter_criteria must be an object"))
        known = [*self._calls.newest_first(), *self._before()]
        calls = [call for call in known if all(_meets(call, f, v) for f, v in criteria.items())]
        if wanted.get("sort_order") == "ascending":
            calls.reverse()
        total = len(calls)
        if key := wanted.get("pagination_key"):
            ids = [call["call_id"] for call in calls]
            if key not in ids:
                raise Refusal(_error(400, "pagination_key is invalid"))
            calls = calls[ids.index(key) + 1 :]
        calls = calls[int(wanted.get("skip") or 0) :]
        return calls[:limit], len(calls) > limit, total

    def _before(self) -> list[dict[str, Any]]:
        """Calls of the time before the start: all of them ended."""
        unknown = 4 if self._switches and self._switches.on("calls-unrecorded") else 0
        return [_ended(name, at) for name, at in self._seeded.entries(self._began, unknown)]

    def _created(self, wanted: dict[str, Any], fields: dict[str, Any]) -> Answer:
        agent_id = wanted.get("agent_id")
        if not isinstance(agent_id, str) or not agent_id:
            raise Refusal(_error(400, "agent_id is required"))
        if not agent_id.startswith("agent_"):
            raise Refusal(_not_found())
        call_id = f"call_{secrets.token_hex(14)}"
        call = {"call_id": call_id, "agent_id": agent_id, "agent_version": 0, "call_status": "registered", **fields}
        call["start_timestamp"] = int(self._clock.time() * 1000)
        for field in ("metadata", "retell_llm_dynamic_variables"):
            if field in wanted:
                call[field] = wanted[field]
        self._calls[call_id] = call
        return json_answer(201, call)


def _meets(call: dict[str, Any], field: str, wanted: Any) -> bool:
    """One criterion: a list of values (version 2), `op` with `value`, or bounds of a number (version 3)."""
    if field == "agent":
        return call["agent_id"] in [one.get("agent_id") for one in wanted]
    have = call.get(field)
    if isinstance(wanted, list):
        return have in wanted
    if not isinstance(wanted, dict):
        raise Refusal(_error(400, f"filter_criteria.{field} cannot be read"))
    if "lower_threshold" in wanted or "upper_threshold" in wanted:
        lower, upper = wanted.get("lower_threshold", float("-inf")), wanted.get("upper_threshold", float("inf"))
        return have is not None and lower <= have <= upper
    value = wanted.get("value")
    if wanted.get("op") == "in":
        return have in (value or [])
    if wanted.get("op") == "bt" and isinstance(value, list):
        return have is not None and value[0] <= have <= value[1]
    if compared := _ORDER.get(str(wanted.get("op"))):
        return have is not None and value is not None and bool(compared(have, value))
    return (have == value) == (wanted.get("op") != "ne")


def _body(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(_error(400, "Invalid request format, please check API reference."))
    return body


def _ended(name: str, at: float) -> dict[str, Any]:
    return {
        "call_id": name,
        "call_type": "phone_call",
        "agent_id": "agent_listed",
        "agent_version": 0,
        "call_status": "ended",
        "direction": "inbound",
        "start_timestamp": int(at * 1000),
        "end_timestamp": int(at * 1000) + 60_000,
        "duration_ms": 60_000,
        "disconnection_reason": "user_hangup",
    }


def _error(status: int, message: str) -> Answer:
    return json_answer(status, {"status": "error", "message": message})


def _not_found() -> Answer:
    return _error(422, "Cannot find requested asset under given api key.")
