import tempfile
from pathlib import Path

import trio
from study import PROMPTS, model

import alloy_trio
from alloy_trio import tool
from alloy_trio.providers import Scripted
from alloy_trio.testing import cancel_sweep

SCRATCH = Path(tempfile.mkdtemp())


@tool
async def count_words(text: str) -> int:
    """Count the words of a text."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as directory:
        file = Path(directory) / "text"
        file.write_text(text)
        await trio.sleep(0.1)
        return len(file.read_text().split())


def assert_empty() -> None:
    assert not list(SCRATCH.iterdir())


async def script() -> None:
    try:
        result = await alloy_trio.run(
            "How many words has: the cat",
            provider=Scripted([model] * 2),
            system_prompt=PROMPTS["careful"],
            tools=[count_words],
        )
        assert result.text == "2"
    finally:
        assert_empty()


report = cancel_sweep(script)
print("cancelled before every step:", report.runs > report.steps)
