"""An answer of our own instead of the upstream's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from dialtone.interceptor.edit import response
from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, mechanism


@mechanism("status")
@dataclass(frozen=True, slots=True)
class Status(Mechanism):
    """Answers with a status, headers and a body; the upstream hears nothing."""

    status: Annotated[int, Bounds(200, 599)] = 500
    body: str = ""
    """Empty with 200 is the answer that says nothing."""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    async def request(self, act: Act) -> bytes | None:
        """The answer."""
        return response(self.status, self.body.encode(), self.content_type, self.headers)
