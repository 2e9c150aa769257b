import trio

import alloy_trio
from alloy_trio.providers import Demo
from alloy_trio.tools import read


async def main() -> None:
    with trio.move_on_after(60):
        result = await alloy_trio.run(
            "Read pyproject.toml and tell me the license", provider=Demo(), tools=[read]
        )
        print(result.text)
        for call in result.tool_calls:
            print(call.name, call.input, call.outcome)
        print(result.status, result.turns)


trio.run(main)
