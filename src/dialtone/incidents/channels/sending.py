"""What sending is: a message and what the channel remembers of its incident go in, what it shall remember comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from dialtone.http import Answer, FailureKind, Limits
from dialtone.incidents.message import Message

LIMITS = Limits(connect=3, read=5, total=8, max_body=1_000_000)
LONGEST_WAIT = 900.0
"""What a Retry-After may ask for at most, seconds: longer than that is an outage, and the fallback's turn."""

Memory = dict[str, Any]

_NEVER_ARRIVED = {FailureKind.DNS, FailureKind.REFUSED, FailureKind.CONNECT_TIMEOUT, FailureKind.TLS,
                  FailureKind.NO_ADDRESS_FAMILY}  # fmt: skip


class NotSent(Exception):
    """A message that a channel did not take. `reason` is ours and shows no secret.

    `final`: sending it again would change nothing. `doubt`: it may have arrived all the same. `after`: seconds that the
    channel asks to be left alone. `rest`: the addresses that are left, where the others have it.
    """

    def __init__(
        self, reason: str, *, final: bool = False, doubt: bool = False, after: float = 0, rest: Sequence[str] = ()
    ) -> None:
        super().__init__(reason)
        self.reason, self.final, self.doubt, self.after, self.rest = reason, final, doubt, after, tuple(rest)


class Sender(Protocol):
    """One configured channel."""

    def send(self, message: Message, memory: Memory, *, doubt: bool) -> Memory:
        """Send; returns what to remember of this incident. `doubt` says that an earlier try may have arrived.

        Raises NotSent.
        """
        ...

    def close(self) -> None:
        """Give its connections back."""
        ...


class Remembering(Protocol):
    """A channel that can be asked what it has been told: for a store that did not outlive its job."""

    def standing(self, target: str) -> list[Mapping[str, Any]]:
        """The incidents that are not over, with what was remembered of each. Raises NotSent."""
        ...


class Answering(Protocol):
    """A channel on which a person may acknowledge."""

    def acknowledged(self, incidents: Sequence[str]) -> dict[str, str]:
        """Incident -> who has it. Raises NotSent."""
        ...


def taken(answer: Answer, *, now: datetime | None = None) -> Answer:
    """The answer if the peer took the request. Raises NotSent with what its status means for a second try."""
    if answer.failure is not None:
        raise NotSent(str(answer.failure), doubt=answer.failure.kind not in _NEVER_ARRIVED)
    if answer.ok:
        return answer
    if answer.status == 429:
        raise NotSent("429: too many requests", after=wait(answer, now))
    if answer.status == 408 or answer.status >= 500:
        raise NotSent(f"answered {answer.status}", doubt=True, after=wait(answer, now))
    raise NotSent(f"refused with {answer.status}", final=True)


def wait(answer: Answer, now: datetime | None = None) -> float:
    """Seconds that Retry-After asks for (RFC 9110 section 10.2.3: a number or a date); 0 where it says nothing."""
    told = (answer.header("retry-after") or "").strip()
    if told.isascii() and told.isdigit():
        return min(float(told[:9]), LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return 0.0
    left = (at if at.tzinfo else at.replace(tzinfo=UTC)) - (now or datetime.now(UTC))
    return min(max(left.total_seconds(), 0.0), LONGEST_WAIT)
