"""``python -m alloy_trio.testing.replay_server FILE``: serve recorded exchanges by hand."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import Any

import trio

from alloy_trio.values import ConfigurationError

from ._exchanges import Chunking, Exchange, read_records
from ._replay_server import open_replay_server

_DESCRIPTION = """\
Answer HTTP requests on 127.0.0.1 with recorded exchanges, in the order of the file, and print the URL to use.
"""

_EPILOG = """\
FILE holds one JSON object a line (gzip when it ends in .gz), each with the answer to one request:

  {"body": "{\\"id\\":\\"msg_1\\", ...}", "status": 200, "response_content_type": "application/json"}

also read: response_headers, stream, id, conversation, and body_encoding ("base64").

examples:
  python -m alloy_trio.testing.replay_server answers.jsonl --port 8080
  alloy -p "hello" --provider anthropic --base-url http://127.0.0.1:8080
  alloy -p "hello" --provider openai --base-url http://127.0.0.1:8080/v1

  one conversation of a large file, its streams in pieces of 7 bytes, 20 ms apart:
  python -m alloy_trio.testing.replay_server open.jsonl.gz --conversation 40d99122fe7c --chunk 7 --pause 0.02

Ctrl-C ends it.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the return value is the exit status."""
    options = _parser().parse_args(arguments)
    try:
        exchanges = _chosen(read_records(options.file), options.conversation)
    except (ConfigurationError, OSError) as exc:
        print(f"replay_server: {exc}", file=sys.stderr)
        return 2
    if not exchanges:
        which = f"of conversation {options.conversation!r} " if options.conversation else ""
        print(f"replay_server: {options.file} holds no exchange {which}to serve", file=sys.stderr)
        return 2
    try:
        trio.run(_serve, exchanges, options)
    except OSError as exc:
        print(f"replay_server: cannot listen on port {options.port}: {exc}", file=sys.stderr)
        return 2
    return 0


async def _serve(exchanges: list[Exchange], options: argparse.Namespace) -> None:
    # A repeating server starts over after the last exchange, so that the same question can be asked again.
    served = 0

    def next_exchange(_request: object) -> Exchange | None:
        nonlocal served
        if served == len(exchanges) and options.once:
            return None
        exchange = exchanges[served % len(exchanges)]
        served += 1
        label = f"{exchange.id or 'exchange'} ({exchange.status}, {len(exchange.body)} bytes)"
        print(f"{served}: {label}", file=sys.stderr)
        return exchange

    chunking: Chunking = options.chunk
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with open_replay_server(
            exchanges,
            match=next_exchange,
            chunking=chunking,
            headers_after=options.delay,
            chunks_after=options.pause,
            port=options.port,
        ) as server:
            print(server.url, flush=True)
            async for _ in signals:
                break
        print(f"\n{server.statistics().requests} requests were served", file=sys.stderr)


def _chosen(records: list[dict[str, Any]], conversation: str | None) -> list[Exchange]:
    if conversation is not None:
        records = [record for record in records if record.get("conversation") == conversation]
        records.sort(key=lambda record: record.get("turn", 0))
    return [Exchange.from_record(record) for record in records]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m alloy_trio.testing.replay_server",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the recorded exchanges")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="TCP port (default: a free one)")
    parser.add_argument(
        "--conversation", metavar="ID", help="only the exchanges of this conversation, by turn"
    )
    parser.add_argument(
        "--chunk",
        type=_chunking,
        default="whole",
        metavar="N",
        help="send bodies in pieces of N bytes, or 'events' for one event each (default: whole)",
    )
    parser.add_argument(
        "--delay", type=float, default=0.0, metavar="S", help="seconds before an answer begins"
    )
    parser.add_argument("--pause", type=float, default=0.0, metavar="S", help="seconds between two pieces")
    parser.add_argument(
        "--once", action="store_true", help="serve each exchange once, instead of starting over"
    )
    return parser


def _chunking(text: str) -> Chunking:
    if text in ("whole", "events"):
        return text  # type: ignore[return-value]
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a number of bytes above 0 nor 'whole' or 'events'")


if __name__ == "__main__":
    sys.exit(main())
