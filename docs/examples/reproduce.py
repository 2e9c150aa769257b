import trio

import alloy_trio
from alloy_trio import ToolUse
from alloy_trio.abc import Provider
from alloy_trio.providers import NotRecorded, Scripted, record, replay


@alloy_trio.tool
async def count(word: str) -> str:
    """Count the letters of a word.

    Args:
        word: the word
    """
    return f"{len(word)} letters"


async def study(provider: Provider, word: str) -> str:
    result = await alloy_trio.run(f"How long is {word!r}?", provider=provider, tools=[count])
    return f"{result.text} ({result.usage.total_tokens} tokens)"


async def main() -> None:
    # Stands for a vendor's model, such as Anthropic("claude-sonnet-4-6").
    model = Scripted([[ToolUse("", "count", {"word": "trio"})], "Four letters."])
    print("recorded:", await study(record(model, "run.jsonl"), "trio"))
    print("replayed:", await study(replay("run.jsonl"), "trio"))
    try:
        await study(replay("run.jsonl"), "trios")
    except NotRecorded as miss:
        print(*(line for line in str(miss).splitlines() if line[0] in "-+"), sep="\n")


trio.run(main)
