import logging
from typing import Any

import trio

from alloy_trio import Backoff, RunInfo, open_supervisor, start_agent
from alloy_trio.abc import Middleware
from alloy_trio.providers import Scripted

logging.disable()  # or see each crash with its traceback


class Glossary(Middleware):
    """Looks words up in a database that is not always there."""

    async def session(self, proceed: Any, run: RunInfo) -> None:
        print(run.agent_id, "is up")
        try:
            await proceed()
        finally:
            print(run.agent_id, "is down")

    async def completion(self, request: Any, proceed: Any, run: RunInfo) -> Any:
        if "Esperanto" in request.messages[-1].text:
            raise OSError("the glossary is locked")
        return await proceed(request)


async def main() -> None:
    model = Scripted(["Bonjour.", "Hallo.", "You asked me for French, Esperanto and German."])
    backoff = Backoff(first_seconds=0.1)
    async with open_supervisor(backoff=backoff) as supervisor:
        agent = await start_agent(
            supervisor, "translator", provider=model, middleware=[Glossary()], max_pending=10
        )
        print((await agent.chat("Say hello in French.")).text)

        bad = agent.send("Say hello in Esperanto.")
        good = agent.send("Say hello in German.")
        try:
            await bad.wait()
        except OSError as error:
            print("failed:", error)
        print(agent.health().status, "with", agent.health().pending, "in line")
        print((await good.wait()).text)

        print((await agent.chat("What did I ask you for?")).text)
        print(supervisor.tree())


trio.run(main)
