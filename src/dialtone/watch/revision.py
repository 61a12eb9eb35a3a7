"""Which commit a deployment serves: waited for before a gate, proved before and after it.

A deployment that is announced may still be answered for by the old one, or by both in turn. So it has to say the same
several times in a row, over connections of its own, before it is looked at, and again when that is over.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dialtone.http import BadBody, Client, Limits, shared_context
from dialtone.target import Target
from dialtone.target.gate import Revision

PROOFS = 8
"""Answers in a row that have to agree, before and after a gate: where half of the answers still come from another
revision, one gate in 65,536 would not see it."""
LONGEST_PAUSE = 15.0
"""Seconds between two looks at most; they begin at one second."""
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class Proof:
    """What was served. `served` is what the last answer told, `asked` counts requests, `waited` is in seconds."""

    wanted: str
    served: str
    proved: bool
    asked: int
    waited: float


def same(told: str, wanted: str) -> bool:
    """Whether both name one commit: one may be the beginning of the other, from 7 digits on."""
    told, wanted = told.strip().lower(), wanted.strip().lower()
    if told == wanted:
        return bool(told)
    short, long = sorted((told, wanted), key=len)
    return bool(_COMMIT.fullmatch(short) and _COMMIT.fullmatch(long)) and long.startswith(short)


class Served:
    """Asks a target what it serves. `asked` counts requests and `looks` holds when they were."""

    def __init__(
        self,
        target: Target,
        revision: Revision,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        profile = target.profile
        times = profile.timeouts
        headers, source = {"user-agent": "dialtone/0.1 (synthetic check)", **target.headers(profile.headers)}, None
        if profile.client_address:  # what the target counts for this address is not the checks'
            block = ipaddress.ip_network(profile.client_address.range)
            address = str(block[secrets.randbelow(block.num_addresses)])
            if profile.client_address.header:
                headers[profile.client_address.header] = address
            else:
                source = address
        self._client = Client(
            profile.base_url,
            limits=Limits(times.connect, times.read, times.total, times.max_body),
            headers=headers,
            verify=shared_context(profile.ca_file),
            local_address=source,
        )
        self._revision, self._clock, self._sleep = revision, clock, sleep
        self.looks: list[float] = []

    def wait(self, wanted: str, within: float, tell: Callable[[str], None] = print) -> Proof:
        """Until `wanted` is served, `within` seconds at most."""
        began, pause, last = self._clock(), 1.0, ""
        while True:
            proof = self.prove(wanted)
            waited = self._clock() - began
            if proof.proved or waited + pause > within:
                return Proof(wanted, proof.served, proof.proved, len(self.looks), waited)
            if proof.served != last:
                tell(f"waiting for {wanted[:12]}: {proof.served}")
                last = proof.served
            self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def prove(self, wanted: str) -> Proof:
        """Several answers in a row, each over a connection of its own; ends at the first that says something else."""
        began, before = self._clock(), len(self.looks)
        for _ in range(PROOFS):
            served, told = self._look()
            if not told or not same(served, wanted):
                return Proof(wanted, served, False, len(self.looks) - before, self._clock() - began)
        return Proof(wanted, served, True, PROOFS, self._clock() - began)

    def spent(self, window: float) -> int:
        """Requests in the last so many seconds: the target's limit counts them."""
        return sum(self._clock() - at < window for at in self.looks)

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def _look(self) -> tuple[str, bool]:
        """What it tells, and whether it told at all: else in words why not."""
        self.looks.append(self._clock())
        answer = self._client.get(self._revision.path, fresh=True)
        if answer.failure:
            return f"it does not answer ({answer.failure})", False
        if answer.status in (301, 302, 303, 307, 308, 401, 403):
            return f"it answers {answer.status}: is it protected, and the bypass set in the profile's headers?", False
        if self._revision.header:
            told: Any = answer.header(self._revision.header)
        else:
            try:
                told = answer.json()
            except BadBody:
                return f"it answers {answer.status}, and no JSON", False
            for part in str(self._revision.field).split("."):
                told = told.get(part) if isinstance(told, dict) else None
        if not isinstance(told, str) or not re.fullmatch(r"[\w.+-]{1,80}", told):
            return f"it answers {answer.status} without a revision in {self._where}", False
        return told, True

    @property
    def _where(self) -> str:
        return f"the header {self._revision.header}" if self._revision.header else f"the field {self._revision.field}"
