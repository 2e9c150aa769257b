"""A host in a process of its own that streams long answers: each event in its own packet, or many together.

The address says how: ``/events/20000/v1/messages`` streams 20,000 deltas one by one, ``/chunks/20000/…`` in
pieces of 16 kB. One by one is paced: a reader that is slower than its sender finds several events in each
read, and would then be measured at less work than one that keeps up. trio's clock is too coarse for such
pauses, so this is a plain thread and not the replay server.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from _streams import PATHS, Wire, events

PAUSE_SECONDS = 150e-6
"""Between two events; the kernel adds some 60 µs. Longer than reading one takes on the machines seen."""

CHUNK_BYTES = 16384
"""About what a read of a fast stream returns."""


@contextmanager
def open_host() -> Iterator[str]:
    """Start the host; yields its address."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def main() -> None:
    """Serve until terminated."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    prepared: dict[str, list[bytes]] = {}
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection, prepared), daemon=True).start()


def _serve(connection: socket.socket, prepared: dict[str, list[bytes]]) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as reader:
        while line := reader.readline():
            path = line.split()[1].decode()
            length = 0
            while (header := reader.readline().strip().lower()) != b"":
                if header.startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            reader.read(length)
            if path not in prepared:
                prepared[path] = _pieces(path)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            pause = PAUSE_SECONDS if path.startswith("/events") else 0.0
            for piece in prepared[path]:
                connection.sendall(piece)
                if pause:
                    time.sleep(pause)


def _pieces(path: str) -> list[bytes]:
    _, how, deltas, *_rest = path.split("/")
    wire: Wire = next(wire for wire, end in PATHS.items() if path.endswith(end))
    pieces = events(wire, int(deltas))
    if how == "chunks":
        body = b"".join(pieces)
        pieces = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
    return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]


if __name__ == "__main__":
    main()
