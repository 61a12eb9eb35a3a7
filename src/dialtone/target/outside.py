"""The tables of a profile that speak of the world around the target: webhooks, providers, limits."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from dialtone.target.duration import Duration
from dialtone.target.parts import Part, Text


class EffectOf(Part):
    """One effect of an accepted event.

    A row (`sql` counts it), an outgoing call (in the stand-ins' journal), or what the target itself tells at `route`.
    """

    what: Text
    sql: str | None = None
    route: str | None = Field(default=None, description="path of the target whose answer holds `contains`")
    provider: str | None = None
    path: str | None = None
    contains: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> EffectOf:
        if [self.sql, self.provider, self.route].count(None) != 2:
            raise ValueError("name one of sql (counts rows), provider (an outgoing call in the journal) and route")
        if self.route and not self.contains:
            raise ValueError("route needs contains: a text that the answer holds when the effect is there")
        return self


class Webhook(Part):
    """`[webhooks.NAME]`: route, signing scheme and key, the provider's real envelope, its deadline and the effects.

    `genuine` is an event with an effect, `harmless` one of a type that the application ignores. `scheme` is one of
    the built-in schemes or a table of options for a configured HMAC scheme.
    """

    route: Text
    scheme: str | dict[str, Any]
    key: Text = Field(description="name of the credential that signs")
    method: Literal["POST", "PUT"] = "POST"
    content_type: Text = "application/json"
    answer_within: Duration
    indent: int | None = Field(default=None, description="spaces by which the provider indents its JSON")
    accepts_from: int = 200
    accepts_to: int = 299
    refuses: list[int] = [400, 401, 403]
    headers: dict[str, str] = Field(default={}, description="further headers of an event, as templates")
    genuine: str | None = None
    harmless: str | None = None
    stop: str | None = None
    help: str | None = None
    effects: list[EffectOf] = []

    @model_validator(mode="after")
    def _refuses_by_no_success(self) -> Webhook:
        both = [status for status in self.refuses if self.accepts_from <= status <= self.accepts_to]
        if both:
            raise ValueError(
                f"refuses names {both[0]}, a success to its sender: what was let in would count as refused;"
                " let accepts_from or accepts_to leave it out, or name another status"
            )
        return self


class RateLimit(Part):
    """`[rate_limits.NAME]`: a limit that the target promises to each client address, and what its refusal is like."""

    route: Text
    requests: int = Field(gt=0)
    window: Duration
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    body: str | None = None
    content_type: str = "application/json"
    refuses: list[int] = Field(default=[429], description="statuses of an answer above the limit")
    headers: list[str] = Field(default=[], description="headers of the refusal that hold a number")
    spoof: list[str] = Field(
        default=[
            "x-forwarded-for",
            "x-real-ip",
            "x-client-ip",
            "cf-connecting-ip",
            "true-client-ip",
            "forwarded",
            "x-originating-ip",
            "x-cluster-client-ip",
        ],
        description="headers by which no client may escape the limit",
    )
