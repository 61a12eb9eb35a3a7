"""What every table of a profile is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """Base of every table of a profile: frozen, unknown keys forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True)
