import trio

import alloy_trio
from alloy_trio import ToolUse, tool
from alloy_trio.providers import Scripted


@tool
async def wait_for_the_bus() -> str:
    """Wait for the bus, which does not come."""
    await trio.sleep(600)
    return "it came"


async def main() -> None:
    model = Scripted([[ToolUse("1", "wait_for_the_bus", {})], "never said"])
    result = await alloy_trio.run("Take the bus", provider=model, tools=[wait_for_the_bus], timeout=0.1)
    print(result.status)
    print(result.tool_calls[0].outcome)


trio.run(main)
