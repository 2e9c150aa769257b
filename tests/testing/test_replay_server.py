"""The replay server: what it sends is what was recorded, cut and broken as asked, and nothing of it stays."""

from __future__ import annotations

import os

import httpx
import pytest
import trio
import trio.testing

from alloy_trio.testing import (
    BAD_GATEWAY,
    Answer,
    Close,
    Exchange,
    Fault,
    Garbage,
    Hang,
    ReplayRequest,
    Reset,
    open_replay_server,
)

STREAM = b'event: a\ndata: {"text": "gr\xc3\xbc\xc3\x9fe"}\n\n: comment\n\ndata: 2\r\n\r\ndata: [DONE]\n\n'
EVENTS = [
    b'event: a\ndata: {"text": "gr\xc3\xbc\xc3\x9fe"}\n\n',
    b": comment\n\n",
    b"data: 2\r\n\r\n",
    b"data: [DONE]\n\n",
]
SSE = {"content-type": "text/event-stream; charset=utf-8"}


def streamed(body: bytes = STREAM, fault: Fault | None = None) -> Exchange:
    return Exchange(body=body, headers=SSE, stream=True, fault=fault)


async def pieces_of(client: httpx.AsyncClient, url: str) -> list[bytes]:
    async with client.stream("POST", url, json={"q": 1}) as response:
        return [piece async for piece in response.aiter_raw()]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("chunking", "expected"),
    [
        ("whole", [STREAM]),
        ("events", EVENTS),
        (1, [bytes([byte]) for byte in STREAM]),
        (7, [STREAM[start : start + 7] for start in range(0, len(STREAM), 7)]),
        ([3, 1, 20], [STREAM[:3], STREAM[3:4], STREAM[4:24], STREAM[24:]]),
        ([len(STREAM), 5], [STREAM]),
        (10_000, [STREAM]),
    ],
)
async def test_a_stream_arrives_in_the_pieces_that_were_asked_for(chunking, expected) -> None:
    async with open_replay_server([streamed()], chunking=chunking) as server, httpx.AsyncClient() as client:
        assert await pieces_of(client, server.url) == expected


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_the_bytes_are_the_same_in_every_framing(framing) -> None:
    body = bytes(range(256)) * 400
    exchange = Exchange(body=body, headers={"content-type": "application/octet-stream"})
    async with open_replay_server([exchange], framing=framing, chunking=999) as server:
        async with httpx.AsyncClient() as client:
            response = await client.post(server.url, json={})
    assert response.content == body
    assert ("content-length" in response.headers) == (framing == "length")
    assert ("transfer-encoding" in response.headers) == (framing == "chunked")


async def test_status_and_headers_are_the_recorded_ones() -> None:
    exchange = Exchange(
        body=b"{}",
        status=429,
        headers={"content-type": "application/json", "retry-after": "7", "request-id": "r1"},
    )
    async with open_replay_server([exchange]) as server, httpx.AsyncClient() as client:
        response = await client.post(server.url, json={})
    assert response.status_code == 429
    assert dict(response.headers) == {
        "content-type": "application/json",
        "retry-after": "7",
        "request-id": "r1",
        "content-length": "2",
    }


async def test_an_empty_body_arrives_as_an_empty_body() -> None:
    exchanges = [streamed(b""), Exchange(body=b"")]
    async with open_replay_server(exchanges) as server, httpx.AsyncClient() as client:
        assert [(await client.post(server.url, json={})).content for _ in exchanges] == [b"", b""]


async def test_a_connection_is_kept_alive_for_the_next_request() -> None:
    exchanges = [Exchange(body=b"%d" % number) for number in range(5)]
    async with open_replay_server(exchanges) as server, httpx.AsyncClient() as client:
        answers = [(await client.post(server.url, json={})).content for _ in exchanges]
        assert answers == [b"0", b"1", b"2", b"3", b"4"]
        statistics = server.statistics()
        assert (statistics.connections, statistics.connections_open) == (1, 1)
        assert (statistics.requests, statistics.exchanges_left) == (5, 0)


async def test_a_client_that_asks_to_close_is_obeyed() -> None:
    async with open_replay_server([Exchange(body=b"1"), Exchange(body=b"2")]) as server:
        async with httpx.AsyncClient(headers={"connection": "close"}) as client:
            assert (await client.post(server.url, json={})).content == b"1"
            assert (await client.post(server.url, json={})).content == b"2"
        assert server.statistics().connections == 2


async def test_two_requests_sent_at_once_are_answered_in_order() -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    async with open_replay_server([Exchange(body=b"one"), Exchange(body=b"two")]) as server:
        async with await trio.open_tcp_stream("127.0.0.1", port_of(server.url)) as stream:
            await stream.send_all(request + request)
            received = b""
            while b"two" not in received:
                received += await stream.receive_some()
    assert received.index(b"one") < received.index(b"two")
    assert received.count(b"HTTP/1.1 200") == 2


async def test_connections_are_served_at_the_same_time(mock_clock: trio.testing.MockClock) -> None:
    def first_waits(request: ReplayRequest) -> Exchange:
        return Exchange(body=request.body, fault=Hang() if request.json == "hang" else None)

    async with open_replay_server(match=first_waits) as server, httpx.AsyncClient(timeout=None) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: client.post(server.url, json="hang"))
            while not server.requests:
                await trio.testing.wait_all_tasks_blocked()
            assert (await client.post(server.url, json="go")).content == b'"go"'
            assert server.statistics().connections_open == 2
            nursery.cancel_scope.cancel()


async def test_requests_are_kept_as_they_came_but_for_their_keys() -> None:
    async with open_replay_server([Exchange(body=b"")] * 2) as server, httpx.AsyncClient() as client:
        headers = {"authorization": "Bearer sk-secret", "x-api-key": "sk-secret", "x-other": "kept"}
        await client.post(
            f"{server.url}/v1/messages?beta=true&key=sk-secret", json={"a": "ü"}, headers=headers
        )
        await client.post(server.url, content=b"not json")
    first, second = server.requests
    assert (first.method, first.path) == ("POST", "/v1/messages?beta=true&key=SCRUBBED")
    assert first.json == {"a": "ü"}
    assert second.json is None
    kept = dict(first.headers)
    assert (kept["authorization"], kept["x-api-key"], kept["x-other"]) == ("SCRUBBED", "SCRUBBED", "kept")
    assert "sk-secret" not in repr(server.requests)


async def test_a_matcher_chooses_the_answer() -> None:
    answers = {"a": Exchange(body=b"for a"), "b": Exchange(body=b"for b")}
    async with open_replay_server(match=lambda request: answers.get(request.json)) as server:
        async with httpx.AsyncClient() as client:
            assert (await client.post(server.url, json="b")).content == b"for b"
            assert (await client.post(server.url, json="a")).content == b"for a"
            assert not server.problems
            unknown = await client.post(f"{server.url}/p", json="c")
    assert unknown.status_code == 500
    assert server.problems == ["request 3 (POST /p): the matcher knows no exchange for it"]


async def test_a_request_beyond_the_recording_is_refused_and_listed() -> None:
    async with open_replay_server([Exchange(body=b"1")]) as server, httpx.AsyncClient() as client:
        await client.post(server.url, json={})
        response = await client.post(server.url, json={})
    assert response.status_code == 500
    assert response.headers["x-should-retry"] == "false"
    (problem,) = server.problems
    assert response.json()["error"]["message"] == problem
    assert "request 2" in problem
    assert "1 exchanges have been served" in problem


async def test_a_request_that_differs_from_the_recorded_one_is_refused_with_the_difference() -> None:
    def same(request: ReplayRequest, exchange: Exchange) -> list[str]:
        return (
            [] if request.json == exchange.request else [f"sent {request.json}, recorded {exchange.request}"]
        )

    exchanges = [
        Exchange(body=b"ok", request={"q": 1}, id="c-00"),
        Exchange(body=b"ok", request={"q": 2}, id="c-01"),
    ]
    async with open_replay_server(exchanges, check=same) as server, httpx.AsyncClient() as client:
        assert (await client.post(server.url, json={"q": 1})).content == b"ok"
        response = await client.post(server.url, json={"q": 3})
    assert response.status_code == 500
    assert server.problems == ["request 2 against c-01: sent {'q': 3}, recorded {'q': 2}"]
    assert response.json()["error"]["message"] == server.problems[0]


async def test_a_checker_that_raises_fails_the_block() -> None:
    def broken(request: ReplayRequest, exchange: Exchange) -> str:
        raise KeyError("messages")

    async def ask() -> None:
        async with open_replay_server([Exchange(body=b"")], check=broken) as server:
            async with httpx.AsyncClient() as client:
                await client.post(server.url, json={})

    with pytest.raises(BaseExceptionGroup) as caught:
        await ask()
    assert caught.group_contains(KeyError, match="messages")


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("after", [0, 1, 30, len(STREAM)])
async def test_a_close_in_the_body_is_seen_after_exactly_the_bytes_before_it(framing, after) -> None:
    """With a length, all bytes are already the whole body; chunked encoding still misses its last chunk."""
    received = b""
    async with open_replay_server([streamed(fault=Close(after))], framing=framing) as server:
        async with httpx.AsyncClient() as client, client.stream("POST", server.url) as response:
            try:
                async for piece in response.aiter_raw():
                    received += piece
            except httpx.RemoteProtocolError:
                cut_seen = True
            else:
                cut_seen = False
    assert received == STREAM[:after]
    assert cut_seen == (framing == "chunked" or after < len(STREAM))


async def test_a_close_of_a_body_that_ends_with_the_connection_looks_like_its_end() -> None:
    async with open_replay_server([streamed(fault=Close(30))], framing="close") as server:
        async with httpx.AsyncClient() as client:
            assert (await client.post(server.url, json={})).content == STREAM[:30]


@pytest.mark.parametrize("after", [0, 30])
async def test_a_reset_in_the_body_is_a_reset_for_the_client(after) -> None:
    received = b""
    async with open_replay_server([streamed(fault=Reset(after))]) as server, httpx.AsyncClient() as client:
        async with client.stream("POST", server.url) as response:
            try:
                async for piece in response.aiter_raw():
                    received += piece
            except httpx.ReadError:
                reset_seen = True
            else:
                reset_seen = False
    assert reset_seen
    assert STREAM[:after].startswith(received)


@pytest.mark.parametrize(
    ("fault", "error"), [(Reset(), httpx.ReadError), (Close(), httpx.RemoteProtocolError)]
)
async def test_a_connection_can_end_before_the_status_line(fault, error) -> None:
    async with open_replay_server([streamed(fault=fault), streamed()]) as server:
        async with httpx.AsyncClient() as client:
            with pytest.raises(error):
                await client.post(server.url, json={})
            assert (await client.post(server.url, json={})).content == STREAM
        assert server.statistics().requests == 2


@pytest.mark.parametrize(("after", "expected"), [(None, None), (0, b""), (30, STREAM[:30])])
async def test_a_server_that_hangs_is_silent_until_the_client_gives_up(after, expected, mock_clock) -> None:
    received: bytes | None = None
    async with open_replay_server([streamed(fault=Hang(after))]) as server:
        async with httpx.AsyncClient(timeout=None) as client:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel_when_quiet, server, scope)
                    async with client.stream("POST", server.url) as response:
                        received = b""
                        async for piece in response.aiter_raw():
                            received += piece
        assert scope.cancelled_caught
        await until(lambda: server.statistics().connections_open == 0)
    assert received == expected


async def test_a_gateway_page_or_an_error_under_200_can_come_instead() -> None:
    error = Answer(200, b'{"error": {"message": "overloaded"}}', headers={"x-request-id": "r"})
    async with open_replay_server([streamed(fault=BAD_GATEWAY), streamed(fault=error)]) as server:
        async with httpx.AsyncClient() as client:
            page = await client.post(server.url, json={})
            wrong = await client.post(server.url, json={})
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html")
    assert page.text.startswith("<html>")
    assert (wrong.status_code, wrong.json(), wrong.headers["x-request-id"]) == (
        200,
        {"error": {"message": "overloaded"}},
        "r",
    )


async def test_garbage_instead_of_http_is_a_protocol_error_for_the_client() -> None:
    async with open_replay_server([streamed(fault=Garbage())]) as server, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(server.url, json={})


async def test_a_client_that_speaks_no_http_is_let_go_and_harms_nobody() -> None:
    async with open_replay_server([streamed()]) as server:
        async with await trio.open_tcp_stream("127.0.0.1", port_of(server.url)) as stream:
            await stream.send_all(b"\x16\x03\x01 this is TLS, perhaps\r\n\r\n")
            assert await stream.receive_some() == b""
        async with httpx.AsyncClient() as client:
            assert (await client.post(server.url, json={})).content == STREAM
        assert server.statistics().requests == 1


async def test_delays_run_on_the_clock_of_trio(mock_clock) -> None:
    """Nothing arrives before the clock is moved, and then only what its time has come for."""
    received: list[bytes] = []

    async def ask(server, client) -> None:
        async with client.stream("POST", server.url) as response:
            async for piece in response.aiter_raw():
                received.append(piece)

    async with (
        open_replay_server([streamed()], chunking="events", headers_after=60, chunks_after=1) as server,
        httpx.AsyncClient(timeout=None) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ask, server, client)
        await until(lambda: server.requests)
        await quiet()
        mock_clock.jump(59)
        await quiet()
        assert received == []
        mock_clock.jump(1)
        for number in range(1, len(EVENTS)):
            await until(lambda number=number: len(received) == number)
            await quiet()
            assert received == EVENTS[:number]
            mock_clock.jump(1)
    assert received == EVENTS


async def test_an_exception_of_the_block_leaves_it_unwrapped() -> None:
    async def fail() -> None:
        async with open_replay_server() as server:
            assert server.requests == []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def test_leaving_in_the_middle_of_an_answer_leaves_nothing(mock_clock) -> None:
    files, tasks = open_files(), task_count()
    async with httpx.AsyncClient(timeout=None) as client:
        async with open_replay_server([streamed()], chunking=1, chunks_after=1) as server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pieces_of, client, server.url)
                await until(lambda: server.requests)
                nursery.cancel_scope.cancel()
            async with client.stream("POST", server.url):  # beyond the recording, never read
                pass
        assert server.statistics().connections_open == 0
    assert (open_files(), task_count()) == (files, tasks)


async def test_a_cancelled_block_closes_its_connections() -> None:
    files, tasks = open_files(), task_count()
    with trio.CancelScope() as scope:
        async with open_replay_server([streamed(fault=Hang(5))]) as server:
            async with await trio.open_tcp_stream("127.0.0.1", port_of(server.url)) as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
                assert server.statistics().connections_open == 1
                scope.cancel()
                await trio.sleep_forever()
    assert scope.cancelled_caught
    assert server.statistics().connections_open == 0
    assert (open_files(), task_count()) == (files, tasks)


async def test_every_fault_leaves_nothing_behind() -> None:
    faults = [Reset(), Reset(3), Close(), Close(3), BAD_GATEWAY, Garbage(), Answer(200, b"")]
    files, tasks = open_files(), task_count()
    async with open_replay_server([streamed(fault=fault) for fault in faults]) as server:
        async with httpx.AsyncClient() as client:
            for _ in faults:
                try:
                    await client.post(server.url, json={})
                except httpx.TransportError:
                    pass
        assert server.statistics().requests == len(faults)
        await until(lambda: server.statistics().connections_open == 0)
    assert (open_files(), task_count()) == (files, tasks)


async def test_a_taken_port_is_an_error_at_once() -> None:
    async with open_replay_server() as server:
        with pytest.raises(OSError):
            async with open_replay_server(port=port_of(server.url)):
                pytest.fail("two servers on one port")


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def task_count() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def until(condition) -> None:
    """Wait for what depends on sockets: loopback is fast, but not of the scheduler's own step."""
    while not condition():
        await trio.lowlevel.checkpoint()


async def quiet() -> None:
    """Nothing runs, nor is a byte on its way for some steps of the scheduler."""
    for _ in range(20):
        await trio.testing.wait_all_tasks_blocked()


async def cancel_when_quiet(server, scope: trio.CancelScope) -> None:
    await until(lambda: server.requests)
    await quiet()
    scope.cancel()
