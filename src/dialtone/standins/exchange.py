"""One exchange: a request meets a fault or its stand-in, and the journal takes it down."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from dialtone.standins.faults import Fault, Faults
from dialtone.standins.journal import MASK, Journal
from dialtone.standins.rotations import Rotations
from dialtone.standins.standin import StandIn
from dialtone.standins.wire import Answer, Refusal, Request, json_answer

_THREADS = 32
_CREDENTIAL_PARAMETERS = {"_token", "apikey", "access_token", "sentry_key", "key", "token"}


class Exchange:
    """Takes requests for the stand-ins. What is slow is the answer: the request itself is taken at once."""

    def __init__(self, journal: Journal, faults: Faults, rotations: Rotations | None = None) -> None:
        self._journal, self._faults, self._rotations = journal, faults, rotations or Rotations()
        self._threads = ThreadPoolExecutor(_THREADS, "stand-in")  # makes none before it is used

    def take(self, standin: StandIn, request: Request) -> Answer:
        """The answer to send after its `delay`; the journal already holds the request by then."""
        request = self._rotations.seen(request)
        fault = self._fault(standin, request)
        answer = fault.answer() if fault and fault.status is not None else own_answer(standin, request)
        return self._taken(standin, request, answer, fault)

    async def take_blocking(self, standin: StandIn, request: Request) -> Answer:
        """The same for a stand-in whose answers may take long: only its answer is made in a thread."""
        request = self._rotations.seen(request)
        fault = self._fault(standin, request)
        if fault and fault.status is not None:
            answer = fault.answer()
        else:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, own_answer, standin, request)
        return self._taken(standin, request, answer, fault)

    def _fault(self, standin: StandIn, request: Request) -> Fault | None:
        if not self._faults:
            return None
        return self._faults.match(standin.name, request.method, request.path, _searched(standin, request))

    def _taken(self, standin: StandIn, request: Request, answer: Answer, fault: Fault | None) -> Answer:
        if fault and fault.status is None:
            answer = replace(answer, delay=answer.delay + fault.delay)
        if answer.delay:
            standin.delayed(request, answer.delay)
        self._journal.record(
            standin.name,
            request.method,
            standin.recorded_path(request),
            answer.status,
            standin.caller(request),
            _without_credentials(request.query) if request.query_string else None,
            standin.recorded_body(request),
            len(request.raw),
            standin.credentials(request),
        )
        return answer


def own_answer(standin: StandIn, request: Request) -> Answer:
    """The stand-in's own answer; 500 when the stand-in itself is wrong, with the place on stderr and no content."""
    try:
        return standin.answer(request)
    except Refusal as refusal:
        return refusal.answer
    except Exception as error:  # noqa: BLE001 - its text may hold a body or a credential, so uvicorn must not log it
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "?"
        print(f"stand-in {standin.name}: {type(error).__name__} at {where}", file=sys.stderr, flush=True)
        return json_answer(500, {"error": "the stand-in itself failed"})


def _searched(standin: StandIn, request: Request) -> str:
    return f"{request.path}?{request.query_string}\n{standin.text(request)}"


def _without_credentials(query: dict[str, str]) -> dict[str, str]:
    return {name: MASK if name in _CREDENTIAL_PARAMETERS else value for name, value in query.items()}
