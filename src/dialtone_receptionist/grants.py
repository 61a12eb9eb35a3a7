"""Google tokens of the businesses: refreshed in time, by one process at a time, asked for again when dead."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg.types.json import Json

from dialtone_receptionist.alerts import Alerts
from dialtone_receptionist.database import Database, Row
from dialtone_receptionist.defects import on
from dialtone_receptionist.providers.google import Google, GoogleUnavailable, InvalidGrant, Tokens
from dialtone_receptionist.providers.outgoing import Budget

_EARLY = timedelta(minutes=5)  # how long before its expiry an access token is refreshed


class NotConnected(Exception):
    """The business has no calendar that could be written: never connected, or to be connected again."""


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """The tokens of one business."""

    business_id: UUID
    access_token: str | None
    refresh_token: str | None
    expires_at: datetime | None

    @classmethod
    def of(cls, row: Row) -> Grant:
        """From a row with the columns of `businesses`."""
        return cls(row["id"], row["google_access_token"], row["google_refresh_token"], row["google_token_expires_at"])

    def lives_for(self, span: timedelta) -> bool:
        """Whether the access token is there and looks valid for another `span`."""
        return bool(self.access_token) and self.expires_at is not None and self.expires_at > datetime.now(UTC) + span


class Grants:
    """The tokens in the database."""

    def __init__(self, db: Database, google: Google, alerts: Alerts) -> None:
        self._db = db
        self._google = google
        self._alerts = alerts

    async def find(self, business_id: UUID, *, even_if_disconnected: bool = False) -> Grant:
        """The tokens of a connected business. Raises `NotConnected`."""
        row = await self._db.one(
            "SELECT id, calendar_connected, google_access_token, google_refresh_token, google_token_expires_at"
            " FROM businesses WHERE id = %(id)s",
            id=business_id,
        )
        if row is None or not (row["calendar_connected"] or even_if_disconnected):
            raise NotConnected
        if not row["google_access_token"] and not row["google_refresh_token"]:
            raise NotConnected
        return Grant.of(row)

    async def fresh(self, grant: Grant, budget: Budget) -> tuple[str, bool]:
        """An access token that can be used now, and whether it was refreshed for it.

        Raises `NotConnected` and `GoogleUnavailable`.
        """
        early = timedelta(0) if on("refresh-late") else _EARLY
        if grant.access_token and grant.lives_for(early):
            return grant.access_token, False
        try:
            return await self.refresh(grant, budget), True
        except GoogleUnavailable:
            if grant.access_token and grant.lives_for(timedelta(0)):
                return grant.access_token, False  # near its end, but still good while the token endpoint is away
            raise

    async def refresh(self, grant: Grant, budget: Budget) -> str:
        """A new access token, stored. Raises `NotConnected` and `GoogleUnavailable`.

        A lease in the database lets one process refresh: of two at once, the second would send a refresh token that
        the first has just rotated away, and take the refusal for a revoked grant.
        """
        while True:
            if not grant.refresh_token:
                await self._ask_to_reconnect(grant)
                raise NotConnected
            if on("refresh-race") or await self._lease(grant):
                break
            if budget.left() == 0.0:
                raise GoogleUnavailable("another process is refreshing the token")
            await asyncio.sleep(0.05)
            newer = await self.find(grant.business_id)
            if newer.access_token and newer.access_token != grant.access_token and newer.lives_for(timedelta(0)):
                return newer.access_token
            grant = newer
        try:
            tokens = await self._refresh(grant.refresh_token, budget)
        except InvalidGrant:
            await self._ask_to_reconnect(grant)
            raise NotConnected from None
        except GoogleUnavailable:
            await self._release(grant)
            raise
        await self.store(grant.business_id, tokens)
        return tokens.access_token

    async def _refresh(self, refresh_token: str, budget: Budget) -> Tokens:
        if on("invalid-grant-retried"):
            for _ in range(4):
                try:
                    return await self._google.refresh(refresh_token, budget)
                except InvalidGrant:
                    continue
        return await self._google.refresh(refresh_token, budget)

    async def store(self, business_id: UUID, tokens: Tokens) -> None:
        """Keep granted tokens; the business is connected with them."""
        if on("refresh-not-stored"):
            tokens = Tokens("", -1.0, tokens.refresh_token)
        rotated = None if on("rotation-dropped") else tokens.refresh_token
        await self._db.execute(
            "UPDATE businesses SET calendar_connected = true, google_refresh_leased_until = NULL,"
            " google_access_token = CASE WHEN %(token)s <> '' THEN %(token)s ELSE google_access_token END,"
            " google_token_expires_at = CASE WHEN %(token)s <> '' THEN now() + %(life)s * interval '1 second'"
            "  ELSE google_token_expires_at END,"
            " google_refresh_token = coalesce(%(rotated)s, google_refresh_token) WHERE id = %(id)s",
            id=business_id,
            token=tokens.access_token,
            life=tokens.expires_in,
            rotated=rotated,
        )

    async def _lease(self, grant: Grant) -> bool:
        leased = await self._db.execute(
            "UPDATE businesses SET google_refresh_leased_until = now() + interval '6 seconds'"
            " WHERE id = %(id)s AND google_refresh_token = %(token)s"
            " AND (google_refresh_leased_until IS NULL OR google_refresh_leased_until < now())",
            id=grant.business_id,
            token=grant.refresh_token,
        )
        return leased == 1

    async def _release(self, grant: Grant) -> None:
        await self._db.execute(
            "UPDATE businesses SET google_refresh_leased_until = NULL WHERE id = %(id)s", id=grant.business_id
        )

    async def _ask_to_reconnect(self, grant: Grant) -> None:
        """Mark the business as not connected and ask it once; nobody tries these tokens again."""
        if on("invalid-grant-ignored"):
            # Nobody is asked, but the dead token is dropped: retrying it for ever is another defect.
            await self._db.execute(
                "UPDATE businesses SET google_access_token = NULL, google_refresh_token = NULL,"
                " google_refresh_leased_until = NULL WHERE id = %(id)s",
                id=grant.business_id,
            )
            return
        await self._release(grant)
        async with self._db.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE businesses SET calendar_connected = false"
                " WHERE id = %s AND calendar_connected AND google_refresh_token IS NOT DISTINCT FROM %s",
                (grant.business_id, grant.refresh_token),
            )
            if cursor.rowcount == 0:
                return
            await connection.execute(
                "INSERT INTO compliance_events (business_id, event_type, detail)"
                " VALUES (%s, 'calendar_reconnect_required', %s)",
                (grant.business_id, Json({"provider": "google", "reason": "invalid_grant"})),
            )
        if on("alert-missing-reconnect"):
            return
        self._alerts.trouble(
            "calendar to be connected again", str(grant.business_id), "Google answered invalid_grant to a refresh"
        )
