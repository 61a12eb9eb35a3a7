"""What every table of a profile is."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """Base of every table of a profile: frozen, unknown keys forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def pattern(value: str) -> str:
    """A regular expression that compiles; else ValueError, in words."""
    try:
        re.compile(value)
    except re.error as wrong:
        raise ValueError(f"not a regular expression: {wrong}") from None
    return value
