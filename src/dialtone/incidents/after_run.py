"""What a run of checks does about incidents, in two steps: one within the transaction of its results, one after it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialtone.history import Store, StoreError
from dialtone.target import ProfileError, alerting

if TYPE_CHECKING:
    from dialtone.history import Run
    from dialtone.incidents.handover import Handover
    from dialtone.target import Target


class AfterRun:
    """What follows from the verdicts of a run: incidents in the same transaction, messages after it.

    Inert where nothing is configured. Trouble becomes lines for people: alerting never costs a run its verdicts.
    """

    def __init__(self, config: Path, target: Target, place: str, told: list[str]) -> None:
        self._place, self._told, self._folder = place, told, config.parent
        self._handover: Handover | None = None
        self._in_memory: Callable[[Store], None] | None = None
        try:
            if not alerting(config).routes:
                return
            from dialtone.incidents.handover import Handover, RoutesError

            try:
                self._handover = Handover.open(config, target)
            except RoutesError as wrong:
                told += [f"nobody can be told: {line}" for line in str(wrong).splitlines()]
        except ProfileError as wrong:
            told += str(wrong).splitlines()

    def takes(
        self, run: Run, entries: Sequence[Mapping[str, Any]], diagnosis: Mapping[str, Any] | None
    ) -> Callable[[Store], None] | None:
        """What to do within the transaction of the last results; None for nothing."""
        handover = self._handover
        if handover is None:
            return None
        self._with_store(lambda store: handover.recall(store, time.time()))

        def absorb(store: Store) -> None:
            handover.absorb(store, run, entries, time.time(), diagnosis)

        def absorbed(store: Store) -> None:
            absorb(store)
            self._in_memory = None

        self._in_memory = absorb
        return absorbed

    def send(self) -> bool:
        """Let the messages go; whether some reached nobody."""
        handover = self._handover
        if handover is None:
            return False
        from dialtone.incidents.handover import unheard
        from dialtone.incidents.outbox import Outbox

        lines: list[str] = []

        def deliver(store: Store, *, wary: bool = False) -> None:
            handover.deliver(store, wary=wary)
            lines.extend(unheard(Outbox(store.engine).unheard(time.time()), self._folder, os.environ))

        if self._in_memory is not None:  # a history in trouble keeps nobody from being told
            self._told.append("the history is in trouble: incidents of this round are judged and told without it")
            store = Store.open(Path(":memory:"))
            handover.recall(store, time.time())
            with store.engine.transaction():
                self._in_memory(store)
            deliver(store, wary=True)
            store.close()
        else:
            self._with_store(lambda store: self._deliver(store, deliver))
        handover.close()
        self._told += [*handover.words(), *lines]
        return bool(lines)

    def _deliver(self, store: Store, deliver: Callable[..., None]) -> None:
        """Deliver; where the store can be read and no more, from a copy in memory."""
        try:
            deliver(store)
        except StoreError as trouble:
            from dialtone.incidents.outbox import Outbox

            copy = Store.open(Path(":memory:"))
            waiting = Outbox(copy.engine).copied(Outbox(store.engine))
            self._told.append(f"{trouble}: {waiting} message(s) leave without it, and may leave again")
            deliver(copy, wary=True)
            copy.close()

    def _with_store(self, work: Callable[[Store], None]) -> None:
        try:
            store = Store.open(self._place)
        except StoreError as trouble:
            self._told.append(f"no incidents without a history: {trouble}")
            return
        try:
            work(store)
        except StoreError as trouble:
            self._told.append(f"messages may be late: {trouble}")
        finally:
            store.close()
