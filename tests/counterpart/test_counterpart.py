"""Every provider over HTTP against a server that others wrote, ``@copilotkit/aimock``.

``nox -s counterpart`` starts it on the fixtures beside this file and runs these tests; elsewhere they are
deselected. The server reads our requests with its own code: an answer that depends on the system prompt or
on a tool's result is only given if it found them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import trio

import alloy_trio
from alloy_trio import (
    AuthenticationFailed,
    ContextOverflow,
    Event,
    Overloaded,
    RateLimited,
    Rejected,
    RemoteError,
    Result,
    ServerFault,
    StreamTruncated,
    Thinking,
    Usage,
    abc,
)
from alloy_trio.providers import PROVIDERS, Hedge

from .conftest import Counterpart
from .hosts import NOT_SPOKEN, SPOKEN

pytestmark = pytest.mark.counterpart

FIXTURES = json.loads((Path(__file__).parent / "fixtures.json").read_text(encoding="utf-8"))["fixtures"]
GREETING = next(
    fixture["response"]["content"]
    for fixture in FIXTURES
    if fixture["match"]["userMessage"] == "Greet the world"
)
SECONDS = 30
"""How long one request may take. The server answers at once."""

How = Literal["whole", "streamed"]
every_provider = pytest.mark.parametrize("name", SPOKEN)
both_ways = pytest.mark.parametrize("how", ["whole", "streamed"])


@alloy_trio.tool
async def weather(city: str, days: int) -> str:
    """Report the weather.

    Args:
        city: the city's name
        days: how many days
    """
    return f"{city}: 21 degrees for {days} days"


async def ask(how: How, prompt: str, provider: abc.Provider, **options: Any) -> tuple[Result, list[Event]]:
    """One request, at once or in pieces; of the latter the events."""
    seen: list[Event] = []
    with trio.fail_after(SECONDS):
        if how == "whole":
            return await alloy_trio.run(prompt, provider=provider, **options), seen
        async with alloy_trio.stream(prompt, provider=provider, **options) as events:
            async for event in events:
                seen.append(event)
        return events.result, seen


def text_of(events: list[Event]) -> str:
    return "".join(event.payload for event in events if event.event == "text_delta")


def usage(name: str, how: How, input_tokens: int, output_tokens: int) -> Usage:
    """The usage of the fixtures, where the server can report it."""
    if SPOKEN[name].reports_usage not in ("all", how):
        return Usage()
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens)


def tokens(used: Usage) -> Usage:
    """Without the cost: prices change."""
    return Usage(
        input_tokens=used.input_tokens,
        cache_read_tokens=used.cache_read_tokens,
        cache_write_tokens=used.cache_write_tokens,
        output_tokens=used.output_tokens,
    )


def test_every_provider_is_in_the_table() -> None:
    spoken = {name.partition("/")[0] for name in SPOKEN}
    assert spoken | NOT_SPOKEN.keys() == {preset.name for preset in PROVIDERS}
    assert not spoken & NOT_SPOKEN.keys()


# ---- answers


@both_ways
@every_provider
async def test_text_arrives_as_it_was_sent(counterpart: Counterpart, name: str, how: How) -> None:
    result, events = await ask(how, "Greet the world", counterpart.provider(name))
    assert (result.text, result.status) == (GREETING, "completed")
    assert tokens(result.usage) == usage(name, how, 11, 31)
    assert counterpart.statuses() == [200]
    if how == "streamed":
        assert text_of(events) == GREETING
        assert len([event for event in events if event.event == "text_delta"]) > 3


@both_ways
@every_provider
async def test_the_system_prompt_is_understood(counterpart: Counterpart, name: str, how: How) -> None:
    provider = counterpart.provider(name)
    result, _ = await ask(how, "Who are you?", provider, system_prompt="You are a lighthouse.")
    assert result.text == "I am the one at Cabo Raso."


@both_ways
@every_provider
async def test_a_tool_is_called_and_its_result_is_understood(
    counterpart: Counterpart, name: str, how: How
) -> None:
    provider = counterpart.provider(name)
    result, events = await ask(how, "How is the weather in Linz?", provider, tools=[weather])
    assert result.text == "It stays at 21 degrees."
    (call,) = result.tool_calls
    assert (call.name, call.input, call.outcome) == ("weather", {"city": "Linz", "days": 3}, "completed")
    assert tokens(result.usage) == usage(name, how, 20 + 40, 9 + 8)
    assert result.turns == 2
    asked, answered = counterpart.journal()
    assert [tool["function"]["name"] for tool in asked["body"]["tools"]] == ["weather"]
    told = next(message for message in answered["body"]["messages"] if message["role"] == "tool")
    called = next(message for message in answered["body"]["messages"] if message.get("tool_calls"))
    if SPOKEN[name].names_calls:
        assert told["tool_call_id"] == called["tool_calls"][0]["id"]
    if how == "streamed":
        assert text_of(events) == "I will look.It stays at 21 degrees."
        pieces = [event.payload["partial_json"] for event in events if event.event == "tool_input_delta"]
        assert json.loads("".join(pieces)) == call.input


@both_ways
@every_provider
async def test_two_calls_of_one_turn_are_both_answered(counterpart: Counterpart, name: str, how: How) -> None:
    provider = counterpart.provider(name)
    result, _ = await ask(how, "How is the weather in two cities?", provider, tools=[weather])
    assert result.text == "Both are mild."
    assert [call.input["city"] for call in result.tool_calls] == ["Wien", "Graz"]
    assert tokens(result.usage) == usage(name, how, 22 + 50, 18 + 4)
    told = [message for message in counterpart.journal()[1]["body"]["messages"] if message["role"] == "tool"]
    assert ["Wien" in told[0]["content"], "Graz" in told[1]["content"]] == [True, True]
    if SPOKEN[name].names_calls:
        assert told[0]["tool_call_id"] != told[1]["tool_call_id"]


@both_ways
@pytest.mark.parametrize("name", [name for name, row in SPOKEN.items() if row.thinks])
async def test_thinking_arrives_apart_from_the_answer(counterpart: Counterpart, name: str, how: How) -> None:
    result, events = await ask(how, "Think first.", counterpart.provider(name))
    assert result.text == "Blue."
    thoughts = [block.text for block in result.messages[-1].content if isinstance(block, Thinking)]
    assert "".join(thoughts) == "The sea is wide, and so the answer is short."
    if how == "streamed":
        pieces = [event.payload for event in events if event.event == "thinking_delta"]
        assert "".join(pieces) == "".join(thoughts)
        assert text_of(events) == "Blue."


@both_ways
@pytest.mark.parametrize("name", [name for name, row in SPOKEN.items() if row.reports_usage])
async def test_an_answer_that_was_cut_by_its_length_is_incomplete(
    counterpart: Counterpart, name: str, how: How
) -> None:
    result, _ = await ask(how, "Stop early.", counterpart.provider(name))
    assert (result.text, result.status) == ("This was to be lon", "incomplete")
    assert tokens(result.usage) == usage(name, how, 8, 5)


# ---- errors


@both_ways
@every_provider
async def test_a_busy_server_is_asked_again(counterpart: Counterpart, name: str, how: How) -> None:
    result, events = await ask(how, "Be busy once.", counterpart.provider(name))
    assert result.text == "Now I have time."
    assert tokens(result.usage) == usage(name, how, 12, 5)
    assert counterpart.statuses() == [429, 200]
    if how == "streamed":
        (retry,) = [event.payload for event in events if event.event == "retry"]
        assert retry["attempt"] == 1
        assert retry["error"]["kind"] == "RateLimited"


@both_ways
@every_provider
@pytest.mark.parametrize(
    ("prompt", "error", "status"),
    [
        ("Fail with 400.", Rejected, 400),
        ("Fail with 401.", AuthenticationFailed, 401),
        ("Fail with 404.", Rejected, 404),
        ("Fail with 500.", ServerFault, 500),
        ("Fail with 503.", Overloaded, 503),
        ("Be busy for 7 seconds.", RateLimited, 429),
        ("Write too much.", ContextOverflow, 400),
    ],
)
async def test_an_error_is_raised_as_its_type(
    counterpart: Counterpart, name: str, how: How, prompt: str, error: type[RemoteError], status: int
) -> None:
    with pytest.raises(RemoteError) as caught:
        await ask(how, prompt, counterpart.provider(name), max_retries=0)
    assert type(caught.value) is error
    assert caught.value.status == status
    assert caught.value.provider == counterpart.provider(name).name
    assert caught.value.retry_after == (7.0 if status == 429 else None)
    assert caught.value.result is not None and caught.value.result.status == "error"
    assert counterpart.statuses() == [status]


async def read_until_it_breaks(prompt: str, provider: abc.Provider) -> tuple[Result, list[Event]]:
    """Stream what breaks off; what is known of it then."""
    seen: list[Event] = []
    with pytest.raises(StreamTruncated) as caught:
        async with alloy_trio.stream(prompt, provider=provider, tools=[weather]) as events:
            with trio.fail_after(SECONDS):
                async for event in events:
                    seen.append(event)
    assert caught.value.result is events.result
    return events.result, seen


@every_provider
async def test_a_stream_that_breaks_off_in_a_text_is_truncated_and_not_asked_for_again(
    counterpart: Counterpart, name: str
) -> None:
    result, events = await read_until_it_breaks("Hang up in the middle.", counterpart.provider(name))
    assert result.status == "error"
    assert result.text == text_of(events) != ""
    assert events[-1].event == "run_end"
    assert "retry" not in [event.event for event in events]
    (entry,) = counterpart.journal()
    assert entry["response"]["interrupted"]


@pytest.mark.parametrize("name", [name for name, row in SPOKEN.items() if row.calls_in_pieces])
async def test_a_call_in_which_the_stream_breaks_off_is_not_executed(
    counterpart: Counterpart, name: str
) -> None:
    result, events = await read_until_it_breaks("Hang up inside the call.", counterpart.provider(name))
    assert result.tool_calls == ()
    kinds = [event.event for event in events]
    assert "tool_input_delta" in kinds
    assert "tool_start" not in kinds and "retry" not in kinds
    (entry,) = counterpart.journal()
    assert entry["response"]["interrupted"]


@every_provider
async def test_a_server_that_hangs_up_without_a_word_is_asked_again(
    counterpart: Counterpart, name: str
) -> None:
    prompt, provider = "Hang up before you answer.", counterpart.provider(name)
    result, events = await ask("streamed", prompt, provider, retry_backoff=0.01)
    assert result.text == text_of(events) == "Pardon me."
    (retry,) = [event.payload for event in events if event.event == "retry"]
    assert retry["error"]["kind"] == "TransportError"
    assert tokens(result.usage) == usage(name, "streamed", 14, 3)


# ---- usage, by attempt


@pytest.mark.parametrize("name", [name for name, row in SPOKEN.items() if not row.opens_with_output])
async def test_a_stream_that_breaks_off_before_its_output_is_asked_for_again(
    counterpart: Counterpart, name: str
) -> None:
    result, events = await ask("streamed", "Hang up at once.", counterpart.provider(name), retry_backoff=0.01)
    assert result.text == text_of(events) == "Here I am again."
    (retry,) = [event.payload for event in events if event.event == "retry"]
    assert retry["error"]["kind"] == "StreamTruncated"
    # Anthropic says at the start what the input was; the others had said nothing yet.
    lost = Usage(input_tokens=100, output_tokens=1) if name == "anthropic" else Usage()
    assert tokens(result.usage) == lost + usage(name, "streamed", 14, 5)
    assert counterpart.statuses() == [200, 200]


@pytest.mark.parametrize("name", [name for name, row in SPOKEN.items() if row.spoilt])
async def test_a_failed_attempts_tokens_are_counted_once(counterpart: Counterpart, name: str) -> None:
    result, _ = await ask(
        "whole", f"Spoil it with {SPOKEN[name].spoilt}", counterpart.provider(name), retry_backoff=0.01
    )
    assert result.text == "Better now."
    assert tokens(result.usage) == Usage(input_tokens=200 + 14, output_tokens=2 + 3)
    assert counterpart.statuses() == [200, 200]


@pytest.mark.parametrize("name", [name for name, row in SPOKEN.items() if row.spoilt])
async def test_a_failure_for_good_has_its_tokens_in_its_result(counterpart: Counterpart, name: str) -> None:
    with pytest.raises(RemoteError) as caught:
        await ask("whole", f"Spoil it with {SPOKEN[name].spoilt}", counterpart.provider(name), max_retries=0)
    assert caught.value.result is not None
    assert tokens(caught.value.result.usage) == Usage(input_tokens=200, output_tokens=2)


@both_ways
async def test_a_hedged_losers_tokens_are_counted_once(counterpart: Counterpart, how: How) -> None:
    slow = counterpart.provider("anthropic", model="claude-slow")
    fast = counterpart.provider("openai")
    result, _ = await ask(how, "Race!", Hedge(slow, fast, after=0.2))
    assert result.text == "I was first."
    assert tokens(result.usage) == Usage(input_tokens=300 + 17, output_tokens=3 + 4)


@both_ways
@every_provider
async def test_each_provider_can_take_over_from_another(
    counterpart: Counterpart, name: str, how: How
) -> None:
    first = counterpart.provider("openai-compatible" if name == "anthropic" else "anthropic", model="down")
    result, events = await ask(
        how,
        "Carry on elsewhere.",
        first,
        max_retries=1,
        retry_backoff=0.01,
        fallback_providers=[counterpart.provider(name)],
    )
    assert result.text == "I took over."
    assert tokens(result.usage) == usage(name, how, 18, 4)
    assert counterpart.statuses() == [503, 503, 200]
    if how == "streamed":
        assert [event.event for event in events if event.event in ("retry", "fallback")] == [
            "retry",
            "fallback",
        ]
