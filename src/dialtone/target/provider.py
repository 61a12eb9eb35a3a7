"""What a profile says of an external API: how it is read, how often, what it says of itself, what is left there."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from dialtone.target.parts import Part, Text, pattern

_QUOTA = re.compile(r"(\d{1,12})/(day|month)")


def per_month(value: Any) -> int:
    """Requests a month (30 days) from `"10000/month"` or `"500/day"`; a number alone is taken for a month's."""
    match = _QUOTA.fullmatch(value.replace(" ", "").replace("_", "")) if isinstance(value, str) else None
    if not match:
        raise ValueError('a quota is a number of reads and its time: "10000/month" or "500/day"')
    return int(match[1]) * (30 if match[2] == "day" else 1)


class Leftovers(Part):
    """`[[providers.NAME.leftovers]]`: one kind of thing that checks leave at a provider, and how it is found again.

    `path` lists it, newest or marked ones; in each of `items` the field `marker` holds the marker of its run.
    """

    path: Text
    items: Text = "data"
    id: Text = "id"
    marker: Text
    remove: Text = Field(description="path of one, as a template: {{id}}")
    method: Literal["DELETE", "POST", "PATCH"] = "DELETE"
    body: str | None = None
    more: str | None = Field(default=None, description="field that says, or names, that there is another page")
    cursor: str | None = Field(default=None, description="query parameter that asks for the page after")
    credential: str | None = Field(default=None, description="one that may remove, where the probe's only reads")


class Provider(Part):
    """`[providers.NAME]`: an external API, its cheapest read and the prober's own credential for it."""

    base_url: Text
    probe: str | None = None
    auth: Literal["bearer", "basic", "none", "google"] = "bearer"
    credential: str | None = None
    token_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    method: Literal["GET", "POST"] = "GET"
    headers: dict[str, str] = Field(default={}, description="sent with each read; `credential:NAME` for a secret")
    query: dict[str, str] = Field(default={}, description="parameters of each read; `credential:NAME` for a secret")
    status: list[int] = Field(default=[200], description="answers of the probe that are good")
    deliveries: str | None = Field(default=None, description="path of the provider's own record of deliveries")
    endpoints: str | None = Field(default=None, description="path of the provider's list of webhook endpoints")
    status_page: str | None = None
    status_components: list[str] = Field(default=[], description="the components of its status page that matter here")
    quota: Annotated[int, BeforeValidator(per_month)] | None = Field(default=None, description="reads a month")
    grant: str | None = Field(default=None, description="the narrowest that `credential` can be, in words")
    narrow: str | None = Field(default=None, description="regular expression of a credential that is as narrow")
    leftovers: list[Leftovers] = []

    @field_validator("narrow")
    @classmethod
    def _narrow(cls, value: str | None) -> str | None:
        return pattern(value) if value else None


class Tool(Part):
    """`[tools.NAME]`: an API that repairs and maintenance work with, by a credential that may do what they do there.

    `paths` are its paths by name, as templates.
    """

    base_url: Text
    auth: Literal["bearer", "basic", "none"] = "bearer"
    credential: str | None = None
    headers: dict[str, str] = {}
    paths: dict[str, str] = {}
