"""Loop overhead with a scripted model: CPU time of a turn with one small tool call, over T turns.

Ours is `run` and `stream`; the floor is a bare loop over the same completions that awaits the same function
in a nursery and keeps the messages: no events, no validation, no limits, no records. Required is that a
turn of 500 costs at most 1.5 times a turn of 10: nothing may grow with the turns before.

Beside it, encoding: what each wire's codec takes for the last requests of a conversation that grows.
Messages that were encoded before are looked up, not encoded again; the floor is to join as many bytes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import _measure
import trio
from _streams import WIRES, Wire

import alloy_trio
from alloy_trio import CompletionRequest, Message, Text, ToolResult, ToolSpec, ToolUse
from alloy_trio.providers import Scripted
from alloy_trio.wire import AnthropicCodec, ChatCodec, Codec, ResponsesCodec, WireSettings

TURNS = (10, 50, 200, 500)
LIMIT = 1.5
CODECS: dict[Wire, Callable[[], Codec]] = {
    "anthropic": AnthropicCodec,
    "openai": ResponsesCodec,
    "openai-compatible": ChatCodec,
}


@alloy_trio.tool
async def add(left: int, right: int) -> str:
    """Add two numbers.

    Args:
        left: one
        right: the other
    """
    return str(left + right)


def script(turns: int) -> list[list[Any] | str]:
    """So many turns, the last of which answers."""
    calls: list[list[Any] | str] = [
        [Text("One more sum to do."), ToolUse(f"call_{number}", "add", {"left": number, "right": 1})]
        for number in range(turns - 1)
    ]
    return [*calls, "All sums are done."]


async def ours_run(turns: int) -> int:
    """The subject, without events."""
    result = await alloy_trio.run("Add.", provider=Scripted(script(turns)), tools=[add], max_turns=turns)
    return result.turns


async def ours_stream(turns: int) -> int:
    """The subject, with its events read."""
    options: dict[str, Any] = {"provider": Scripted(script(turns)), "tools": [add], "max_turns": turns}
    async with alloy_trio.stream("Add.", **options) as events:
        async for _ in events:
            pass
    return events.result.turns


async def bare_loop(turns: int) -> int:
    """The floor: the same answers and calls, nothing around them."""
    messages = [Message.user("Add.")]

    async def call(use: ToolUse, results: list[ToolResult]) -> None:
        results.append(ToolResult(use.id, str(use.input["left"] + use.input["right"])))

    for said in script(turns):
        await trio.lowlevel.checkpoint()
        blocks = (Text(said),) if isinstance(said, str) else tuple(said)
        messages.append(Message("assistant", blocks))
        results: list[ToolResult] = []
        async with trio.open_nursery() as nursery:
            for use in messages[-1].tool_uses:
                nursery.start_soon(call, use, results)
        if results:
            messages.append(Message("user", tuple(results)))
    return len(messages) // 2


def seconds(loop: Callable[[int], Any], turns: int) -> float:
    """CPU seconds of a turn."""
    # Few turns are repeated: start-up of a run belongs to it, but the clock needs something to measure.
    times = max(1, 200 // turns)

    async def repeat() -> float:
        start = time.process_time()
        for _ in range(times):
            done = await loop(turns)
            assert done == turns, done
        return time.process_time() - start

    return trio.run(repeat) / times / turns


def encode_seconds(wire: Wire, turns: int) -> tuple[float, float]:
    """Encoding the last tenth of a conversation's requests, and joining as many bytes: seconds for one."""
    codec = CODECS[wire]()
    settings = WireSettings(provider=wire, model="m")
    tools = (ToolSpec("add", "Add two numbers.", {"type": "object", "properties": {}}),)
    messages = [Message.user("Add.")]
    taken, joined = [], []
    for number in range(turns):
        request = CompletionRequest(tuple(messages), tools=tools)
        start = time.process_time_ns()
        body = codec.encode(request, settings, stream=True).body
        taken.append(time.process_time_ns() - start)
        parts = [body[at : at + 200] for at in range(0, len(body), 200)]
        start = time.process_time_ns()
        b",".join(parts)
        joined.append(time.process_time_ns() - start)
        use = ToolUse(f"call_{number}", "add", {"left": number, "right": 1})
        messages.append(Message("assistant", (Text("One more sum to do."), use)))
        messages.append(Message("user", (ToolResult(use.id, str(number + 1)),)))
    last = max(1, turns // 10)
    return statistics.median(taken[-last:]) / 1e9, statistics.median(joined[-last:]) / 1e9


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; returns the exit status."""
    parser = _measure.parser(__doc__, rounds=9)
    parser.add_argument(
        "--turns", nargs="+", type=int, default=TURNS, metavar="T", help="(default: 10 50 200 500)"
    )
    options = parser.parse_args(argv)
    loops = {"run": ours_run, "stream": ours_stream, "floor": bare_loop}
    contestants = {
        f"{name} {turns}": partial(seconds, loop, turns)
        for turns in options.turns
        for name, loop in loops.items()
    }
    measured = _measure.interleaved(contestants, options.rounds)
    compare = partial(_measure.compare, unit="µs", scale=1e6)
    rows = [
        compare(f"{name}, {turns} turns / bare loop", measured, f"{name} {turns}", f"floor {turns}")
        for name in ("run", "stream")
        for turns in options.turns
    ]
    least, most = min(options.turns), max(options.turns)
    rows += [
        compare(
            f"{name}, {most} turns / {least} turns",
            measured,
            f"{name} {most}",
            f"{name} {least}",
            limit=LIMIT,
        )
        for name in ("run", "stream")
    ]
    for wire in CODECS:
        pairs: dict[int, list[tuple[float, float]]] = {turns: [] for turns in options.turns}
        for _ in range(options.rounds):
            for turns, found in pairs.items():
                found.append(encode_seconds(wire, turns))
        for turns, found in pairs.items():
            both = {"ours": [ours for ours, _ in found], "join": [join for _, join in found]}
            rows.append(compare(f"{wire}, encode turn {turns} / join bytes", both, "ours", "join"))
    return _measure.report("turns", rows, options)


assert set(CODECS) == set(WIRES)

if __name__ == "__main__":
    _measure.run(main)
