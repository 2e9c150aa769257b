import trio
import trio.testing

import alloy_trio
from alloy_trio import CompletionRequest, Overloaded
from alloy_trio.providers import Scripted


def count_words(request: CompletionRequest) -> str:
    return f"{len(request.messages[-1].text.split())} words"


async def main() -> None:
    model = Scripted([Overloaded("come back later"), count_words])
    result = await alloy_trio.run("how many words are these", provider=model)
    print(result.status, result.text)
    model.assert_exhausted()


trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
