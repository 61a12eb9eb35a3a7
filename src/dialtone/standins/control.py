"""The journal's own API: what was taken in, and faults with a time to live. Every call needs the journal's token."""

from __future__ import annotations

from hmac import compare_digest

from dialtone.standins.faults import Faults
from dialtone.standins.journal import MAX_ENTRIES, Filter, Journal
from dialtone.standins.rotations import Rotations
from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.wire import Answer, Refusal, Request, json_answer

_FILTERS = {"provider", "method", "path", "contains", "after", "limit"}


class Control(StandIn):
    """GET /health; GET /requests; GET, POST and DELETE /faults; DELETE /faults/{id}; POST, DELETE /rotations."""

    name = "journal"
    routes = Routes()

    def __init__(self, journal: Journal, faults: Faults, token: str, rotations: Rotations | None = None) -> None:
        self._journal, self._faults, self._token = journal, faults, token.encode()
        self._rotations = rotations or Rotations()

    def answer(self, request: Request) -> Answer:
        """401 without the token, 404 and 405 as usual, 400 with the reason for what cannot be understood."""
        if request.path == "/health":
            return json_answer(200, {"status": "ok", "last": self._journal.last})
        if not compare_digest((request.bearer or "").encode(), self._token):
            return _error(401, "the journal needs its token as bearer")
        found = self.routes.find(request.method, request.path)
        if found:
            handler, names = found
            return handler(self, request, **names)
        if allowed := self.routes.methods(request.path):
            return json_answer(405, {"error": f"use {' or '.join(allowed)}"}, {"allow": ", ".join(allowed)})
        return _error(404, "no such path")

    @routes("GET", "/requests")
    def requests(self, request: Request) -> Answer:
        """The newest entries that match all filters, oldest first, and the number of the latest entry of all."""
        query = request.query
        if unknown := sorted(query.keys() - _FILTERS):
            return _error(400, f"unknown filter {unknown[0]}")
        wanted = Filter(
            provider=query.get("provider", ""),
            method=query.get("method", "").upper(),
            path=query.get("path", ""),
            contains=query.get("contains", ""),
            after=_number(query, "after", 0),
            limit=min(_number(query, "limit", 1_000), MAX_ENTRIES),
        )
        return Answer(200, self._journal.shown(wanted).encode(errors="replace"))

    @routes("GET", "/faults")
    def list_faults(self, _request: Request) -> Answer:
        """The active faults with the number of requests that each met."""
        return json_answer(200, {"faults": self._faults.shown()})

    @routes("POST", "/faults")
    def add_fault(self, request: Request) -> Answer:
        """A new fault; answers its id."""
        try:
            return json_answer(201, {"id": self._faults.add(request.json()).id})
        except ValueError as error:
            return _error(400, str(error))

    @routes("DELETE", "/faults")
    def clear_faults(self, _request: Request) -> Answer:
        """End all faults."""
        return json_answer(200, {"removed": self._faults.clear()})

    @routes("DELETE", "/faults/{fault_id}")
    def remove_fault(self, _request: Request, fault_id: str) -> Answer:
        """End one fault; answers how many requests it met. 404 when it has expired."""
        fault = self._faults.remove(fault_id)
        if fault is None:
            return _error(404, "no such fault, or it has expired")
        return json_answer(200, {"id": fault.id, "matched": fault.matched})

    @routes("POST", "/rotations")
    def rotate(self, request: Request) -> Answer:
        """Two keys are valid from now on, `old` and `new`; answers an id."""
        try:
            return json_answer(201, {"id": self._rotations.add(request.json())})
        except ValueError as error:
            return _error(400, str(error))

    @routes("DELETE", "/rotations/{name}")
    def retire(self, _request: Request, name: str) -> Answer:
        """The old key is refused from now on."""
        return json_answer(200, {"id": name}) if self._rotations.retire(name) else _error(404, "no such rotation")


def _error(status: int, message: str) -> Answer:
    return json_answer(status, {"error": message})


def _number(query: dict[str, str], name: str, default: int) -> int:
    value = query.get(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise Refusal(_error(400, f"{name} must be a whole number"))
    return int(value)
