"""What a profile says of its books: where it stands that what customers were promised has been done."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from dialtone.target.parts import Part, Text, pattern


class Accepted(Part):
    """Requests that a stand-in took: `provider` and `path` (glob) as its journal knows them."""

    provider: Text
    path: Text = "*"
    method: Literal["POST", "PUT", "PATCH", "GET", "SMTP"] = "POST"


class Book(Part):
    """`[books.NAME]`: one of three sources whose entries show that a promise of the kind `of` was kept.

    `sql` yields the columns `key`, `id` and `at` (seconds since the epoch) for `%(tenants)s`, a list of their ids;
    `provider` and `path` are a provider's own list, once for each tenant; `accepted` is what a stand-in took in.
    """

    of: Text
    sql: str | None = None
    provider: str | None = None
    path: str | None = Field(default=None, description="template: {{stripe_customer_id}} is a field of the tenant")
    items: Text = Field(default="data", description="where the entries stand in an answer; lists on the way are joined")
    accepted: Accepted | None = None
    key: Text = Field(default="key", description="field of an entry by which a promise is known")
    id: Text = Field(default="id", description="field of an entry that no other has")
    at: str | None = Field(default=None, description="field of an entry that holds its time")
    part: str | None = Field(default=None, description="regular expression: the part of `key` that is the key")
    whose: dict[str, str] = Field(
        default={},
        description="field of an entry -> field of the tenant that it equals: entries of others are left out",
    )
    translate: str | None = Field(
        default=None, description="SQL with the columns `key` and `known`, for %(tenants)s: what a key is known as"
    )

    @field_validator("part")
    @classmethod
    def _part(cls, value: str | None) -> str | None:
        return value and pattern(value)

    @model_validator(mode="after")
    def _one_source(self) -> Book:
        named = [name for name in ("sql", "provider", "accepted") if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"one of sql, provider with path, and accepted is needed, not {len(named)} of them")
        if self.provider is not None and self.path is None:
            raise ValueError("path is needed: where the provider lists them")
        return self
