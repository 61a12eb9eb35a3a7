"""Stand-in for https://oauth2.googleapis.com: POST /token and POST /revoke.

Form fields and answers: https://developers.google.com/identity/protocols/oauth2/web-server and RFC 6749 section 5.
A refresh token that no longer works is 400 `invalid_grant`, "Token has been expired or revoked."
(https://workos.com/blog/invalid-grant-oauth-errors-by-provider); a wrong client is 401 `invalid_client`.
"""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest
from typing import Any

from dialtone.standins.google.grants import LIFETIME, Grants, Issued
from dialtone.standins.standin import StandIn
from dialtone.standins.state import Bounded
from dialtone.standins.wire import STRANGER, Answer, Caller, Refusal, Request, json_answer

SCOPE = "https://www.googleapis.com/auth/calendar"
CODE = "4/0sandbox"
"""Every authorization code that begins so is good, once."""

_SECRET_FIELDS = ("client_secret", "refresh_token", "code", "token", "code_verifier")


class GoogleOAuth(StandIn):
    """The token endpoint for one client."""

    name = "google_oauth"

    def __init__(self, client_id: str, client_secret: str, grants: Grants) -> None:
        self._client_id, self._client_secret, self._grants = client_id, client_secret, grants
        self._used_codes: Bounded[bool] = Bounded()

    def answer(self, request: Request) -> Answer:
        """Tokens, or an OAuth error."""
        if request.path not in ("/token", "/revoke"):
            return Answer(404, b"<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", "text/html; charset=UTF-8")
        if request.method != "POST":
            return _error(405, "invalid_request", "Only POST is allowed.")
        form = _form(request)
        if request.path == "/revoke":
            if self._grants.revoke(form.get("token") or request.query.get("token", "")):
                return json_answer(200, {})
            return _error(400, "invalid_token", "Token expired or revoked")
        self._check_client(request, form)
        match form.get("grant_type"):
            case "refresh_token":
                return self._refreshed(form)
            case "authorization_code":
                return self._exchanged(form)
            case other:
                return _error(400, "unsupported_grant_type", f"Invalid grant_type: {other or ''}")

    def caller(self, request: Request) -> Caller:
        """Whoever knows the client's secret is the application: prober and application share the client."""
        try:
            self._check_client(request, _form(request))
        except Refusal:
            return STRANGER
        return Caller("unknown", "application")

    def recorded_body(self, request: Request) -> Any:
        """The form; of a token only what follows the part that all grants of its kind share."""
        try:
            form = _form(request)
        except Refusal:
            return None
        return {name: self._shown(value) if name in _SECRET_FIELDS else value for name, value in form.items()}

    def credentials(self, request: Request) -> Iterable[str]:
        """The refresh token, so that the journal can be asked for the refreshes of one grant."""
        try:
            form = _form(request)
        except Refusal:
            return ()
        return [form[name] for name in ("refresh_token", "code", "token") if form.get(name)]

    def _shown(self, value: str) -> str:
        return f"…{self._grants.tail(value)}"

    def _check_client(self, request: Request, form: dict[str, str]) -> None:
        user, password = request.basic
        client_id, secret = form.get("client_id") or user, form.get("client_secret") or password
        if not client_id:
            raise Refusal(_error(400, "invalid_request", "Could not determine client ID from request."))
        if not compare_digest(client_id.encode(), self._client_id.encode()):
            raise Refusal(_error(401, "invalid_client", "The OAuth client was not found."))
        if not secret:
            raise Refusal(_error(400, "invalid_request", "client_secret is missing."))
        if not compare_digest(secret.encode(), self._client_secret.encode()):
            raise Refusal(_error(401, "invalid_client", "Unauthorized"))

    def _refreshed(self, form: dict[str, str]) -> Answer:
        refresh_token = form.get("refresh_token")
        if not refresh_token:
            return _error(400, "invalid_request", "Missing required parameter: refresh_token")
        issued = self._grants.refresh(refresh_token)
        return _tokens(issued) if issued else _error(400, "invalid_grant", "Token has been expired or revoked.")

    def _exchanged(self, form: dict[str, str]) -> Answer:
        code = form.get("code")
        if not code:
            return _error(400, "invalid_request", "Missing required parameter: code")
        if not form.get("redirect_uri"):
            return _error(400, "invalid_request", "Missing parameter: redirect_uri")
        if not code.startswith(CODE) or code in self._used_codes:
            return _error(400, "invalid_grant", "Malformed auth code.")
        self._used_codes[code] = True
        return _tokens(self._grants.grant())


def _form(request: Request) -> dict[str, str]:
    try:
        form = request.json() if request.content_type == "application/json" else request.form()
    except ValueError:
        form = None
    if not isinstance(form, dict) or not all(isinstance(value, str) for value in form.values()):
        raise Refusal(_error(400, "invalid_request", "Bad Request"))
    return form


def _tokens(issued: Issued) -> Answer:
    tokens = {"access_token": issued.access_token, "expires_in": LIFETIME, "scope": SCOPE, "token_type": "Bearer"}
    if issued.refresh_token:
        tokens["refresh_token"] = issued.refresh_token
    return json_answer(200, tokens, {"cache-control": "no-cache, no-store, max-age=0, must-revalidate"})


def _error(status: int, code: str, description: str) -> Answer:
    return json_answer(status, {"error": code, "error_description": description})
