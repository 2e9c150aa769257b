import trio

import alloy_trio
from alloy_trio import ToolUse
from alloy_trio.providers import Scripted
from alloy_trio.tools import DirectoryStore, memory_tool

remember = memory_tool(store=DirectoryStore("memories"), scope="ada")


async def ask(question: str, *turns: str | list[ToolUse]) -> None:
    result = await alloy_trio.run(question, provider=Scripted(turns), tools=[remember])
    for call in result.tool_calls:
        print(call.output)
    print(result.text)


async def main() -> None:
    note = {"command": "create", "path": "/memories/taste.md", "file_text": "tea: green\n"}
    await ask("I like green tea.", [ToolUse("1", "memory", note)], "I will remember.")
    look = {"command": "view", "path": "/memories"}
    read = {"command": "view", "path": "/memories/taste.md"}
    await ask("Which tea?", [ToolUse("1", "memory", look), ToolUse("2", "memory", read)], "Green.")


trio.run(main)
