"""An authentic answer of a provider, out of `answers/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dialtone.interceptor.answers import Answers, UnknownAnswerError
from dialtone.interceptor.edit import response
from dialtone.interceptor.mechanism import Act, Mechanism, mechanism


@mechanism("answer")
@dataclass(frozen=True, slots=True)
class Answer(Mechanism):
    """Answers as the provider does in one known situation; the upstream hears nothing. Matches its endpoint."""

    provider: str
    row: str
    """`endpoint.answer`, as `dialtone faults answers` lists them."""

    async def request(self, act: Act) -> bytes | None:
        """The row."""
        told = Answers.of(self.provider).row(self.row)
        return response(told.status, told.body.encode(), told.content_type, told.headers)

    def problems(self) -> list[str]:
        """An answer that there is not."""
        try:
            Answers.of(self.provider).row(self.row)
        except UnknownAnswerError as error:
            return [str(error)]
        return []

    def default_match(self) -> dict[str, Any]:
        """The endpoint's host, path and method, for a plan that names none."""
        try:
            return Answers.of(self.provider).match(self.row.partition(".")[0])
        except UnknownAnswerError:
            return {}
