"""200 with a page instead of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.edit import response
from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, mechanism

PAGE = "<!DOCTYPE html><html><head><title>We'll be right back</title></head><body><h1>Maintenance</h1></body></html>"


@mechanism("html")
@dataclass(frozen=True, slots=True)
class Html(Mechanism):
    """Answers with a page of HTML, as an edge or a captive portal does; the upstream hears nothing."""

    status: Annotated[int, Bounds(200, 599)] = 200
    page: str = PAGE

    async def request(self, act: Act) -> bytes | None:
        """The answer."""
        return response(self.status, self.page.encode(), "text/html; charset=utf-8", {})
