from pathlib import Path

import trio

import alloy_trio
from alloy_trio import ToolUse
from alloy_trio.providers import Scripted

SKILL = """---
name: release
description: How a release is made
---
Tag it {{input}}, then build it.
"""


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


async def main() -> None:
    write("AGENTS.md", "Answer in one sentence.")
    write(".alloy/context/style.md", "We spell it 'colour'.")
    write(".alloy/skills/release/SKILL.md", SKILL)
    write(".alloy/skills/release/checklist.md", "1. Tests pass.")

    calls = [
        ToolUse("1", "skill", {"name": "release"}),
        ToolUse("2", "skill", {"name": "release", "file": "checklist.md"}),
    ]
    model = Scripted([calls, "Tagged."])
    result = await alloy_trio.run("Release 1.2", provider=model, discover_context=True)

    told = model.requests[0].system or ""
    print("Answer in one sentence." in told, "'colour'" in told, "Tag it" in told)
    print([line for line in told.split("\n") if line.startswith("- release")])
    for record in result.tool_calls:
        print(record.output.split("\n")[0])


trio.run(main)
