"""A provider for a host that the library does not know: an address, a key, and the ways of its dialect."""

import json
from typing import Unpack

import trio

import alloy_trio
from alloy_trio.providers import Host, HttpOptions, HttpProvider, bearer
from alloy_trio.testing import Exchange, open_replay_server
from alloy_trio.wire import ChatCodec, Dialect

ACME = Host(
    name="acme",
    base_url="https://api.acme.example/v1",
    env_vars=("ACME_API_KEY",),
    auth=bearer,  # or a function: lambda key: ("x-acme-key", key)
)

ACME_WAYS = Dialect(
    max_tokens_field="max_tokens",  # the host's older name for it
    required_word="any",  # what others call "required"
    reasoning_field="reasoning",
    reasoning_replay="with_tool_calls",
    tool_id_pattern=r"[a-z0-9]{1,12}",  # ids of other vendors' calls are replaced by such ones
    documents=None,
)


class Acme(HttpProvider):
    """Acme's models, over Chat Completions."""

    def __init__(self, model: str, **options: Unpack[HttpOptions]) -> None:
        super().__init__(model, codec=ChatCodec(ACME_WAYS), host=ACME, **options)


ANSWER = {
    "id": "1",
    "model": "roadrunner-2",
    "choices": [{"index": 0, "message": {"content": "Beep beep."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
}


async def main() -> None:
    # A server on the loopback interface stands in for the host, so the example runs without a network.
    async with open_replay_server([Exchange(body=json.dumps(ANSWER).encode())]) as server:
        provider = Acme("roadrunner-2", base_url=f"{server.url}/v1", api_key="secret", max_tokens=100)
        result = await alloy_trio.run("Say something.", provider=provider)
    [request] = server.requests
    print(request.method, request.path, {name: request.json[name] for name in ("model", "max_tokens")})
    print(result.text, result.usage.total_tokens)


trio.run(main)
