from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from study import SCRATCH, count_words

from alloy_trio import Agent, open_agent
from alloy_trio.abc import Provider
from alloy_trio.testing import agent_machine


@asynccontextmanager
async def opened(model: Provider) -> AsyncIterator[Agent]:
    async with open_agent(provider=model, tools=[count_words]) as agent:
        yield agent
    left = list(SCRATCH.iterdir())
    for file in left:
        file.unlink()
    assert not left, "something is left in the scratch directory"


Machine = agent_machine(opened, tools=[count_words])
TestAgent = Machine.TestCase  # what pytest collects

if __name__ == "__main__":
    reproducible = settings(settings.get_profile("alloy_reproduce"), stateful_step_count=5)
    try:
        run_state_machine_as_test(Machine, settings=reproducible)
    except AssertionError as error:
        print(error)
