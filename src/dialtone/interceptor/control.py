"""The control API: JSON over HTTP on a listener of its own, bearer token on every request.

GET    /health             is it there, is the lever pulled
GET    /state              addresses, hosts, requests that arrived by host
GET    /faults             active and ended faults with what they matched
POST   /faults             a plan; taken whole or not at all
POST   /plan               a plan; only read and shown
POST   /lease              {"ids": [...]}: renew (without ids all)
DELETE /faults[?id=…]      end one, or all
POST   /lever              {"why": "…"}: end all faults, take none; DELETE /lever takes them again
GET    /journal?since=N    lines after N as JSON lines; &follow=1 streams on
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from dialtone.interceptor.board import LeverError
from dialtone.interceptor.plan import BadPlanError, parse
from dialtone.interceptor.quarrels import strangers
from dialtone.interceptor.workers import AT_ONCE, Workers, undivided

if TYPE_CHECKING:
    from dialtone.interceptor.server import Interceptor

MAX_PLAN = 4 * 2**20


class _Server(uvicorn.Server):
    """uvicorn's server without signal handlers: the process has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Control:
    """The listener and its routes."""

    def __init__(self, interceptor: Interceptor) -> None:
        self._interceptor = interceptor
        self._task: asyncio.Task[None] | None = None

    @property
    def _board(self) -> Any:
        return self._interceptor.core.board

    @property
    def _workers(self) -> Workers:
        return self._interceptor.workers

    async def start(self, address: str, port: int) -> int:
        """Listen; the port. Raises OSError when it is taken."""
        import socket

        sock = socket.socket(
            socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
        )
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
        except OSError:
            sock.close()
            raise
        routes = [
            Route("/health", self._health),
            Route("/state", self._state),
            Route("/faults", self._faults, methods=["GET", "POST", "DELETE"]),
            Route("/plan", self._plan, methods=["POST"]),
            Route("/lease", self._lease, methods=["POST"]),
            Route("/lever", self._lever, methods=["POST", "DELETE"]),
            Route("/journal", self._journal),
        ]
        config = uvicorn.Config(
            self._guarded(Starlette(routes=routes)), lifespan="off", loop="none", log_config=None, log_level="critical",
            access_log=False, server_header=False, ws="none", timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = _Server(config)
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[sock]))
        while not self._server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # uvicorn has no event for it
        return int(sock.getsockname()[1])

    async def stop(self) -> None:
        """Stop to listen."""
        if self._task is not None:
            self._server.should_exit = self._server.force_exit = True
            await self._task

    def _guarded(self, app: Any) -> Any:
        """Nobody without the token gets to a route."""
        wanted = b"Bearer " + self._interceptor.token.encode()

        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            given = next((v for n, v in scope.get("headers", ()) if n == b"authorization"), b"")
            if scope["type"] == "http" and not hmac.compare_digest(given, wanted):
                why = {"error": "the token of this interceptor is needed: Authorization: Bearer …"}
                await JSONResponse(why, 401, {"www-authenticate": "Bearer"})(scope, receive, send)
                return
            await app(scope, receive, send)

        return guarded

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"ok": True, "lever": self._board.lever, "faults": len(self._board.faults)})

    async def _state(self, request: Request) -> Response:
        core, workers = self._interceptor.core, self._interceptor.workers
        await workers.sync()
        connections = len(core.connections) + sum(worker.connections for worker in workers.workers.values())
        told = {"arrived": workers.arrived(), "connections": connections, "journal": core.journal.count}
        return JSONResponse({**self._interceptor.state(), **told})

    async def _faults(self, request: Request) -> Response:
        board = self._board
        if request.method == "POST":
            return await self._take(request)
        if request.method == "DELETE":
            ids = request.query_params.getlist("id") or None
            await self._workers.sync()
            ended = board.end(ids)
            await self._workers.tell(end=ids, why="ended by its controller")
            return JSONResponse({"ended": [f.shown(board.clock()) for f in ended]})
        await self._workers.sync()
        board.expire()
        for fault in board.faults.values():
            self._interceptor.count(fault)
        now = board.clock()
        told = {
            "active": [f.shown(now) for f in board.faults.values()],
            "ended": [f.shown(now) for f in board.ended.values()],
        }
        return JSONResponse({**told, "lever": board.lever})

    async def _take(self, request: Request) -> Response:
        specs, wrong = await self._read(request)
        if wrong is not None:
            return wrong
        try:
            made = self._board.put(specs)
        except LeverError as error:
            return JSONResponse({"error": str(error)}, 423)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 409)
        await self._workers.put(made)
        return JSONResponse({"faults": [fault.shown(self._board.clock()) for fault in made]}, 201)

    async def _plan(self, request: Request) -> Response:
        specs, wrong = await self._read(request)
        return wrong or JSONResponse({"faults": [spec.shown() for spec in specs]})

    async def _read(self, request: Request) -> tuple[Any, Response | None]:
        text = await _body(request)
        try:
            specs = parse(text)
            problems = strangers(specs, self._interceptor.core.hosts)
            if self._interceptor.settings.processes > 1:
                problems += undivided(specs)
        except BadPlanError as error:
            problems = error.problems
        if problems:
            return (), JSONResponse({"error": "the plan cannot be taken", "problems": problems}, 422)
        return specs, None

    async def _lease(self, request: Request) -> Response:
        ids = (await _object(request)).get("ids")
        renewed = self._board.renew(ids)
        await self._workers.tell(renew=ids)
        return JSONResponse({"renewed": renewed})

    async def _lever(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._board.release()
            return JSONResponse({"lever": None})
        why = str((await _object(request)).get("why") or "pulled by hand")[:200]
        ended = self._board.pull(why)
        await self._workers.tell(AT_ONCE, end=None, why=f"safety lever: {why}")
        self._interceptor.core.journal.event("lever", why=why, faults=ended)
        return JSONResponse({"lever": why, "ended": ended})

    async def _journal(self, request: Request) -> Response:
        try:
            since = int(request.query_params.get("since", "0"))
        except ValueError:
            return JSONResponse({"error": "since is the number of a line"}, 400)
        journal = self._interceptor.core.journal
        await self._workers.sync()
        if request.query_params.get("follow"):
            return StreamingResponse(self._follow(since), media_type="application/x-ndjson")
        return Response(b"".join(journal.since(since, 5_000)), media_type="application/x-ndjson")

    async def _follow(self, since: int) -> AsyncIterator[bytes]:
        journal = self._interceptor.core.journal
        event = journal.listen()
        try:
            while True:
                event.clear()
                while lines := journal.since(since):
                    since = json.loads(lines[-1])["n"]
                    yield b"".join(lines)
                await event.wait()
        finally:
            journal.leave(event)


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_PLAN:
            raise ValueError("a plan of more than 4 MiB")
        parts.append(part)
    return b"".join(parts)


async def _object(request: Request) -> dict[str, Any]:
    try:
        given = json.loads(await _body(request) or b"{}")
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}
