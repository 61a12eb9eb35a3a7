"""Stand-in for Upstash' REST API over Redis, with an in-process Redis (fakeredis) behind it.

Forms of requests, answers and statuses: https://upstash.com/docs/redis/features/restapi. The text of a refused token:
https://upstash.com/docs/redis/troubleshooting/http_unauthorized. A full database refuses what writes:
https://upstash.com/docs/redis/troubleshooting/db_capacity_quota_exceeded.
"""

from __future__ import annotations

import base64
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qsl, unquote

import fakeredis
from redis.exceptions import ExecAbortError, NoScriptError, ReadOnlyError, RedisError

from dialtone.standins.standin import StandIn
from dialtone.standins.wire import MAX_FIELDS, STRANGER, Answer, Caller, Refusal, Request, json_answer

MAX_KEYS = 100_000
_CHECK_EVERY = 1_000
_MAX_PIPELINE = 1_000
_APPLICATION = Caller("unknown", "application")
_TOKEN_PARAMETER = "_token"  # noqa: S105 - the name of a query parameter
_READS_ANYWAY = frozenset(
    "get exists ttl pttl del unlink flushdb flushall dbsize keys scan ping expire pexpire".split()
)
_PREFIXES: dict[type[Exception], str] = {
    NoScriptError: "NOSCRIPT",
    ExecAbortError: "EXECABORT",
    ReadOnlyError: "READONLY",
}
_BLOCKED = frozenset("subscribe psubscribe monitor multi exec blpop brpop auth select shutdown debug".split())
"""Commands that would hold or change the one connection behind all requests."""


class Upstash(StandIn):
    """One database with one token."""

    name = "upstash"

    def __init__(self, token: str, max_keys: int = MAX_KEYS) -> None:
        self._token = token.encode()
        server = fakeredis.FakeServer(server_type="redis", version=(7,))
        pool = fakeredis.FakeRedis(server=server, protocol=2).connection_pool
        self._connection: Any = pool.get_connection()
        self._max_keys = max_keys
        self._until_check = 0
        self._full = False

    def answer(self, request: Request) -> Answer:
        """`result` or `error`; one of each for every command of a pipeline or transaction."""
        if self.caller(request) is STRANGER:
            return _error(401, "WRONGPASS invalid or missing auth token")
        if request.method not in ("HEAD", "GET", "POST", "PUT"):
            return _error(405, "ERR method not allowed")
        base64_wanted = request.headers.get("upstash-encoding", "").lower() == "base64"
        if request.path in ("/pipeline", "/multi-exec") and request.method in ("POST", "PUT"):
            return self._many(request, base64_wanted, atomic=request.path == "/multi-exec")
        try:
            return json_answer(200, {"result": _value(self._run(_command(request)), base64_wanted)})
        except RedisError as error:
            return _error(400, _text(error))

    def caller(self, request: Request) -> Caller:
        """The token stands in the header or in the query."""
        token = request.bearer or (request.query_string and request.query.get(_TOKEN_PARAMETER)) or ""
        return _APPLICATION if compare_digest(token.encode(), self._token) else STRANGER

    def _many(self, request: Request, base64_wanted: bool, *, atomic: bool) -> Answer:
        commands = _json(request)
        if (
            not isinstance(commands, list)
            or not commands
            or len(commands) > _MAX_PIPELINE
            or not all(isinstance(command, list) and command for command in commands)
        ):
            return _error(400, "ERR failed to parse pipeline request")
        prepared = [_arguments(command) for command in commands]
        if atomic and any(command[0].decode(errors="replace").lower() in _BLOCKED for command in prepared):
            return _error(400, "EXECABORT Transaction discarded because of previous errors.")
        answers: list[dict[str, Any]] = []
        for command in prepared:
            try:
                answers.append({"result": _value(self._run(command), base64_wanted)})
            except RedisError as error:
                answers.append({"error": _text(error)})
        return json_answer(200, answers)

    def _run(self, command: list[bytes]) -> Any:
        """The raw reply of Redis. Nothing can come in between: one loop, and no wait in here."""
        name = command[0].decode(errors="replace").lower()
        if name in _BLOCKED:
            raise RedisError(f"ERR Command is not available: '{name}'")
        if name not in _READS_ANYWAY:
            self._until_check -= 1
            if self._full or self._until_check < 0:
                self._until_check = _CHECK_EVERY
                self._full = self._reply([b"DBSIZE"]) > self._max_keys
            if self._full:
                raise RedisError("ERR DB capacity quota exceeded")
        return self._reply(command)

    def _reply(self, command: list[bytes]) -> Any:
        self._connection.send_command(*command)
        return self._connection.read_response(disable_decoding=True)


def _command(request: Request) -> list[bytes]:
    """The command of a request: in the body of `POST /`, else in the path, the body and the query, in that order."""
    if request.path == "/":
        command = _json(request)
        if not isinstance(command, list) or not command:
            raise Refusal(_error(400, "ERR failed to parse command"))
        return _arguments(command)
    arguments = [unquote(part).encode() for part in (request.raw_path or request.path).strip("/").split("/")]
    if request.raw:
        arguments.append(request.raw)
    for name, value in parse_qsl(request.query_string, keep_blank_values=True, max_num_fields=MAX_FIELDS):
        if name != _TOKEN_PARAMETER:
            arguments += [part.encode() for part in (name, value) if part]
    return arguments


def _json(request: Request) -> Any:
    try:
        return request.json()
    except ValueError:
        raise Refusal(_error(400, "ERR failed to parse command")) from None


def _arguments(command: list[Any]) -> list[bytes]:
    arguments = []
    for argument in command:
        if isinstance(argument, bool) or not isinstance(argument, str | int | float):
            raise Refusal(_error(400, "ERR failed to parse command: arguments are texts and numbers"))
        arguments.append(str(argument).encode(errors="replace"))
    if not arguments[0]:
        raise Refusal(_error(400, "ERR empty command"))
    return arguments


def _value(reply: Any, base64_wanted: bool) -> Any:
    """A reply as JSON; texts in base64 where that was asked for, except OK."""
    if isinstance(reply, bytes):
        if base64_wanted and reply != b"OK":
            return base64.b64encode(reply).decode()
        return reply.decode(errors="replace")
    if isinstance(reply, list):
        return [_value(member, base64_wanted) for member in reply]
    if isinstance(reply, RedisError):
        return _text(reply)
    return reply


def _text(error: RedisError) -> str:
    """The reply's own words. The client library takes the prefixes off that it has classes for: they are put back."""
    text = str(error)
    if text.split(" ", 1)[0].isupper():
        return text
    return f"{_PREFIXES.get(type(error), 'ERR')} {text}"


def _error(status: int, text: str) -> Answer:
    return json_answer(status, {"error": text})
