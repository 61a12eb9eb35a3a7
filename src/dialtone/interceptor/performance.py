"""An exchange that faults mean: which of them act, and how they act together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from dialtone.interceptor.again import once_more
from dialtone.interceptor.framing import Body, body
from dialtone.interceptor.heads import CHUNKED, END, BadMessageError, ResponseHead
from dialtone.interceptor.match import MAX_BODY, fields
from dialtone.interceptor.mechanism import Act, Cut, Pieces

if TYPE_CHECKING:
    from dialtone.interceptor.board import Fault
    from dialtone.interceptor.exchange import Exchange

_GATHERED = 64 * 1024
"""Bytes of a request that wait for a fault before the client is not read any more."""


def consider(exchange: Exchange, found: list[Fault], piece: bytes, end: int) -> None:
    """Decide which faults act; `piece` are the first bytes of the request, its head ends at `end`."""
    exchange.hold()
    exchange.gathered.append(piece)
    exchange.size = len(piece)
    exchange.acts = []
    if any(f.matcher.body or f.spec.mechanism.whole_request for f in found) and not exchange.request_done:
        exchange.undecided = found
        if (exchange.head.get(b"expect") or b"").lower() == b"100-continue":
            exchange.inbound.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    else:
        _decide(exchange, found, len(piece) > end)


def more(exchange: Exchange, piece: bytes) -> None:
    """A further piece of a request's body."""
    if exchange.discard:
        return
    inbound = exchange.inbound
    if exchange.forwarded:
        if inbound.outbound is not None:
            inbound.outbound.transport.write(piece)
        else:
            inbound.pend(piece)
        return
    exchange.gathered.append(piece)
    exchange.size += len(piece)
    size = exchange.size
    if exchange.undecided is not None:
        if exchange.request_done or size > MAX_BODY:
            found, exchange.undecided = exchange.undecided, None
            _decide(exchange, found, exchange.request_done)
    elif size > _GATHERED:
        inbound.stop(inbound.ACTING)


def _decide(exchange: Exchange, found: list[Fault], with_body: bool) -> None:
    board, raw, parsed = exchange.inbound.core.board, b"", None
    if with_body:
        raw = plain_body(exchange.head.length(), b"".join(exchange.gathered)[len(exchange.head.raw) :])
        if any(fault.matcher.body for fault in found):
            parsed = fields(exchange.head, raw)
    acts = [act for f in found if (act := board.act(f, exchange.host, exchange.head, parsed)) is not None]
    if not acts:
        exchange.acts = None
        exchange.inbound.forward(exchange, b"".join(exchange.gathered))
        return
    exchange.acts = acts
    if not any(act.fault.asked for act in acts):  # only the answer is meant: the request need not wait for its turn
        gathered = b"".join(exchange.gathered)
        exchange.gathered.clear()
        exchange.inbound.forward(exchange, gathered)
    exchange.inbound.spawn(_perform(exchange, acts, raw))


def plain_body(length: int | None, raw: bytes) -> bytes:
    """A body without its chunks."""
    if length != CHUNKED:
        return raw
    parts, at = [], 0
    while (line := raw.find(b"\r\n", at)) >= 0:
        size = int(raw[at:line].partition(b";")[0], 16)
        if not size:
            break
        parts.append(raw[line + 2 : line + 2 + size])
        at = line + size + 4
    return b"".join(parts)


async def _perform(exchange: Exchange, acts: list[Act], raw: bytes) -> None:
    try:
        await _played(exchange, acts, raw)
    finally:
        exchange.acts = []  # they lead back to it


async def _played(exchange: Exchange, acts: list[Act], raw: bytes) -> None:
    inbound, cut, why = exchange.inbound, None, None
    watch = _Watch(exchange)
    try:
        await _play(exchange, acts, raw, watch)
    except Cut as end:
        cut = end.with_traceback(None)  # else it and this frame would keep each other
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except Exception as error:  # noqa: BLE001 - a mechanism's mistake must not leave a client waiting
        cut, why = Cut("reset"), f"{type(error).__name__} in a fault: {error}"
    if inbound.exchange is not exchange:
        return
    told: dict[str, Any] = inbound.about(exchange)
    told |= {"status": watch.status, "upstream_status": exchange.status or None, "end": cut.how if cut else None}
    if exchange.broken is not None and cut is exchange.broken:
        told["why"] = "the upstream broke off"
    inbound.core.journal.event("exchange", **told, **({"why": why, "by": "ours"} if why else {"by": "fault"}))
    if cut is not None:
        inbound.exchange = None
        inbound.end(cut.how)
        if cut.how == "half":
            await acts[-1].fault.waiting.pause(None)
            inbound.end("close")
        return
    if not exchange.response_done:
        inbound.drop()
    exchange.closes = exchange.closes or watch.breaks() or not exchange.request_done
    inbound.finish(exchange)


async def _play(exchange: Exchange, acts: list[Act], raw: bytes, watch: _Watch) -> None:
    inbound, answer = exchange.inbound, None
    for act in acts:
        act.request_body = raw
        act.beside, act.note = inbound.core.beside, partial(_note, exchange, act.fault.id)
        act.resend = partial(once_more, inbound.core, exchange.target, exchange.head, raw)
        if act.fault.asked and answer is None:
            answer = await act.fault.spec.mechanism.request(act)
    gathered = b"".join(exchange.gathered)
    exchange.gathered.clear()
    if answer is None:
        if not exchange.forwarded:
            inbound.forward(exchange, gathered)
        pieces: Pieces = exchange.pieces()
    else:
        exchange.discard = exchange.response_done = True
        pieces = _given(answer)
    inbound.go(inbound.ACTING)
    for act in acts:
        pieces = act.fault.spec.mechanism.answer(act, pieces)
    async for piece in pieces:
        if inbound.exchange is not exchange:
            return
        watch.see(piece)
        exchange.out += len(piece)
        inbound.write(piece)
        await inbound.drained()


def _note(exchange: Exchange, fault: str, what: str) -> None:
    exchange.inbound.core.journal.event("note", fault=fault, host=exchange.host, by="fault", what=what)


async def _given(answer: bytes) -> AsyncIterator[bytes]:
    end = answer.find(END) + 4
    yield answer[:end]
    if len(answer) > end:
        yield answer[end:]


class _Watch:
    """Looks at what is sent: an answer whose framing a fault has broken leaves a connection that cannot go on."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.status = 0
        self._body: Body | None = None
        self._whole = self._broken = False

    def see(self, piece: bytes) -> None:
        """Follow one piece that goes out."""
        if self._whole or self._broken:
            self._broken = True
            return
        try:
            start = 0
            if self._body is None:
                start = piece.find(END) + 4
                head = ResponseHead(piece[:start])
                self.status = head.status
                self._exchange.closes = self._exchange.closes or head.closes()
                self._body = body(head.framing(self._exchange.head.method))
            end = self._body.take(piece, start)
            self._whole, self._broken = end >= 0, 0 <= end < len(piece)
        except BadMessageError:
            self._broken = True

    def breaks(self) -> bool:
        """Whether the client cannot know where the answer ends."""
        return self._broken or not self._whole
