import trio

import alloy_trio
from alloy_trio.providers import Demo
from alloy_trio.tools import read


async def main() -> None:
    result = await alloy_trio.run("Read pyproject.toml and tell me the name", provider=Demo(), tools=[read])
    print(result.text)
    print(result.status, "after", result.turns, "turns and", [call.name for call in result.tool_calls])


trio.run(main)
