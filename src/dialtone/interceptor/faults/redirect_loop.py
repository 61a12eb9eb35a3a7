"""A redirect to where one already is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.edit import response
from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, mechanism


@mechanism("redirect-loop")
@dataclass(frozen=True, slots=True)
class RedirectLoop(Mechanism):
    """Redirects every request to itself; the upstream hears nothing."""

    status: Annotated[int, Bounds(301, 308)] = 302

    async def request(self, act: Act) -> bytes | None:
        """The answer; a relative Location is resolved against the request (RFC 9110 section 10.2.2)."""
        path = act.head.target.decode("latin-1") if act.head is not None else "/"
        return response(self.status, b"", "", {"location": path})
