import trio

import alloy_trio
from alloy_trio import CompletionRequest, ModelInfo, Prices, Text, ToolContext, ToolUse, tool
from alloy_trio.providers import Scripted


@tool
async def search(query: str, context: ToolContext) -> str:
    """Search the archive.

    Args:
        query: what to look for
    """
    print(f"searching; {context.budget.remaining_cents} cents are left")
    return "nothing about " + query


def turn(request: CompletionRequest) -> list[Text | ToolUse]:
    if request.tool_choice == "none":  # the closing answer
        return [Text("Nothing was found in three searches.")]
    return [ToolUse("", "search", {"query": "nurseries"})]


async def main() -> None:
    result = await alloy_trio.run(
        "What does the archive say about nurseries?",
        provider=Scripted([turn] * 10),
        tools=[search],
        max_budget_cents="2.5",  # an int, a Decimal or a str: cents are counted exactly
        max_tool_calls=3,
        closing_answer=True,
        # Scripted is on no price list: cents per million tokens, as of the model that it stands for.
        model_metadata_overrides={"scripted": ModelInfo(prices=Prices(input=300, output=1500))},
    )
    assert result.error is not None
    print(result.status, "-", result.error.message)
    print(result.text, result.usage.cost_cents, "cents")


trio.run(main)
