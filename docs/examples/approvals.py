from typing import Any

import trio

import alloy_trio
from alloy_trio import Approve, Decision, Deny, Result, RunInfo, Session, ToolPolicy, ToolUse, tool
from alloy_trio.providers import Scripted


@tool
async def delete(name: str) -> str:
    """Delete a file.

    Args:
        name: which
    """
    return f"deleted {name}"


CALLS = [ToolUse("1", "delete", {"name": "cache"}), ToolUse("2", "delete", {"name": "thesis"})]


async def pause() -> tuple[str, str]:
    """Without an approver the run pauses; what it waits for goes into JSON."""
    options: dict[str, Any] = {"tools": [delete], "middleware": [ToolPolicy(ask=["delete"])]}
    async with alloy_trio.open_agent(provider=Scripted([CALLS]), **options) as agent:
        result = await agent.chat("Make room")
        print(result.status, [call.input["name"] for call in result.pending])
        return alloy_trio.to_json(result), alloy_trio.to_json(agent.export_session())


async def go_on(paused: str, session: str) -> None:
    """Elsewhere, later: a person has decided."""
    options: dict[str, Any] = {"tools": [delete], "middleware": [ToolPolicy(ask=["delete"])]}
    options["session"] = alloy_trio.from_json(session, Session)
    async with alloy_trio.open_agent(provider=Scripted(["The cache is gone."]), **options) as agent:
        result = await agent.resume(
            alloy_trio.from_json(paused, Result),
            decisions={"1": Approve(), "2": Deny("not that one!")},
        )
        print(result.status, result.text)
        print([record.output for record in result.tool_calls])


async def ask_at_once() -> None:
    """With an approver the call waits, and the run with it."""

    async def person(call: ToolUse, run: RunInfo) -> Decision:
        await trio.sleep(0.01)  # thinks
        return Approve() if call.input["name"] == "cache" else Deny("not that one!")

    policy = ToolPolicy(ask=["delete"], approver=person)
    result = await alloy_trio.run(
        "Make room", provider=Scripted([CALLS, "Done."]), tools=[delete], middleware=[policy]
    )
    print([record.outcome for record in result.tool_calls])


async def main() -> None:
    await go_on(*await pause())
    await ask_at_once()


trio.run(main)
