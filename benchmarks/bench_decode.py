"""Decoding: our codecs against the vendors' own clients, from bytes to an answer, by event.

An answer of 20,000 pieces of text lies in memory, in chunks of 16 kB or one event a chunk. Ours goes through a codec's
decoder, which gives deltas on the way and the whole answer at its end. The vendor's client gets the same chunks from
a transport without a network, and is read in two ways: over its typed events (``events``), the fastest that it has,
and with the answer put together by it (``answer``), which is what ours does. Nothing but decoding is measured: making
clients is not, and a request with an answer of one piece is taken off from both. Required is a third of the
vendor's time. CPU time, of this process.

A client that is not installed is left out, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version

import _measure
from _streams import MORE_WIRES, WIRES, events
from _vendors import CLIENTS, VENDORS, Read

from alloy_trio.values import TextDelta
from alloy_trio.wire import (
    AnthropicCodec,
    BedrockCodec,
    ChatCodec,
    Codec,
    GeminiCodec,
    OllamaCodec,
    ResponsesCodec,
    WireSettings,
)
from alloy_trio.wire._dialects import DIALECTS

LIMIT = 1 / 3
ALL_WIRES = (*WIRES, *MORE_WIRES)
CHUNK_BYTES = 16384
"""About what a read of a fast stream returns."""

CODECS: dict[str, Codec] = {
    "anthropic": AnthropicCodec(),
    "openai": ResponsesCodec(),
    "openai-compatible": ChatCodec(DIALECTS["openai"]),
    "gemini": GeminiCodec(),
    "bedrock": BedrockCodec(),
    "ollama": OllamaCodec(),
}


def read_ours(codec: Codec, chunks: list[bytes]) -> str:
    """The subject: deltas as they come, then the answer, which says the same."""
    decoder = codec.decoder(WireSettings(provider="host", model="m"))
    pieces: list[str] = []
    for chunk in chunks:
        for delta in decoder.receive(chunk):
            if isinstance(delta, TextDelta):
                pieces.append(delta.text)
    decoder.receive_end()
    text = decoder.finish().message.text
    if "".join(pieces) != text:
        raise SystemExit("the deltas and the answer differ")
    return text


def divided(pieces: list[bytes], how: str) -> list[bytes]:
    """The stream's chunks."""
    if how == "events":
        return pieces
    body = b"".join(pieces)
    return [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]


def cpu_seconds(read: Read, chunks: list[bytes], short: list[bytes], expected: int) -> float:
    """CPU time of reading the stream, without that of a request."""
    start = time.process_time()
    text = read(chunks)
    middle = time.process_time()
    read(short)
    end = time.process_time()
    if len(text.split()) != expected:
        raise SystemExit(f"{expected} words were sent, {len(text.split())} were read")
    return (middle - start) - (end - middle)


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; returns the exit status."""
    parser = _measure.parser(__doc__, rounds=7)
    parser.add_argument("--deltas", type=int, default=20_000, help="of the answer (default: %(default)s)")
    parser.add_argument(
        "--wires",
        nargs="+",
        choices=ALL_WIRES,
        default=ALL_WIRES,
        metavar="WIRE",
        help="of " + " ".join(ALL_WIRES),
    )
    parser.add_argument("--pieces", nargs="+", choices=("events", "chunks"), default=("events", "chunks"))
    options = parser.parse_args(argv)
    rows = []
    clients: dict[str, str] = {}
    for wire in options.wires:
        try:
            vendor = VENDORS[wire]()
        except ImportError as error:
            print(f"{wire} is left out: {error}")
            continue
        clients[wire] = f"{CLIENTS[wire]} {version(CLIENTS[wire])}"
        readers: dict[str, Read] = {"ours": partial(read_ours, CODECS[wire]), **vendor}
        for how in options.pieces:
            chunks, short = (divided(events(wire, count), how) for count in (options.deltas, 1))
            contestants: dict[str, Callable[[], float]] = {
                name: partial(cpu_seconds, read, chunks, short, options.deltas)
                for name, read in readers.items()
            }
            measured = _measure.interleaved(contestants, options.rounds)
            for name in vendor:
                what = f"{wire}, {'one an event' if how == 'events' else '16 kB'}, {name}"
                scale = 1e6 / options.deltas
                rows.append(
                    _measure.compare(what, measured, "ours", name, unit="µs", scale=scale, limit=LIMIT)
                )
    return _measure.report("decode", rows, options, deltas=options.deltas, clients=clients)


if __name__ == "__main__":
    _measure.run(main)
