import subprocess
from pathlib import Path

import trio

import alloy_trio
from alloy_trio import ToolUse
from alloy_trio.providers import Scripted
from alloy_trio.tools import bash, bash_tool


async def in_a_container(command: str, directory: Path, deadline: float) -> tuple[int, bytes]:
    # "docker exec --workdir /work my-container" would stand in the place of "env -i".
    done = await trio.run_process(
        ["env", "-i", "sh", "-c", command], capture_stdout=True, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout


async def main() -> None:
    kinds = {
        "restricted": bash,
        "with seq": bash_tool(allow=["seq"]),
        "in a container": bash_tool(executor=in_a_container),
    }
    for kind, made in kinds.items():
        for command in ("head -n 1 pyproject.toml", "seq 2", "echo a > b && cat b"):
            model = Scripted([[ToolUse("1", "bash", {"command": command})], "done"])
            result = await alloy_trio.run("Try this", provider=model, tools=[made])
            answer = result.tool_calls[0].output.split(":")[0].strip()
            print(f"{kind}: {command}: {answer!r}")


trio.run(main)
