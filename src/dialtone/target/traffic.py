"""What a profile says of real traffic: a provider's own list, and the table that has to agree with it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from dialtone.target.duration import Duration
from dialtone.target.parts import Part, Text, pattern


class Traffic(Part):
    """`[traffic.NAME]`: what a provider did of late, newest first, and the rows in which the target says the same.

    Templates may hold `{{since}}` (seconds), `{{since_ms}}` and `{{since_iso}}`; SQL gets `%(since)s` (seconds) and
    yields the columns `key` and `at` (seconds), and `id` where one key may have several rows.
    """

    what: Text = Field(default="entries", description="what is counted, in words: payments, calls")
    provider: Text
    path: Text
    body: str | None = Field(default=None, description="template: the list is read by a POST of this JSON")
    items: Text = Field(default="data", description="where the entries stand in an answer")
    key: Text = Field(default="id", description="field of an entry by which the table knows it")
    at: Text = Field(description="field that holds its time: seconds, milliseconds, or ISO 8601")
    once: str | None = Field(default=None, description="field that names what it was for: twice is once too often")
    but: dict[str, str] = Field(default={}, description="field -> regular expression of entries that do not count")
    more: str | None = Field(default=None, description="field that says, names or numbers that there is another page")
    cursor: str | None = Field(default=None, description="parameter, or field of the body, that asks for that page")
    sql: Text
    owes: Literal["both", "table", "provider"] = Field(
        default="both", description="who has to have whatever the other has: the table, the provider, or each"
    )
    window: Duration = 86_400.0
    within: Duration = Field(default=600.0, description="how long an entry may be on its way to the other side")

    @field_validator("but")
    @classmethod
    def _but(cls, value: dict[str, str]) -> dict[str, str]:
        return {name: pattern(text) for name, text in value.items()}


class Listed(Part):
    """`[listed.PROVIDER]`, sandbox only: what a stand-in lists of the time before the start, as the target is seeded.

    Entry number n is called `prefix` and n, with so many `digits`; they are spread evenly over `hours`, 1 the newest.
    """

    prefix: Text
    count: int = Field(gt=0, le=10_000)
    hours: float = Field(gt=0)
    first: int = 1
    step: int = Field(default=1, gt=0)
    digits: int = Field(default=0, ge=0, le=32)
