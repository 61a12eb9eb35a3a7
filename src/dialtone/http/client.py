"""The prober's HTTP client."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import httpcore
import httpx

from dialtone.http import redirects
from dialtone.http.answer import Answer, Failure, FailureKind, Headers, Url
from dialtone.http.body import OFFERED, Body
from dialtone.http.exchange import Exchange, Interrupted, Limits
from dialtone.http.transport import EXTENSION, Transport
from dialtone.http.trust import shared_context

_DEFAULTS = {"user-agent": "dialtone", "accept": "*/*", "accept-encoding": OFFERED, "connection": "keep-alive"}
_NOTHING: Mapping[str, Any] = {"headers": None, "json": None, "content": None, "data": None}
_NO_HEADERS = Headers()


class Client:
    """Requests to `base_url`, or to whole URLs. Keeps no cookies, and one idle connection to each origin: requests that
    may be sent twice use it again, POST and PATCH get a new one.

    `headers` go with every request. `verify` is a context of `shared_context` (the web's authorities without one),
    `local_address` the address to speak from. Proxies named in the environment are not used: they would re-route a
    probe without anybody noticing. `transport` replaces the network, for tests.
    """

    def __init__(
        self,
        base_url: str,
        *,
        limits: Limits | None = None,
        headers: Mapping[str, str] | None = None,
        verify: ssl.SSLContext | None = None,
        local_address: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base, self._limits, self._clock = base_url.rstrip("/"), limits or Limits(), clock
        self._headers = {**_DEFAULTS, **{k.lower(): v for k, v in (headers or {}).items()}}
        self._verify, self._source = verify, local_address
        self._given = transport
        self._made: dict[bool, Transport] = {}

    def send(
        self,
        method: str,
        where: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | str | None = None,
        data: Mapping[str, Any] | None = None,
        fresh: bool = False,
        follow: int = 0,
    ) -> Answer:
        """Send one request to a path below `base_url` or to a whole URL, and return what came of it.

        Whatever the network or the peer does is in the answer; what is wrong with the request itself raises
        ValueError. The body is `json`, `content` as it is, or `data` as a form. `fresh` uses a connection of its own,
        looks the name up anew, and closes it. `follow` is how many redirects to follow.
        """
        options = {"headers": headers, "json": json, "content": content, "data": data}
        answer = self._send(method.upper(), self._url(where), fresh, options)
        return self._follow(answer, follow, options) if follow else answer

    def follow(self, answer: Answer, most: int | None = None) -> Answer:
        """The answer at the end of the redirects of `answer`, `most` (by default `limits.max_redirects`) at most.

        Redirects to another host are not followed, nor from https to http: the last answer then says so. One that
        would send a body again (307 and 308 of a POST) is left; `send(follow=…)` still has that body.
        """
        return self._follow(answer, self._limits.max_redirects if most is None else most, None)

    def connect(self, where: str = "") -> Answer:
        """Make a new connection and close it: an answer without a status, of which the phases are of interest."""
        url = self._url(where)
        try:
            target = httpx.URL(url[:])
        except httpx.InvalidURL:
            return _no_url("CONNECT", url)
        if not _askable(target):
            return _no_url("CONNECT", url)
        transport = self._transport(target.scheme == "https")
        exchange = Exchange(self._limits, self._clock, fresh=True)
        failure = None
        try:
            if isinstance(transport, Transport):
                transport.connect(target, exchange)
        except Interrupted as wrong:
            failure = wrong.failure
        return Answer("CONNECT", url, phases=exchange.phases(), failure=failure)

    def get(self, where: str, **options: Any) -> Answer:
        """GET; options of `send`."""
        return self.send("GET", where, **options)

    def head(self, where: str, **options: Any) -> Answer:
        """HEAD; options of `send`."""
        return self.send("HEAD", where, **options)

    def options(self, where: str, **options: Any) -> Answer:
        """OPTIONS; options of `send`."""
        return self.send("OPTIONS", where, **options)

    def post(self, where: str, **options: Any) -> Answer:
        """POST; options of `send`."""
        return self.send("POST", where, **options)

    def put(self, where: str, **options: Any) -> Answer:
        """PUT; options of `send`."""
        return self.send("PUT", where, **options)

    def patch(self, where: str, **options: Any) -> Answer:
        """PATCH; options of `send`."""
        return self.send("PATCH", where, **options)

    def delete(self, where: str, **options: Any) -> Answer:
        """DELETE; options of `send`."""
        return self.send("DELETE", where, **options)

    def close(self) -> None:
        """Close the idle connections."""
        for transport in self._made.values():
            transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _url(self, where: str) -> Url:
        if "://" in where.partition("?")[0]:
            return Url(where)
        joint = "" if not where or where[0] in "/?" else "/"
        return Url(f"{self._base}{joint}{where}")

    def _transport(self, secure: bool) -> httpx.BaseTransport:
        """One for plain and one for TLS: the authorities of the web are loaded only when somebody needs them."""
        if self._given is not None:
            return self._given
        if secure not in self._made:
            context = (self._verify or shared_context()) if secure else None
            self._made[secure] = Transport(context, self._source)
        return self._made[secure]

    def _send(self, method: str, url: Url, fresh: bool, options: Mapping[str, Any]) -> Answer:
        try:
            request = httpx.Request(
                method,
                url[:],
                headers=self._headers | {k.lower(): v for k, v in (options["headers"] or {}).items()},
                json=options["json"],
                content=options["content"],
                data=options["data"],
            )
        except httpx.InvalidURL:
            return _no_url(method, url)
        except UnicodeEncodeError:
            raise ValueError("a header of the request holds characters that HTTP does not know") from None
        if not _askable(request.url):
            return _no_url(method, url)
        transport = self._transport(request.url.scheme == "https")
        exchange = request.extensions[EXTENSION] = Exchange(self._limits, self._clock, fresh=fresh)
        try:
            response = transport.handle_request(request)
        except Interrupted as wrong:
            return _answer(method, url, exchange, failure=wrong.failure)
        except httpcore.LocalProtocolError:
            raise ValueError("a header of the request holds characters that HTTP forbids") from None
        except httpx.TransportError as wrong:  # of a transport that is not ours
            return _answer(method, url, exchange, failure=_of_httpx(wrong))
        return self._read(method, url, exchange, response)

    def _read(self, method: str, url: Url, exchange: Exchange, response: httpx.Response) -> Answer:
        headers = Headers(response.headers.raw)
        body = Body(headers.all("content-encoding"), self._limits.max_body)
        exchange.body, exchange.expected = 0, _number(headers.all("content-length"))
        failure = None
        try:
            for chunk in response.stream:  # type: ignore[union-attr]  # ours is a synchronous one
                exchange.body += len(chunk)
                body.feed(chunk)
            body.finish()
        except Interrupted as wrong:
            failure = wrong.failure
        except httpx.TransportError as wrong:
            failure = _of_httpx(wrong)
        finally:
            response.stream.close()  # type: ignore[union-attr]
        return _answer(method, url, exchange, response.status_code, headers, body.content(), failure)

    def _follow(self, answer: Answer, most: int, options: Mapping[str, Any] | None) -> Answer:
        seen = {(answer.method, answer.url[:])}
        while (step := redirects.after(answer)) is not None:
            if isinstance(step, Failure):
                return replace(answer, failure=step)
            if step.off_host:
                return replace(answer, redirected_off_host=True)
            if options is None and not step.bodiless:
                return answer
            if (step.method, step.url[:]) in seen:
                return replace(answer, failure=redirects.loop(f"the redirects lead in a circle of {len(seen)}"))
            if len(seen) > most:
                return replace(answer, failure=redirects.loop(f"more than {most} redirects"))
            headers = options["headers"] if options else None
            kept = {**_NOTHING, "headers": headers} if step.bodiless or options is None else options
            answer = replace(self._send(step.method, step.url, False, kept), hops=len(seen))
            seen.add((step.method, step.url[:]))
        return answer


def _answer(
    method: str,
    url: Url,
    exchange: Exchange,
    status: int = 0,
    headers: Headers = _NO_HEADERS,
    body: bytes = b"",
    failure: Failure | None = None,
) -> Answer:
    return Answer(method, url, status, headers, body, exchange.phases(), exchange.reused, failure)


def _askable(url: httpx.URL) -> bool:
    return url.scheme in ("http", "https") and bool(url.host) and (url.port or 80) < 65_536


def _no_url(method: str, url: Url) -> Answer:
    return Answer(method, url, failure=Failure(FailureKind.PROTOCOL, "not a URL that HTTP can ask for"))


def _number(values: list[str]) -> int | None:
    return int(values[0]) if values and values[0].isascii() and values[0].isdigit() and len(values[0]) < 16 else None


def _of_httpx(wrong: httpx.TransportError) -> Failure:
    """The failure for an error of another transport, whose text may quote anything."""
    kinds: tuple[tuple[type[httpx.TransportError], FailureKind, str], ...] = (
        (httpx.ConnectTimeout, FailureKind.CONNECT_TIMEOUT, "no connection in time"),
        (httpx.TimeoutException, FailureKind.TIMEOUT, "no answer in time"),
        (httpx.ConnectError, FailureKind.REFUSED, "no connection"),
        (httpx.NetworkError, FailureKind.RESET, "connection reset"),
    )
    found = next(((kind, reason) for error, kind, reason in kinds if isinstance(wrong, error)), None)
    return Failure(*found) if found else Failure(FailureKind.PROTOCOL, "the answer is not HTTP")
