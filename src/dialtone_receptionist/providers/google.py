"""Google: the OAuth token endpoint and the calendar (developers.google.com/identity/protocols/oauth2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from dialtone_receptionist.providers.outgoing import Budget, Outgoing, OutgoingError, Repeat

CONSENT_URL = "https://accounts.google.com/o/oauth2/v2/auth"
SCOPE = "https://www.googleapis.com/auth/calendar.events"


class InvalidGrant(Exception):
    """The refresh token is dead for good (expired, revoked or already rotated): only the tenant can help."""


class GoogleUnavailable(Exception):
    """The token endpoint gave no token this time; a later try may."""


@dataclass(frozen=True, slots=True, repr=False)
class Tokens:
    """What the token endpoint granted. `refresh_token` is None unless it was rotated or is the first one."""

    access_token: str
    expires_in: float
    refresh_token: str | None


@dataclass(frozen=True, slots=True, repr=False)
class Google:
    """The OAuth client and the calendar API."""

    outgoing: Outgoing
    oauth_base: str
    api_base: str
    client_id: str
    client_secret: str

    def consent_url(self, redirect_uri: str, state: str) -> str:
        """Where an owner agrees to connect the calendar."""
        query = {
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": SCOPE,
            "access_type": "offline",
            "prompt": "consent",
            "state": state,
        }
        return f"{CONSENT_URL}?{urlencode(query)}"

    async def exchange(self, code: str, redirect_uri: str) -> Tokens:
        """The first tokens for an authorization code. Raises `InvalidGrant` and `GoogleUnavailable`."""
        return await self._token(Budget(5), grant_type="authorization_code", code=code, redirect_uri=redirect_uri)

    async def refresh(self, refresh_token: str, budget: Budget) -> Tokens:
        """A new access token. Raises `InvalidGrant` and `GoogleUnavailable`."""
        return await self._token(budget, grant_type="refresh_token", refresh_token=refresh_token)

    async def _token(self, budget: Budget, **form: str) -> Tokens:
        # Refusals are no harm, but a rotated token whose answer was lost is dead: only what did not arrive is repeated.
        repeat: Repeat = "unsent"
        form |= {"client_id": self.client_id, "client_secret": self.client_secret}
        try:
            answer = await self.outgoing.call(
                "google_oauth", "POST", f"{self.oauth_base}/token", total=budget.left(), repeat=repeat, data=form
            )
        except OutgoingError as error:
            raise GoogleUnavailable(str(error)) from error
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise GoogleUnavailable(f"google's token endpoint answered {answer.status_code} without JSON")
        if answer.status_code == 400 and body.get("error") == "invalid_grant":
            raise InvalidGrant
        token = body.get("access_token")
        if not answer.is_success or not isinstance(token, str):
            raise GoogleUnavailable(f"google's token endpoint answered {answer.status_code}")
        expires_in = body.get("expires_in")
        return Tokens(
            token, float(expires_in) if isinstance(expires_in, int | float) else 0.0, body.get("refresh_token")
        )

    async def insert_event(self, access_token: str, event: dict[str, Any], budget: Budget) -> httpx.Response:
        """Write an event with an id of our own choice: 409 means that it is already there. Raises `OutgoingError`."""
        return await self._calendar("POST", "calendars/primary/events", access_token, budget, json=event)

    async def patch_event(
        self, access_token: str, event_id: str, event: dict[str, Any], budget: Budget
    ) -> httpx.Response:
        """Change an event. Raises `OutgoingError`."""
        return await self._calendar("PATCH", f"calendars/primary/events/{event_id}", access_token, budget, json=event)

    async def delete_event(self, access_token: str, event_id: str, budget: Budget) -> httpx.Response:
        """Remove an event. Raises `OutgoingError`."""
        return await self._calendar("DELETE", f"calendars/primary/events/{event_id}", access_token, budget)

    async def probe(self, access_token: str, budget: Budget) -> httpx.Response:
        """The cheapest authenticated read. Raises `OutgoingError`."""
        return await self._calendar("GET", "users/me/calendarList?maxResults=1", access_token, budget)

    async def _calendar(
        self, method: str, path: str, access_token: str, budget: Budget, **request: Any
    ) -> httpx.Response:
        url = f"{self.api_base}/calendar/v3/{path}"
        headers = {"Authorization": f"Bearer {access_token}"}
        return await self.outgoing.call(
            "google", method, url, total=budget.left(), repeat="always", headers=headers, **request
        )
