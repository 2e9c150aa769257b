import trio

import alloy_trio
from alloy_trio.providers import Demo
from alloy_trio.tools import read


async def main() -> None:
    prompt = "Read pyproject.toml and tell me the license"
    async with alloy_trio.stream(prompt, provider=Demo(), tools=[read]) as events:
        async for event in events:
            if event.event == "tool_start":
                print(event.seq, "the model calls", event.payload["name"])
            elif event.event == "run_end":
                print(event.seq, "done:", event.payload["status"])
    print(events.result.text)


trio.run(main)
