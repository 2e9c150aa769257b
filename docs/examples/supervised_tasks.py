import logging

import trio

from alloy_trio.supervision import ChildSpec, grace, open_supervisor

logging.disable()  # or see each crash with its traceback


async def feed(readings: list[int], *, task_status: trio.TaskStatus[None]) -> None:
    print("feed: connected")
    task_status.started()
    try:
        while True:
            await trio.sleep(0.01)
            if not readings:
                raise OSError("the connection broke")
            print("feed:", readings.pop())
    finally:
        with grace():
            await trio.sleep(0.01)
            print("feed: said goodbye")


async def recorder() -> None:
    print("recorder: up")
    try:
        await trio.sleep_forever()
    finally:
        print("recorder: down")


async def main() -> None:
    children = [
        ChildSpec("recorder", recorder),
        ChildSpec("feed", feed, args=([21, 20],), shutdown=2.0),
    ]
    async with open_supervisor(children, max_restarts=3, within=5.0) as supervisor:
        async with supervisor.events() as events:
            async for event in events:
                if event.event == "child_exit":
                    print("supervisor:", event.payload["reason"])
                if event.event == "child_start":
                    break
    print("done")


trio.run(main)
