"""Exchanges over HTTP. The only module that imports httpx.

It hands out plain values (status, lower-cased headers, chunks of bytes) and raises TransportError, so that nobody
above depends on the client in use.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import trio

from alloy_trio.values import AlloyError, ConfigurationError, RemoteError, StreamTruncated, TransportError

KEEPALIVE_CONNECTIONS = 20
"""Idle connections kept. With no limit httpcore's pool does cubic work: 1000 streams cost ten times the CPU."""

CLOSE_GRACE_SECONDS = 2.0
"""How long closing idle connections may take; a peer that does not answer a TLS shutdown gets no longer."""

_shared_context: ssl.SSLContext | None = None
_context_lock = threading.Lock()


def _tls_context() -> ssl.SSLContext:
    """One context for the process: making one costs 15 to 20 ms."""
    global _shared_context
    with _context_lock:
        if _shared_context is None:
            _shared_context = httpx.create_ssl_context()
        return _shared_context


def _plain_context() -> ssl.SSLContext:
    # For http:// addresses. It trusts nobody, so a redirect or proxy that wants TLS fails and is not let through.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Response:
    """The head of an answer, and its body in chunks.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)
        # Undecoded chunks skip two layers of httpx; most streams are not compressed. The iterator is kept and not
        # wrapped in a generator of ours: a suspended generator would be finalised after the exchange was closed.
        self._chunks = response.aiter_bytes() if "content-encoding" in self.headers else response.aiter_raw()

    async def receive(self) -> bytes:
        """The next piece of the body, decompressed; empty at its end.

        Raises:
            StreamTruncated: the connection broke before the end.
            TransportError: the server was silent for too long.
        """
        try:
            async for chunk in self._chunks:
                if chunk:
                    return chunk
        except (httpx.HTTPError, httpx.StreamError) as error:
            failure = _translated(error, reading=True)
        else:
            return b""
        raise failure

    async def read(self, limit: int, *, seconds: float) -> bytes:
        """The body's first ``limit`` bytes, or what of them came in time and before the connection broke."""
        held = b""
        with trio.move_on_after(seconds):
            try:
                while len(held) < limit and (chunk := await self.receive()):
                    held += chunk
            except RemoteError:
                # What has come is all there is to tell; the status that it explains is known already.
                return held
        return held[:limit]

    async def aclose(self) -> None:
        """End the exchange; the connection is closed unless the body was read to its end."""
        await self._response.aclose()
        # The iterators inside are suspended where the last chunk came out. Going on, each of them meets the closed
        # connection and ends; left alone they would be finalised by the garbage collector, with a warning.
        try:
            while await anext(self._chunks, None) is not None:
                pass
        except (httpx.HTTPError, httpx.StreamError):
            return


class _Body(httpx.AsyncByteStream):
    """A request's body. httpx's own hands it out by a generator, which a cancel would leave to the collector."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._data)


class _Once:
    """Gives its bytes, then ends."""

    def __init__(self, data: bytes) -> None:
        self._left = [data] if data else []

    def __aiter__(self) -> _Once:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class Transport:
    """A pool of connections to one place.

    Args:
        url: where it leads; only its scheme matters here.
        connect_timeout: seconds to connect.
        client: a caller's own httpx client, used as it is and not closed.
    """

    def __init__(self, url: str, *, connect_timeout: float, client: httpx.AsyncClient | None = None) -> None:
        self._connect_timeout = connect_timeout
        self._owned = client is None
        if client is None:
            client = httpx.AsyncClient(
                verify=_tls_context() if url.startswith("https:") else _plain_context(),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=KEEPALIVE_CONNECTIONS),
                follow_redirects=False,
            )
        self._client = client

    @asynccontextmanager
    async def exchange(
        self, url: str, headers: Mapping[str, str], body: bytes, *, read_timeout: float | None
    ) -> AsyncIterator[Response]:
        """POST a body; yields the response once its head is there.

        Args:
            url: the whole address.
            headers: sent as they are, beside the client's own.
            body: the bytes.
            read_timeout: seconds of silence; None for no bound.

        Raises:
            TransportError: no connection, a reset, silence, or a broken HTTP message.
            ConfigurationError: the address cannot be used.

        *Cancellation*: the connection is closed.
        """
        # Silence is bounded; the size of a pool is not, and neither is the time to send a long history.
        timeout = httpx.Timeout(
            connect=self._connect_timeout, read=read_timeout, write=read_timeout, pool=None
        )
        try:
            request = self._client.build_request(
                "POST", url, headers=dict(headers), content=body, timeout=timeout
            )
            request.stream = _Body(body)
            response: httpx.Response | AlloyError = await self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            response = _translated(error, reading=False)
        if isinstance(response, AlloyError):
            raise response
        exchange = Response(response)
        try:
            yield exchange
        finally:
            with trio.move_on_after(CLOSE_GRACE_SECONDS, shield=True):
                await exchange.aclose()

    async def aclose(self) -> None:
        """Close the connections, shielded and bounded."""
        if self._owned:
            with trio.move_on_after(CLOSE_GRACE_SECONDS, shield=True):
                await self._client.aclose()


def _translated(error: Exception, *, reading: bool) -> AlloyError:
    """Our error for one of httpx's.

    It is raised outside the except block, so that neither cause nor context leads to the original: that holds the
    request, whose headers hold the key.
    """
    detail = ": ".join(filter(None, (type(error).__name__, str(error).strip())))
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return ConfigurationError(f"base_url cannot be used: {detail}")
    if reading and not isinstance(error, httpx.TimeoutException):
        return StreamTruncated(f"the connection broke while the answer was read: {detail}")
    return TransportError(f"{_REASONS.get(type(error), 'the HTTP exchange failed')}: {detail}")


_REASONS: dict[type[Exception], str] = {
    httpx.ConnectError: "no connection could be made",
    httpx.ConnectTimeout: "no connection was made in time (connect_timeout)",
    httpx.ReadTimeout: "the server was silent for too long (read_timeout)",
    httpx.WriteTimeout: "the server did not take the request in time (read_timeout)",
    httpx.ReadError: "the connection broke before the answer",
    httpx.WriteError: "the connection broke while the request was sent",
    httpx.RemoteProtocolError: "the server hung up, or does not speak HTTP",
    httpx.ProxyError: "the proxy refused",
}
