import trio
import trio.testing

import alloy_trio
from alloy_trio import CompletionRequest, Overloaded, RateLimited
from alloy_trio.providers import Fallback, Hedge, RateLimit, Retry, Scripted


async def think_long(request: CompletionRequest) -> str:
    await trio.sleep(60)
    return "at last"


async def main() -> None:
    first = Scripted(
        [RateLimited("slow down", retry_after=5), "from the first", Overloaded("x"), Overloaded("x")],
        name="first",
    )
    spare = Scripted(["from the spare"], name="spare")
    # One limiter for all who share the account: each attempt takes its turn in the queue.
    account = RateLimit(first, requests_per_minute=500)
    provider = Fallback(Retry(account, max_retries=1), spare)
    for _ in range(2):
        async with alloy_trio.stream("Hello", provider=provider) as events:
            async for event in events:
                if event.event in ("retry", "fallback"):
                    print(event.event, "after", event.payload["error"]["kind"])
        print(events.result.text)

    hedge = Hedge(Scripted([think_long]), Scripted(["quick enough"]), after=2)
    started = trio.current_time()
    result = await alloy_trio.run("Hello", provider=hedge)
    print(result.text, "in", round(trio.current_time() - started, 3), "seconds")


trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
