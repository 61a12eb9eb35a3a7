"""An httpx transport that keeps at most one idle connection to each origin and knows which one it uses.

It stands where `httpx.HTTPTransport` would: it takes an `httpx.Request` and gives an `httpx.Response`, so that anything
else that speaks httpx's transport interface (`httpx.MockTransport`, respx) can stand there as well. Underneath is one
`httpcore.HTTPConnection` an origin instead of httpcore's pool: a prober has to say which connection is new.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator

import httpcore
import httpx

from dialtone.http.answer import FailureKind
from dialtone.http.exchange import Exchange, Interrupted
from dialtone.http.network import Resolver, Wire

EXTENSION = "dialtone"
"""Key of `httpx.Request.extensions` under which the request's `Exchange` travels."""

# Shorter than the shortest idle time-out that is usual among servers (gunicorn 2 s, Node.js and uvicorn 5 s): a request
# that crosses the server's close on the wire would look like an outage.
_IDLE = 1.5

# Methods that may be sent twice (RFC 9110 section 9.2.2), and so over a connection that may be dead already. The others
# get a new one: whether a POST that was cut off took effect cannot be known.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})

_Key = tuple[bytes, bytes, int]


class Transport(httpx.BaseTransport):
    """Connections of one client, all from `source` if one is given. Safe to use from several threads."""

    def __init__(self, context: ssl.SSLContext | None, source: str | None = None) -> None:
        self._context, self._source = context, source
        self._resolver = Resolver()
        self._idle: dict[_Key, tuple[httpcore.HTTPConnection, Wire]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the response's body is still to be read. Raises Interrupted."""
        exchange: Exchange = request.extensions[EXTENSION]
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        key = (url.raw_scheme, url.raw_host, port)
        raw = httpcore.Request(
            request.method,
            httpcore.URL(scheme=key[0], host=key[1], port=port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
        )
        repeatable = request.method in _IDEMPOTENT
        connection, wire = self._take(key, exchange) if repeatable else self._open(key, exchange)
        try:
            with named(exchange):
                response = connection.handle_request(raw)
        except Interrupted as wrong:
            # The server may have closed an idle connection just now. A new one tells whether that is all.
            if wrong.failure.kind is not FailureKind.RESET or exchange.received or not exchange.reused:
                raise
            exchange.restart()
            connection, wire = self._open(key, exchange)
            with named(exchange):
                response = connection.handle_request(raw)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, exchange, lambda: self._give_back(key, connection, wire, exchange)),
        )

    def connect(self, url: httpx.URL, exchange: Exchange) -> None:
        """Make a connection, with TLS if it is https, and close it again. Raises Interrupted."""
        wire = Wire(self._resolver, exchange)
        stream = wire.connect_tcp(
            url.raw_host.decode(), url.port or (443 if url.scheme == "https" else 80), local_address=self._source
        )
        try:
            if url.scheme == "https" and self._context is not None:
                stream = stream.start_tls(self._context, url.raw_host.decode())
        finally:
            stream.close()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            _, (connection, _) = self._idle.popitem()
            connection.close()

    def _take(self, key: _Key, exchange: Exchange) -> tuple[httpcore.HTTPConnection, Wire]:
        # Taken out while it is in use, so that two threads cannot have the same one.
        kept = None if exchange.fresh else self._idle.pop(key, None)
        if kept is None:
            return self._open(key, exchange)
        connection, wire = kept
        if connection.has_expired():
            connection.close()
            return self._open(key, exchange)
        wire.exchange, exchange.reused = exchange, True
        return kept

    def _open(self, key: _Key, exchange: Exchange) -> tuple[httpcore.HTTPConnection, Wire]:
        exchange.reused = False
        wire = Wire(self._resolver, exchange)
        connection = httpcore.HTTPConnection(
            httpcore.Origin(*key),
            ssl_context=self._context,
            keepalive_expiry=_IDLE,
            local_address=self._source,
            network_backend=wire,
        )
        return connection, wire

    def _give_back(self, key: _Key, connection: httpcore.HTTPConnection, wire: Wire, exchange: Exchange) -> None:
        if exchange.fresh or not connection.is_idle() or key in self._idle:
            connection.close()
        else:
            self._idle[key] = connection, wire


class _Body(httpx.SyncByteStream):
    """The raw body, chunk by chunk; closing it gives the connection back."""

    def __init__(self, response: httpcore.Response, exchange: Exchange, done: Callable[[], None]) -> None:
        self._response, self._exchange, self._done = response, exchange, done

    def __iter__(self) -> Iterator[bytes]:
        with named(self._exchange):
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()
        self._done()


@contextlib.contextmanager
def named(exchange: Exchange) -> Iterator[None]:
    """Gives httpcore's errors a failure kind and a sentence; their own text quotes the peer."""
    try:
        yield
    except httpcore.WriteError:
        raise exchange.cut("reset") from None
    except httpcore.RemoteProtocolError as wrong:
        raise (exchange.cut("closed") if exchange.ended else _not_http(wrong)) from None


def _not_http(wrong: httpcore.RemoteProtocolError) -> Interrupted:
    if "too long" in str(wrong):  # h11: an event that is larger than its buffer
        return Interrupted(FailureKind.TOO_LARGE, "the headers of the answer are larger than 100 kB")
    return Interrupted(FailureKind.PROTOCOL, "the answer is not HTTP")
