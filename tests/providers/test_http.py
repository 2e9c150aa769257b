"""Providers over real HTTP on the loopback interface, with everything that can go wrong on the way."""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import re
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from alloy_trio import (
    AuthenticationFailed,
    CompletionRequest,
    ConfigurationError,
    MalformedReply,
    Message,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    RemoteError,
    Result,
    ServerFault,
    StreamTruncated,
    TransportError,
    run,
    server_tool,
    stream,
)
from alloy_trio.providers import Anthropic, HttpProvider, OpenAI, OpenAICompatible, provider_from_name
from alloy_trio.testing import (
    BAD_GATEWAY,
    Answer,
    Close,
    Exchange,
    Fault,
    Garbage,
    Hang,
    Reset,
    open_replay_server,
)

SECRET = "sk-test-do-not-show-0123456789abcdef"


def event(**choice: Any) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, **choice}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


HEAD = event(delta={"role": "assistant", "content": "Hel"}) + event(delta={"content": "lo"})
STREAM = HEAD + event(delta={}, finish_reason="stop") + b"data: [DONE]\n\n"
WHOLE = json.dumps(
    {
        "id": "c",
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
).encode()


def whole(**changes: Any) -> Exchange:
    return Exchange(**{"body": WHOLE, **changes})


def streamed(**changes: Any) -> Exchange:
    return Exchange(
        **{"body": STREAM, "headers": {"content-type": "text/event-stream"}, "stream": True, **changes}
    )


def model(url: str, **options: Any) -> OpenAICompatible:
    return OpenAICompatible("m", **{"base_url": f"{url}/v1", "api_key": SECRET, **options})


REQUEST = CompletionRequest((Message.user("hi"),))


def open_sockets() -> int:
    return sum(os.readlink(fd).startswith("socket:") for fd in Path("/proc/self/fd").iterdir() if fd.exists())


async def test_a_whole_and_a_streamed_answer() -> None:
    async with open_replay_server([whole(), streamed()], chunking=7) as server:
        assert (await run("hi", provider=model(server.url))).text == "Hello"
        async with stream("hi", provider=model(server.url)) as events:
            texts = [event.payload async for event in events if event.event == "text_delta"]
        assert texts == ["Hel", "lo"]
    assert [request.path for request in server.requests] == ["/v1/chat/completions"] * 2
    assert [request.json.get("stream", False) for request in server.requests] == [False, True]
    assert dict(server.requests[0].headers)["content-type"] == "application/json"


async def test_an_answer_of_the_other_kind_than_asked_for_is_understood() -> None:
    async with open_replay_server([streamed(), whole()]) as server:
        assert (await run("hi", provider=model(server.url))).text == "Hello"
        async with stream("hi", provider=model(server.url)) as events:
            assert (await events.drain()).text == "Hello"


async def test_the_connection_is_kept_and_closed_with_the_last_user() -> None:
    before = open_sockets()
    async with open_replay_server([streamed() for _ in range(5)]) as server:
        provider = model(server.url)
        async with provider:
            for _ in range(5):
                async with stream("hi", provider=provider) as events:
                    await events.drain()
            assert server.statistics().connections == 1
    assert open_sockets() == before


async def test_entering_is_counted() -> None:
    async with open_replay_server([whole(), whole()]) as server:
        provider = model(server.url)
        async with provider:
            async with provider:
                await provider.complete(REQUEST)
            await provider.complete(REQUEST)
        with pytest.raises(ConfigurationError, match="not entered"):
            await provider.complete(REQUEST)


async def test_any_task_may_be_the_last_to_leave() -> None:
    async with open_replay_server([whole(), whole()]) as server:
        provider, left = model(server.url), trio.Event()

        async def short(*, task_status: trio.TaskStatus[None]) -> None:
            async with provider:
                task_status.started()
                await left.wait()
                await provider.complete(REQUEST)

        async with trio.open_nursery() as nursery:
            async with provider:
                await nursery.start(short)
                await provider.complete(REQUEST)
            left.set()
        assert len(server.requests) == 2


def test_one_object_works_in_two_threads_at_once_and_in_later_runs() -> None:
    texts: list[str] = []
    both = threading.Barrier(2, timeout=20)
    urls: list[str] = []
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with open_replay_server(match=lambda request: whole()) as server:
            urls.append(server.url)
            ready.set()
            await trio.to_thread.run_sync(done.wait)

    async def ask(provider: OpenAICompatible) -> None:
        async with provider:
            await trio.to_thread.run_sync(both.wait)
            texts.append((await run("hi", provider=provider)).text)
            await trio.to_thread.run_sync(both.wait)

    server_thread = threading.Thread(target=trio.run, args=(serve,))
    server_thread.start()
    assert ready.wait(20)
    provider = model(urls[0])
    threads = [threading.Thread(target=trio.run, args=(ask, provider)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    texts.append(trio.run(lambda: run("hi", provider=provider)).text)
    done.set()
    server_thread.join(20)
    assert texts == ["Hello"] * 3


async def test_a_caller_s_own_client_is_used_and_not_closed() -> None:
    async with (
        open_replay_server([whole()]) as server,
        httpx.AsyncClient(headers={"x-mine": "yes"}) as client,
    ):
        await run("hi", provider=model(server.url, client=client))
        assert not client.is_closed
    assert dict(server.requests[0].headers)["x-mine"] == "yes"


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Reset(), TransportError),
        (Close(), TransportError),
        (Garbage(), TransportError),
        (Hang(), TransportError),
        (Reset(after=40), StreamTruncated),
        (Close(after=40), StreamTruncated),
        (Close(after=0), StreamTruncated),
        (Hang(after=40), TransportError),
        (BAD_GATEWAY, ServerFault),
        (Answer(200, b"<html>login</html>", "text/html"), MalformedReply),
        (Answer(200, b'{"error": {"message": "boom", "code": 502}}'), ServerFault),
        (
            Answer(200, b'data: {"error": {"message": "Overloaded", "type": "overloaded_error"}}\n\n'),
            RemoteError,
        ),
        (Answer(200, b""), StreamTruncated),
        (Answer(200, b"[]"), MalformedReply),
        (Answer(200, b"null"), RemoteError),
        (Answer(429, b"", headers={"retry-after": "3"}), RateLimited),
        (Answer(503, b"overloaded"), RemoteError),
        (
            Answer(401, b'{"error": {"message": "Incorrect API key provided: sk-test-do-not*"}}'),
            AuthenticationFailed,
        ),
        (Answer(302, b"", headers={"location": "/elsewhere"}), RemoteError),
        (Answer(204, b""), RemoteError),
    ],
)
async def test_every_fault_is_a_typed_error_and_leaves_nothing(
    fault: Fault,
    error: type[RemoteError],
    streaming: bool,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.testing.MockClock,
) -> None:
    caplog.set_level(logging.DEBUG)
    before = open_sockets()
    exchange = streamed(fault=fault) if streaming else whole(fault=fault)
    async with open_replay_server(match=lambda request: exchange) as server:
        provider = model(server.url, read_timeout=20)
        with pytest.raises(error) as caught:
            if streaming:
                async with stream("hi", provider=provider, max_retries=0) as events:
                    await events.drain()
            else:
                await run("hi", provider=provider, max_retries=0)
    assert open_sockets() == before
    result = caught.value.result
    assert isinstance(result, Result) and result.status == "error"
    assert result.messages == (Message.user("hi"),)
    assert caught.value.provider == "openai-compatible"
    shown = (
        "".join(traceback.format_exception(caught.value)) + caplog.text + repr(caught.value) + repr(provider)
    )
    assert SECRET not in shown
    assert "Bearer" not in shown
    # Nothing that hangs off the exception holds the key either: debuggers and reporters walk it.
    linked: BaseException | None = caught.value
    while linked is not None:
        assert not hasattr(linked, "request")
        linked = linked.__cause__ or linked.__context__


async def test_transient_faults_are_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    script = [
        whole(fault=Reset()),
        whole(fault=BAD_GATEWAY),
        whole(fault=Answer(429, b"", headers={"retry-after-ms": "5"})),
        whole(),
    ]
    async with open_replay_server(script) as server:
        result = await run("hi", provider=model(server.url))
    assert result.text == "Hello"
    assert len(server.requests) == 4


async def test_a_stream_cut_after_output_is_not_tried_again() -> None:
    async with open_replay_server([streamed(fault=Close(after=len(HEAD))), streamed()]) as server:
        with pytest.raises(StreamTruncated) as caught:
            async with stream("hi", provider=model(server.url)) as events:
                await events.drain()
    assert len(server.requests) == 1
    assert caught.value.result is not None
    assert caught.value.result.text == "Hello"
    assert caught.value.result.status == "error"


async def test_a_stream_cut_before_output_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    async with open_replay_server([streamed(fault=Close(after=10)), streamed()]) as server:
        async with stream("hi", provider=model(server.url)) as events:
            assert (await events.drain()).text == "Hello"
    assert len(server.requests) == 2


async def test_a_server_that_leaves_the_connection_open_after_the_end_delays_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_replay_server([streamed(fault=Hang(after=len(STREAM)))]) as server:
        async with stream("hi", provider=model(server.url)) as events:
            assert (await events.drain()).text == "Hello"
    assert trio.current_time() < 5


@pytest.mark.parametrize("after", [None, 0, 40, len(STREAM) - 1])
async def test_cancelling_leaves_no_socket(after: int | None, autojump_clock: trio.testing.MockClock) -> None:
    before = open_sockets()
    async with open_replay_server([streamed(fault=Hang(after=after))]) as server:
        async with stream("hi", provider=model(server.url)) as events:
            with trio.move_on_after(0.5):
                await events.drain()
    assert events.result.status in ("cancelled", "completed")
    assert open_sockets() == before


async def test_two_hundred_requests_at_once_share_one_object() -> None:
    async with open_replay_server(match=lambda request: whole()) as server:
        provider = model(server.url)
        async with provider, trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(lambda: run("hi", provider=provider))
        assert server.statistics().requests == 200


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OpenAICompatible("m"), "base_url"),
        (lambda: OpenAICompatible("m", base_url="localhost:1"), "http"),
        (lambda: OpenAICompatible("m", base_url="ftp://x"), "http"),
        (lambda: OpenAICompatible("m", base_url=f"https://x/?key={SECRET}"), "query"),
        (lambda: OpenAICompatible("m", base_url=f"https://me:{SECRET}@x/"), "password"),
        (lambda: OpenAI(""), "model"),
        (lambda: provider_from_name("opnai"), "openai"),
        (lambda: provider_from_name("openai-compatible"), "needs a model"),
    ],
)
def test_what_cannot_work_is_told_at_once(make: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        make()
    assert SECRET not in str(caught.value)


async def test_a_missing_key_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider, variable in ((Anthropic("m"), "ANTHROPIC_API_KEY"), (OpenAI("m"), "OPENAI_API_KEY")):
        monkeypatch.delenv(variable, raising=False)
        with pytest.raises(ConfigurationError, match=variable):
            await run("hi", provider=provider)


@pytest.mark.parametrize("key", [f"{SECRET}\nx", f"{SECRET}é", f"{SECRET}\x00"])
async def test_a_key_that_no_header_can_carry_is_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await run("hi", provider=OpenAI("m", api_key=key))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_a_newline_copied_along_with_the_key_does_no_harm() -> None:
    async with open_replay_server([whole()]) as server:
        assert (await run("hi", provider=model(server.url, api_key=f"{SECRET}\n"))).text == "Hello"


async def test_each_vendor_s_key_travels_in_its_own_header(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls, header in ((Anthropic, "x-api-key"), (OpenAI, "authorization")):
        async with open_replay_server([Exchange(body=b"{}", status=401)]) as server:
            with pytest.raises(AuthenticationFailed):
                await run("hi", provider=cls("m", base_url=server.url, api_key=SECRET))
        assert header in dict(server.requests[0].headers)


async def test_headers_and_extra_body_are_sent() -> None:
    async with open_replay_server([whole()]) as server:
        provider = model(server.url, headers={"X-Title": "mine"}, extra_body={"seed": 7})
        await run("hi", provider=provider)
    assert dict(server.requests[0].headers)["x-title"] == "mine"
    assert server.requests[0].json["seed"] == 7


def test_a_repr_shows_no_secret() -> None:
    provider = OpenAI("gpt-5.4", api_key=SECRET, headers={"x-other": SECRET})
    assert re.fullmatch(r"OpenAI\(model='gpt-5.4', base_url='https://api.openai.com/v1'\)", repr(provider))


def test_names_lead_to_providers() -> None:
    assert isinstance(provider_from_name("anthropic"), Anthropic)
    named = provider_from_name("openai/gpt-5.4-mini")
    assert isinstance(named, OpenAI) and named.model == "gpt-5.4-mini"
    nested = provider_from_name("openai-compatible/org/model", base_url="http://localhost:1/v1")
    assert isinstance(nested, HttpProvider) and nested.model == "org/model"


async def test_overload_is_its_own_error() -> None:
    async with open_replay_server(
        [whole(fault=Answer(529, b'{"error": {"type": "overloaded_error"}}'))]
    ) as server:
        with pytest.raises(Overloaded):
            await run("hi", provider=model(server.url), max_retries=0)


async def test_a_key_that_the_vendor_quotes_is_taken_out() -> None:
    body = b'{"error": {"message": "Incorrect API key provided: my-own-gateway-key"}}'
    async with open_replay_server([whole(fault=Answer(401, body))]) as server:
        with pytest.raises(AuthenticationFailed) as caught:
            await run("hi", provider=model(server.url, api_key="my-own-gateway-key"))
    assert "my-own-gateway-key" not in f"{caught.value} {caught.value!r} {caught.value.result}"
    assert "Incorrect API key" in str(caught.value)


async def test_beta_features_of_the_user_join_those_that_the_request_needs() -> None:
    async with open_replay_server([Exchange(body=b"{}", status=400)]) as server:
        provider = Anthropic(
            "m", base_url=server.url, headers={"anthropic-beta": "mine", "anthropic-version": "other"}
        )
        with pytest.raises(RemoteError):
            await run("hi", provider=provider, tools=[server_tool("web_fetch")])
    headers = dict(server.requests[0].headers)
    assert headers["anthropic-version"] == "other"
    assert headers["anthropic-beta"].split(",")[-1] == "mine" and "," in headers["anthropic-beta"]


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize("streaming", [False, True])
async def test_usage_that_was_reported_before_a_failure_is_kept(streaming: bool) -> None:
    body = HEAD + b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
    error = b'data: {"error": {"message": "boom", "code": 500}}\n\n'
    async with open_replay_server([streamed(body=body + error)]) as server:
        with pytest.raises(RemoteError) as caught:
            if streaming:
                async with stream("hi", provider=model(server.url)) as events:
                    await events.drain()
            else:
                await run("hi", provider=model(server.url), max_retries=0)
    assert caught.value.result is not None
    assert caught.value.result.usage.total_tokens == 5


async def test_an_answer_whose_last_event_has_no_blank_line_is_streamed_whole() -> None:
    body = HEAD + event(delta={"content": "!"}, finish_reason="stop").rstrip()
    async with open_replay_server([streamed(body=body)], chunking="events") as server:
        async with stream("hi", provider=model(server.url)) as events:
            texts = [each.payload async for each in events if each.event == "text_delta"]
    assert "".join(texts) == events.result.text == "Hello!"


async def test_what_a_user_s_header_holds_is_taken_out_too() -> None:
    body = b'{"error": {"message": "bad token gw-Zk9-very-private"}}'
    async with open_replay_server([whole(fault=Answer(401, body))]) as server:
        provider = model(server.url, headers={"x-gateway": "Token gw-Zk9-very-private"})
        with pytest.raises(AuthenticationFailed) as caught:
            await run("hi", provider=provider)
    assert "gw-Zk9" not in f"{caught.value!r} {caught.value.result}"


async def test_a_dummy_key_garbles_no_message() -> None:
    body = b'{"error": {"message": "the model is none of ours"}}'
    async with open_replay_server([whole(fault=Answer(404, body))]) as server:
        with pytest.raises(RemoteError, match="the model is none of ours"):
            await run("hi", provider=model(server.url, api_key="none"))


async def test_an_error_body_that_breaks_off_after_its_words_keeps_its_meaning() -> None:
    body = b'{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'
    exchange = Exchange(body=body + b" " * 50, status=429, fault=Close(after=len(body)))
    async with open_replay_server([exchange]) as server:
        with pytest.raises(QuotaExhausted):
            await run("hi", provider=model(server.url))


async def test_an_error_body_that_hangs_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    async with open_replay_server([Exchange(body=b"x" * 50, status=401, fault=Hang(after=10))]) as server:
        with pytest.raises(AuthenticationFailed):
            await run("hi", provider=model(server.url))
    assert trio.current_time() < 30


async def test_an_error_in_the_middle_of_a_stream_leaves_nothing_to_the_garbage_collector() -> None:
    body = b'data: {"error": {"message": "boom"}}\n\n' + b"data: {}\n\n" * 2000
    async with open_replay_server([streamed(body=body)], chunking=100) as server:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            with pytest.raises(RemoteError):
                await run("hi", provider=model(server.url), max_retries=0)
            gc.collect()
            await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("padding", range(330, 400, 3))
async def test_a_key_that_is_cut_off_in_a_quote_is_not_shown_in_part(padding: int) -> None:
    key = "mK3vQ9zT1xW7pL5nR8sB2dF6hJ4gC0yA"
    body = json.dumps({"error": {"message": "w " * (padding // 2) + f"key {key} is wrong"}}).encode()
    async with open_replay_server([whole(fault=Answer(400, body))]) as server:
        with pytest.raises(RemoteError) as caught:
            await run("hi", provider=model(server.url, api_key=key))
    assert not any(key[:length] in str(caught.value) for length in range(4, len(key) + 1))


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": 5},
        {"base_url": "http://[::1"},
        {"base_url": "http://127.0.0.1:99999"},
        {"base_url": "http://127.0.0.1:abc/v1"},
        {"read_timeout": -1},
        {"read_timeout": math.nan},
        {"read_timeout": 0},
        {"connect_timeout": "x"},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"temperature": "hot"},
        {"extra_body": "x"},
        {"headers": {"é": "x"}},
        {"headers": {"x y": "x"}},
        {"headers": {"Content-Length": "3"}},
        {"headers": "x"},
        {"client": object()},
    ],
)
def test_a_keyword_that_cannot_work_is_told_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        OpenAICompatible("m", **{"base_url": "http://localhost:1/v1", **options})


async def test_a_body_that_is_no_json_is_told_before_anything_is_sent() -> None:
    async with open_replay_server([whole()]) as server:
        with pytest.raises(ConfigurationError, match="extra_body"):
            await run("hi", provider=model(server.url, extra_body={"x": {1}}))
    assert server.requests == []


def test_a_scheme_in_capitals_is_the_same_scheme() -> None:
    assert OpenAI("m", base_url="HTTPS://api.example.com/v1").base_url == "https://api.example.com/v1"


async def test_a_cancel_while_the_request_is_sent_leaves_nothing_to_the_garbage_collector() -> None:
    big = Message.user("x" * 30_000_000)
    async with open_replay_server([whole(fault=Hang())]) as server:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            for seconds in (0.0, 0.01, 0.03, 0.1):
                # No window holds it, and it is to be sent all the same.
                result = await run(big, provider=model(server.url), timeout=seconds, compaction=None)
                assert result.status == "timeout"
            gc.collect()
            await trio.testing.wait_all_tasks_blocked()
