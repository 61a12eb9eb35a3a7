"""The stand-in: who calls, what for, and what the answer looks like."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from dialtone.standins.postgrest.errors import refusal
from dialtone.standins.standin import StandIn
from dialtone.standins.wire import STRANGER, Answer, Caller, Refusal, Request, json_answer

if TYPE_CHECKING:
    from dialtone.standins.postgrest.serve import Server

PREFIX = "/rest/v1"
_APPLICATION = Caller("unknown", "application")
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS",
    "access-control-allow-headers": "*",
    "access-control-expose-headers": "content-range,content-profile,preference-applied,proxy-status",
    "access-control-max-age": "3600",
}


class Postgrest(StandIn):
    """One project. `anon_key` and `service_key` are its API keys; tokens of its users are signed with `jwt_secret`."""

    name = "postgrest"
    blocking = True

    def __init__(self, database_url: str, jwt_secret: str, anon_key: str, service_key: str) -> None:
        self._url, self._secret = database_url, jwt_secret
        self._keys = {"anon": anon_key.encode(), "service_role": service_key.encode()}
        self._server: Server | None = None
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """As Supabase: the gateway looks at the key, PostgREST at the token, Postgres at the role."""
        if request.method == "OPTIONS":
            return Answer(200, b"", "", _CORS)
        try:
            answer = self._answer(request)
        except Refusal as refused:
            answer = refused.answer
        origin = {
            "access-control-allow-origin": "*",
            "access-control-expose-headers": _CORS["access-control-expose-headers"],
        }
        return Answer(answer.status, answer.body, answer.content_type, {**origin, **answer.headers})

    def caller(self, request: Request) -> Caller:
        """Whoever has one of the keys is the application."""
        return _APPLICATION if self._role(_api_key(request)) else STRANGER

    def close(self) -> None:
        """End the connections to the database."""
        if self._server is not None:
            self._server.close()

    def _answer(self, request: Request) -> Answer:
        key = _api_key(request)
        if not key:
            told = {
                "message": "No API key found in request",
                "hint": "No `apikey` request header or url param was found.",
            }
            return json_answer(401, told)
        role = self._role(key)
        if role is None:
            hint = "Double check your Supabase `anon` or `service_role` API key."
            return json_answer(401, {"message": "Invalid API key", "hint": hint})
        if not request.path.startswith(PREFIX + "/"):
            return json_answer(404, {"message": "no Route matched with those values"})
        token = request.bearer
        claims: Mapping[str, Any] = {"role": self._role(token) or role} if token else {"role": role}
        if token and self._role(token) is None:
            claims = self._claims(token)
        return self._serving().serve(request, request.path[len(PREFIX) + 1 :], dict(claims))

    def _serving(self) -> Server:
        with self._lock:
            if self._server is None:  # with the first request: the driver costs more to import than all stand-ins
                from dialtone.standins.postgrest.serve import Server

                self._server = Server(self._url)
            return self._server

    def _role(self, key: str | None) -> str | None:
        given = (key or "").encode()
        return next((role for role, known in self._keys.items() if compare_digest(known, given)), None)

    def _claims(self, token: str) -> dict[str, Any]:
        import jwt

        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._secret, algorithms=["HS256"], options={"verify_aud": False}
            )
        except jwt.ExpiredSignatureError:
            raise _unauthorized("PGRST303", "JWT expired") from None
        except jwt.DecodeError:
            parts = len(token.split("."))
            wrong = f"Expected 3 parts in JWT; got {parts}" if parts != 3 else "No suitable key or wrong key type"
            raise _unauthorized("PGRST301", wrong) from None
        except jwt.InvalidTokenError as error:
            raise _unauthorized("PGRST303", str(error)) from None
        return {"role": "anon", **claims}


def _api_key(request: Request) -> str:
    return request.headers.get("apikey") or (request.query.get("apikey", "") if request.query_string else "")


def _unauthorized(code: str, message: str) -> Refusal:
    answer = refusal(401, code, message).answer
    told = f'Bearer error="invalid_token", error_description="{message}"'
    return Refusal(
        Answer(answer.status, answer.body, answer.content_type, {**answer.headers, "www-authenticate": told})
    )
