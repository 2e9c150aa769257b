"""What a one-shot is held against: the same request with bare httpx on trio."""

import json
import ssl
import sys

import httpx
import trio


async def ask(url: str, body: bytes, headers: dict[str, str], context: ssl.SSLContext | bool) -> None:
    async with httpx.AsyncClient(verify=context, timeout=None) as client:
        async with client.stream("POST", url, content=body, headers=headers) as response:
            response.raise_for_status()
            if "event-stream" not in response.headers["content-type"]:
                print(text_of(json.loads(await response.aread())))
                return
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    print(piece_of(json.loads(line[6:])), end="", flush=True)
            print()


def piece_of(event: dict) -> str:
    if "choices" in event:
        return (event["choices"][0]["delta"].get("content") or "") if event["choices"] else ""
    delta = event.get("delta", "") if event["type"].endswith("delta") else ""
    return delta if isinstance(delta, str) else delta.get("text", "")


def text_of(answer: dict) -> str:
    if "choices" in answer:
        return answer["choices"][0]["message"]["content"]
    return (answer.get("content") or answer["output"][0]["content"])[0]["text"]


def main() -> None:
    url, request, client = sys.argv[1:]
    with open(request, "rb") as file:
        given = json.load(file)
    # "lean" spares the certificates of a client for https, which "plain" loads though nobody needs them here.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if client == "lean" else True
    trio.run(ask, url, json.dumps(given["body"]).encode(), given["headers"], context)
