import trio

from alloy_trio import CompletionRequest, ToolUse, stream, tool
from alloy_trio.providers import Scripted


@tool
async def turn_to(page: int) -> str:
    """Turn to a page of a long book."""
    return f"This is page {page}. " + "It goes on and on. " * 100


def answer(request: CompletionRequest) -> str | list[ToolUse]:
    if request.messages[-1].text.endswith("Answer with the summary only."):
        return "## Goal\nRead the book.\n## Done\nRead the first pages; they go on and on."
    pages.append(len(pages) + 1)
    if len(pages) > 30:
        return f"I was asked: {request.messages[0].text}"
    return [ToolUse("", "turn_to", {"page": pages[-1]})]


pages: list[int] = []


async def main() -> None:
    model = Scripted([answer] * 100)
    async with stream(
        "Read the book", provider=model, tools=[turn_to], max_tokens=4_000, max_turns=50
    ) as events:
        async for event in events:
            if event.event == "compaction":
                print(f"after turn {event.turn}: {event.payload['kind']}")
    print(events.result.text)


trio.run(main)
