"""The vendors' own Python clients, reading an answer that is already there.

Each is the client itself, with a transport that answers without a network, in the way its users read a stream:
``events`` goes over the typed events and joins their text, ``answer`` lets the client put the answer together,
where it can.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Read = Callable[[list[bytes]], str]

MESSAGES: Any = [{"role": "user", "content": "Write twenty thousand words."}]


class _Network:
    """A transport that answers every request with these chunks."""

    def __init__(self, library: Any, content_type: str) -> None:
        self.chunks: list[bytes] = []

        class Body(library.SyncByteStream):  # type: ignore[misc]
            def __iter__(body) -> Iterator[bytes]:
                return iter(self.chunks)

        headers = {"content-type": content_type}
        self.transport = library.MockTransport(
            lambda request: library.Response(200, headers=headers, stream=Body())
        )
        self.client = library.Client(transport=self.transport)

    def reading(self, read: Callable[[], Iterable[str]]) -> Read:
        def reader(chunks: list[bytes]) -> str:
            self.chunks = chunks
            return "".join(read())

        return reader


def anthropic() -> dict[str, Read]:
    """Anthropic's client."""
    from anthropic import Anthropic

    # It brings its own HTTP library, and which one depends on its version.
    network = _Network(sys.modules.get("httpx2") or sys.modules["httpx"], "text/event-stream")
    client = Anthropic(api_key="none", http_client=network.client, max_retries=0)

    def events() -> Iterator[str]:
        for event in client.messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=True):
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield event.delta.text

    def answer() -> Iterator[str]:
        with client.messages.stream(model="m", max_tokens=9, messages=MESSAGES) as stream:
            yield stream.get_final_text()

    return {"events": network.reading(events), "answer": network.reading(answer)}


def _openai() -> tuple[_Network, Any]:
    from openai import OpenAI

    network = _Network(sys.modules.get("httpx2") or sys.modules["httpx"], "text/event-stream")
    try:
        return network, OpenAI(api_key="none", http_client=network.client, max_retries=0)
    except TypeError:
        network = _Network(sys.modules["httpx"], "text/event-stream")
        return network, OpenAI(api_key="none", http_client=network.client, max_retries=0)


def openai_responses() -> dict[str, Read]:
    """OpenAI's client, Responses."""
    network, client = _openai()

    def events() -> Iterator[str]:
        for event in client.responses.create(model="m", input="x", stream=True):
            if event.type == "response.output_text.delta":
                yield event.delta

    def answer() -> Iterator[str]:
        with client.responses.stream(model="m", input="x") as stream:
            yield stream.get_final_response().output_text

    return {"events": network.reading(events), "answer": network.reading(answer)}


def openai_chat() -> dict[str, Read]:
    """OpenAI's client, Chat Completions."""
    network, client = _openai()

    def events() -> Iterator[str]:
        for chunk in client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
            if chunk.choices:
                yield chunk.choices[0].delta.content or ""

    def answer() -> Iterator[str]:
        with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
            yield stream.get_final_completion().choices[0].message.content or ""

    return {"events": network.reading(events), "answer": network.reading(answer)}


def gemini() -> dict[str, Read]:
    """Google's client. It puts no answer together."""
    import httpx
    from google import genai

    network = _Network(httpx, "text/event-stream")
    options = genai.types.HttpOptions(client_args={"transport": network.transport})
    client = genai.Client(api_key="none", http_options=options)

    def events() -> Iterator[str]:
        for chunk in client.models.generate_content_stream(model="m", contents="x"):
            yield chunk.text or ""

    return {"events": network.reading(events)}


def bedrock() -> dict[str, Read]:
    """Amazon's client (botocore). It puts no answer together."""
    import botocore.session
    from botocore.awsrequest import AWSResponse

    client = botocore.session.get_session().create_client(
        "bedrock-runtime", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none"
    )
    held: list[list[bytes]] = [[]]

    class Body:
        def stream(self) -> Iterator[bytes]:
            return iter(held[0])

        def close(self) -> None:
            pass

    def answer(**_request: Any) -> AWSResponse:
        return AWSResponse("", 200, {"content-type": "application/vnd.amazon.eventstream"}, Body())

    client.meta.events.register("before-send.bedrock-runtime.ConverseStream", answer)
    messages = [{"role": "user", "content": [{"text": "x"}]}]

    def events(chunks: list[bytes]) -> str:
        held[0] = chunks
        pieces = []
        for event in client.converse_stream(modelId="m", messages=messages)["stream"]:
            if "contentBlockDelta" in event:
                pieces.append(event["contentBlockDelta"]["delta"].get("text", ""))
        return "".join(pieces)

    return {"events": events}


def ollama() -> dict[str, Read]:
    """Ollama's client. It puts no answer together."""
    import httpx
    from ollama import Client

    network = _Network(httpx, "application/x-ndjson")
    client = Client(host="http://127.0.0.1:9", transport=network.transport)

    def events() -> Iterator[str]:
        for chunk in client.chat(model="m", messages=MESSAGES, stream=True):
            yield chunk.message.content or ""

    return {"events": network.reading(events)}


VENDORS: dict[str, Callable[[], dict[str, Read]]] = {
    "anthropic": anthropic,
    "openai": openai_responses,
    "openai-compatible": openai_chat,
    "gemini": gemini,
    "bedrock": bedrock,
    "ollama": ollama,
}
"""By wire. An ImportError says that the client is not installed."""

CLIENTS = {
    "anthropic": "anthropic",
    "openai": "openai",
    "openai-compatible": "openai",
    "gemini": "google-genai",
    "bedrock": "botocore",
    "ollama": "ollama",
}
"""What each is called where packages are installed from."""
