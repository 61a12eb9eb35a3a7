"""What every stand-in is: a name, what it answers, and what of a request may be written into the journal."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from dialtone.standins.wire import Answer, Caller, Request

Handler = Callable[..., Answer]


class StandIn(ABC):
    """A local server in the place of one provider."""

    name: ClassVar[str]
    blocking: ClassVar[bool] = False
    """Whether an answer may take long (a database): it is made in a thread then, so that nobody else waits for it."""

    @abstractmethod
    def answer(self, request: Request) -> Answer:
        """The answer of the provider. Raises `Refusal` for a request that it would not take."""

    def caller(self, _request: Request) -> Caller | None:
        """Whose credential the request carries; None where the provider knows none."""
        return None

    def delayed(self, request: Request, seconds: float) -> None:  # noqa: B027 - few care
        """The answer to a request is held back for so long: it counts as still being worked on until then."""

    def recorded_path(self, request: Request) -> str:
        """The path as the journal shows it, without credentials."""
        return request.path

    def recorded_body(self, request: Request) -> Any:
        """The body as the journal shows it, without credentials: JSON types only."""
        return request.parsed()

    def text(self, request: Request) -> str:
        """The body as text, for faults that match on what a request contains."""
        return request.text

    def credentials(self, _request: Request) -> Iterable[str]:
        """Credentials that identify an account, so that the journal can be asked for them without holding them."""
        return ()

    def close(self) -> None:  # noqa: B027 - few care
        """Give back what it keeps open."""


class Routes:
    """A provider's endpoints. `{name}` in a pattern is one path segment, passed to the handler by name."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], Handler] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Handler]] = []

    def __call__(self, method: str, pattern: str) -> Callable[[Handler], Handler]:
        """Register a method of a stand-in as the handler of an endpoint."""

        def register(handler: Handler) -> Handler:
            if "{" in pattern:
                self._patterns.append((method, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern)), handler))
            else:
                self._exact[method, pattern] = handler
            return handler

        return register

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        """The handler of a request and the names found in its path; None when there is no such endpoint."""
        handler = self._exact.get((method, path))
        if handler:
            return handler, {}
        for known, pattern, candidate in self._patterns:
            if known == method and (match := pattern.fullmatch(path)):
                return candidate, match.groupdict()
        return None

    def methods(self, path: str) -> list[str]:
        """The methods that the path knows, sorted; empty when it is unknown."""
        known = {method for method, exact in self._exact if exact == path}
        known.update(method for method, pattern, _ in self._patterns if pattern.fullmatch(path))
        return sorted(known)
