"""20,000 streamed deltas: CPU time against reading the same bytes with bare httpx.

Ours is `alloy_trio.stream` over HTTP, read event by event. The floor is httpx on trio, an SSE parser and
json.loads, the text picked out of each object; twice, with a minimal parser written for it (it reads
fields, any line ends and multi-line data, and is in this file), and with httpx-sse's, where that is
installed. The host runs in another process and sends each event as its own packet ("events") or 16 kB at a
time ("chunks"). Required is at most 1.3 times the CPU time.

In "events" the network path of httpx outweighs everything of ours. In "chunks" there is no network to hide
behind: against the minimal parser every microsecond of ours shows.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import _measure
import httpx
import trio
from _host import open_host
from _streams import PATHS, WIRES, Wire, base_url

import alloy_trio
from alloy_trio.providers import provider_from_name

LIMIT = 1.3
QUESTION = "Write twenty thousand words."


class MinimalParser:
    """Server-sent events as far as the vendors use them, in the fewest steps."""

    def __init__(self) -> None:
        self._rest = b""

    def receive(self, chunk: bytes) -> Iterator[tuple[str, str]]:
        """The events that a chunk completes: name and data."""
        lines = (self._rest + chunk).splitlines(keepends=True)
        self._rest = b""
        if lines and not lines[-1].endswith(b"\n"):
            self._rest = lines.pop()
        held: list[bytes] = []
        data: list[str] = []
        name = ""
        for line in lines:
            held.append(line)
            line = line.rstrip(b"\r\n")
            if not line:
                if data:
                    yield name, "\n".join(data)
                held, data, name = [], [], ""
            elif line.startswith(b"data:"):
                data.append(line[5:].lstrip(b" ").decode())
            elif line.startswith(b"event:"):
                name = line[6:].strip().decode()
        self._rest = b"".join(held) + self._rest


async def minimal_events(response: httpx.Response) -> AsyncIterator[str]:
    """The data of each event, by the parser above."""
    parser = MinimalParser()
    async for chunk in response.aiter_raw():
        for _name, data in parser.receive(chunk):
            yield data


async def httpx_sse_events(response: httpx.Response) -> AsyncIterator[str]:
    """The data of each event, by httpx-sse."""
    from httpx_sse import EventSource

    async for event in EventSource(response).aiter_sse():
        yield event.data


def text_of(wire: Wire, event: dict[str, Any]) -> str:
    """What an event adds to the answer."""
    if wire == "anthropic":
        return str(event["delta"].get("text", "")) if event["type"] == "content_block_delta" else ""
    if wire == "openai":
        return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""
    choices = event["choices"]
    return str(choices[0]["delta"].get("content", "")) if choices else ""


Read = Callable[[httpx.Response], AsyncIterator[str]]


async def read_bare(wire: Wire, host: str, read: Read) -> str:
    """The floor: one request, its answer's text."""
    pieces: list[str] = []
    async with httpx.AsyncClient(verify=False) as client:
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
        async with client.stream("POST", host + PATHS[wire], json=body) as response:
            async for data in read(response):
                if data != "[DONE]":
                    pieces.append(text_of(wire, json.loads(data)))
    return "".join(pieces)


async def read_ours(wire: Wire, host: str) -> str:
    """The subject: the same request by `alloy_trio.stream`."""
    provider = provider_from_name(wire, "m", base_url=base_url(wire, host), api_key="none")
    pieces: list[str] = []
    async with alloy_trio.stream(QUESTION, provider=provider) as events:
        async for event in events:
            if event.event == "text_delta":
                pieces.append(event.payload)
    return "".join(pieces)


def cpu_seconds(read: Callable[[], Any], expected: int) -> float:
    """CPU time of one reading, start-up of trio and the connection included."""
    start = time.process_time()
    text = trio.run(read)
    seconds = time.process_time() - start
    if len(text.split()) != expected:
        raise SystemExit(f"{expected} words were sent, {len(text.split())} were read")
    return seconds


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; returns the exit status."""
    parser = _measure.parser(__doc__, rounds=7)
    parser.add_argument("--deltas", type=int, default=20_000, help="of the answer (default: %(default)s)")
    parser.add_argument(
        "--wires", nargs="+", choices=WIRES, default=WIRES, metavar="WIRE", help="of " + " ".join(WIRES)
    )
    parser.add_argument("--pieces", nargs="+", choices=("events", "chunks"), default=("events", "chunks"))
    options = parser.parse_args(argv)
    floors: dict[str, Read] = {"minimal parser": minimal_events}
    try:
        import httpx_sse as _installed  # noqa: F401
    except ImportError:
        print("httpx-sse is not installed: that floor is left out")
    else:
        floors["httpx-sse"] = httpx_sse_events
    rows = []
    with open_host() as url:
        for how in options.pieces:
            for wire in options.wires:
                host = f"{url}/{how}/{options.deltas}"
                readers: dict[str, Callable[[], Any]] = {"ours": partial(read_ours, wire, host)}
                readers |= {name: partial(read_bare, wire, host, read) for name, read in floors.items()}
                contestants = {
                    name: partial(cpu_seconds, read, options.deltas) for name, read in readers.items()
                }
                measured = _measure.interleaved(contestants, options.rounds)
                for floor in floors:
                    what = f"{wire}, {how}, {floor}"
                    scale = 1e6 / options.deltas
                    rows.append(
                        _measure.compare(what, measured, "ours", floor, unit="µs", scale=scale, limit=LIMIT)
                    )
    return _measure.report("deltas", rows, options, deltas=options.deltas)


if __name__ == "__main__":
    _measure.run(main)
