"""A server on the loopback interface that answers with recorded exchanges, byte for byte.

One task accepts, one task serves each connection; all live in the nursery of :func:`open_replay_server`. h11
reads the requests and keeps count of what HTTP/1.1 allows on a connection; it also frames the answers, so a
fault is an answer whose sending stops early.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import attrs
import h11
import trio

from ._exchanges import Answer, Chunking, Close, Exchange, Framing, Garbage, Hang, ReplayRequest, Reset, cut

Match: TypeAlias = Callable[[ReplayRequest], Exchange | None]
"""Chooses the answer to a request; None when there is none."""

Check: TypeAlias = Callable[[ReplayRequest, Exchange], "Iterable[str] | str | None"]
"""Compares a request with the exchange that is about to answer it; returns what differs."""

_RECEIVE_BYTES = 65536


@attrs.frozen(kw_only=True)
class ReplayStatistics:
    """What a replay server has seen.

    Args:
        connections: accepted since it was opened.
        connections_open: of these, still open.
        requests: that arrived whole.
        exchanges_left: that were not asked for yet; 0 when a matcher chooses.
    """

    connections: int
    connections_open: int
    requests: int
    exchanges_left: int


class _Fault(Exception):
    """The connection ends here, as the fault wants it."""


@attrs.define(eq=False)
class ReplayServer:
    """What :func:`open_replay_server` gives.

    Attributes:
        url: like ``"http://127.0.0.1:43210"``, without a slash at its end.
        requests: every request that arrived whole, in order; keys are scrubbed.
        problems: what was wrong with them, in words: a request that no exchange answers, or that differs
            from the recorded one. Such a request got status 500 and the same words.
    """

    url: str
    requests: list[ReplayRequest] = attrs.field(factory=list, init=False)
    problems: list[str] = attrs.field(factory=list, init=False)
    _exchanges: list[Exchange] = attrs.field(alias="exchanges")
    _match: Match | None = attrs.field(alias="match")
    _check: Check | None = attrs.field(alias="check")
    _chunking: Chunking = attrs.field(alias="chunking")
    _framing: Framing | None = attrs.field(alias="framing")
    _headers_after: float = attrs.field(alias="headers_after")
    _chunks_after: float = attrs.field(alias="chunks_after")
    _served: int = attrs.field(default=0, init=False)
    _connections: int = attrs.field(default=0, init=False)
    _open: set[trio.SocketStream] = attrs.field(factory=set, init=False)

    def statistics(self) -> ReplayStatistics:
        """Counts as they stand now; after the block all connections are closed."""
        return ReplayStatistics(
            connections=self._connections,
            connections_open=len(self._open),
            requests=len(self.requests),
            exchanges_left=len(self._exchanges) - self._served,
        )

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One connection, from accept to close."""
        self._connections += 1
        self._open.add(stream)
        try:
            connection = h11.Connection(h11.SERVER)
            while await self._serve_request(stream, connection):
                connection.start_next_cycle()
        except (_Fault, trio.BrokenResourceError, h11.RemoteProtocolError):
            pass  # the fault was wanted; a client that breaks off, or speaks no HTTP, gets no further answer
        finally:
            self._open.discard(stream)
            stream.socket.close()

    async def _serve_request(self, stream: trio.SocketStream, connection: h11.Connection) -> bool:
        """Read one request and answer it; whether the connection can carry another."""
        request = await _read_request(stream, connection)
        if request is None:
            return False
        self.requests.append(request)
        exchange = self._answer_to(request)
        if self._headers_after > 0:
            await trio.sleep(self._headers_after)
        await self._answer(stream, connection, exchange)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    def _answer_to(self, request: ReplayRequest) -> Exchange:
        number = len(self.requests)
        if self._match is not None:
            exchange = self._match(request)
            missing = "the matcher knows no exchange for it"
        else:
            exchange = self._exchanges[self._served] if self._served < len(self._exchanges) else None
            self._served += exchange is not None
            missing = (
                f"all {len(self._exchanges)} exchanges have been served; this is one more than was recorded"
            )
        if exchange is None:
            problems = [f"request {number} ({request.method} {request.path}): {missing}"]
        else:
            found = (self._check(request, exchange) if self._check else None) or ()
            label = f"request {number}" + (f" against {exchange.id}" if exchange.id else "")
            problems = [f"{label}: {problem}" for problem in ((found,) if isinstance(found, str) else found)]
        if exchange is not None and not problems:
            return exchange
        self.problems += problems
        return _refusal(problems)

    async def _answer(
        self, stream: trio.SocketStream, connection: h11.Connection, exchange: Exchange
    ) -> None:
        fault = exchange.fault
        if isinstance(fault, Garbage):
            await stream.send_all(fault.data)
            raise _Fault
        if isinstance(fault, Answer):
            exchange = attrs.evolve(
                exchange,
                body=fault.body,
                status=fault.status,
                headers={"content-type": fault.content_type, **fault.headers},
                stream=False,
                fault=None,
            )
            fault = None
        if fault is not None and fault.after is None:
            await _break_off(stream, fault)
        framing = self._framing or ("chunked" if exchange.stream else "length")
        # h11 gives a client of HTTP/1.1 no body that ends with the connection: that one is made by hand.
        by_hand = framing == "close"
        head = h11.Response(
            status_code=exchange.status,
            headers=[*_header_bytes(exchange.headers), *_framing_header(framing, len(exchange.body))],
        )
        await stream.send_all(_render(head) if by_hand else connection.send(head) or b"")
        limit = fault.after if fault is not None else None
        body = exchange.body if limit is None else exchange.body[:limit]
        for number, piece in enumerate(cut(body, self._chunking)):
            if number and self._chunks_after > 0:
                await trio.sleep(self._chunks_after)
            await stream.send_all(piece if by_hand else connection.send(h11.Data(data=piece)) or b"")
        if fault is not None:
            await _break_off(stream, fault)
        if not by_hand:
            await stream.send_all(connection.send(h11.EndOfMessage()) or b"")


async def _read_request(stream: trio.SocketStream, connection: h11.Connection) -> ReplayRequest | None:
    """The next request, or None when the client has closed."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                await stream.send_all(
                    connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                )
            connection.receive_data(await stream.receive_some(_RECEIVE_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return ReplayRequest.scrubbed(
                head.method.decode("ascii"),
                head.target.decode("latin-1"),
                [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers],
                bytes(body),
            )
        else:  # closed, or a request in the middle of the answer before
            return None


async def _break_off(stream: trio.SocketStream, fault: Hang | Reset | Close) -> None:
    if isinstance(fault, Hang):
        # The client may go on sending; it is silence until it closes.
        while await stream.receive_some(_RECEIVE_BYTES):
            pass
    elif isinstance(fault, Reset):
        # Closing with a linger time of zero discards what was not acknowledged and sends RST instead of FIN.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        await stream.send_eof()
    raise _Fault


def _header_bytes(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _framing_header(framing: Framing, length: int) -> list[tuple[bytes, bytes]]:
    if framing == "length":
        return [(b"content-length", str(length).encode("ascii"))]
    if framing == "chunked":
        return [(b"transfer-encoding", b"chunked")]
    return [(b"connection", b"close")]


def _render(head: h11.Response) -> bytes:
    lines = [b"HTTP/1.1 %d " % head.status_code, *(name + b": " + value for name, value in head.headers)]
    return b"\r\n".join([*lines, b"", b""])


def _refusal(problems: list[str]) -> Exchange:
    error: dict[str, Any] = {"type": "replay_mismatch", "message": "\n".join(problems)}
    body = {"type": "error", "error": error}
    return Exchange(
        body=json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace"),
        status=500,
        headers={"content-type": "application/json", "x-should-retry": "false"},
    )


@asynccontextmanager
async def open_replay_server(
    exchanges: Iterable[Exchange] = (),
    *,
    chunking: Chunking = "whole",
    framing: Framing | None = None,
    headers_after: float = 0.0,
    chunks_after: float = 0.0,
    match: Match | None = None,
    check: Check | None = None,
    port: int = 0,
) -> AsyncIterator[ReplayServer]:
    """Serve recorded exchanges over HTTP/1.1 on 127.0.0.1 while the block runs.

    Every answer has the recorded status, headers and bytes. Connections are kept alive as HTTP/1.1 has it. A
    request that cannot be answered, or that ``check`` finds different, gets status 500 with the reason in its
    body, and the reason is listed in ``server.problems``; assert that this is empty.

    Args:
        exchanges: the answers, one for each request in the order of arrival.
        chunking: how bodies are cut, each piece being sent by itself.
        framing: how bodies end; None for chunked encoding of streams and a length for the others.
        headers_after: seconds before an answer begins, on trio's clock.
        chunks_after: seconds between two pieces of a body, on trio's clock.
        match: chooses the answer of each request, instead of the order.
        check: compares each request with the exchange that will answer it, and returns what differs.
        port: the TCP port; 0 for a free one.

    Raises:
        OSError: the port is taken.

    *Cancellation*: leaving the block closes every connection, in the middle of an answer too. An exception of
    the block leaves it unwrapped.

    *Backpressure*: a client that does not read stops the server's sending once the sockets' buffers are full.
    """
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    server = ReplayServer(
        url=f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}",
        exchanges=list(exchanges),
        match=match,
        check=check,
        chunking=chunking,
        framing=framing,
        headers_after=headers_after,
        chunks_after=chunks_after,
    )
    error: BaseException | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, server._serve, listeners)
        try:
            yield server
        except BaseException as exc:  # border: raised again below, where the nursery cannot wrap it
            error = exc
        # From here on only our own tasks end, at once; a cancellation from outside is already in `error`.
        nursery.cancel_scope.shield = True
        nursery.cancel_scope.cancel("the replay server's block was left")
    if error is not None:
        raise error
