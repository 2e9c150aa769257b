import trio

import alloy_trio
from alloy_trio.providers import Scripted


async def main() -> None:
    model = Scripted(["A nursery.", "It waits for its tasks.", "Trio."])
    async with alloy_trio.open_agent(provider=model, max_pending=2) as agent:
        result = await agent.chat("What holds trio's tasks?")
        print(result.text)

        # Asked without waiting; they run one after the other.
        first = agent.send("And what does it do at its end?")
        second = agent.send("Whose idea was that?", request_id="idea")
        print(first.state, second.state)
        print((await first.wait()).text)
        print((await second.wait()).text)

        print(len(agent.messages), "messages,", agent.statistics().turns, "turns")


trio.run(main)
