"""The right body under the wrong name."""

from __future__ import annotations

from dataclasses import dataclass

from dialtone.interceptor.edit import set_header
from dialtone.interceptor.mechanism import Act, Mechanism, Pieces, mechanism


@mechanism("content-type")
@dataclass(frozen=True, slots=True)
class ContentType(Mechanism):
    """Changes the answer's Content-Type and nothing else."""

    value: str = "text/plain"

    needs_http = True

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Only the head changes."""
        first = act.head is not None
        async for piece in pieces:
            yield set_header(piece, b"Content-Type", self.value.encode("latin-1", "replace")) if first else piece
            first = False

    def problems(self) -> list[str]:
        """A value that would break the head."""
        return ["value: no line breaks"] if "\r" in self.value or "\n" in self.value else []
