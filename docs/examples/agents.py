import trio

import alloy_trio
from alloy_trio import Broadcast, CompletionRequest, ToolContext, ToolUse, tool
from alloy_trio.providers import Scripted


def review(request: CompletionRequest) -> list[ToolUse] | str:
    last = request.messages[-1].text
    return [ToolUse("1", "researcher", {"prompt": "Who uses it?"})] if last else "Reviewed."


@tool
async def summarise(context: ToolContext) -> str:
    """Let a sub-agent write the summary."""
    agent: alloy_trio.Agent = context.agent
    result = await agent.delegate("Summarise it", provider=Scripted(["In short: fine."]))
    return result.text


async def main() -> None:
    broadcast = Broadcast()
    researcher_model = Scripted(["Nobody yet."])
    async with alloy_trio.open_agent(provider=researcher_model) as researcher:
        ask = researcher.as_tool("researcher", "Finds out who uses what.")
        async with alloy_trio.open_agent(
            provider=Scripted([review, review, [ToolUse("2", "summarise", {})], "Done."]),
            tools=[ask, summarise],
            broadcast=broadcast,
            subscribe=("reviews:new",),
        ) as reviewer:
            async with reviewer.stream("Review this") as events:
                async for event in events:
                    if event.event in ("run_start", "run_end"):
                        print(event.event, "of a sub-agent" if event.parent_id else "of the agent")

            async with broadcast.subscribe(f"agent:{reviewer.id}:responses") as answers:
                broadcast.publish("reviews:new", "Now a summary")
                async for answer in answers:
                    print(answer.value.text, "|", answer.value.tool_calls[0].output)
                    break


trio.run(main)
