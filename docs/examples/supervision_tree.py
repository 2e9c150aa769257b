import trio

from alloy_trio import ChildNotFound
from alloy_trio.supervision import ChildSpec, open_supervisor, supervisor_child


async def worker(name: str, *, task_status: trio.TaskStatus[str]) -> None:
    task_status.started(f"{name} at your service")
    await trio.sleep_forever()


def spec(name: str) -> ChildSpec:
    return ChildSpec(name, worker, args=(name,))


async def main() -> None:
    tree = [
        spec("store"),
        supervisor_child("readers", [spec("left"), spec("right")], strategy="one_for_all"),
    ]
    async with open_supervisor(tree, "rest_for_one", max_restarts=1, within=5, name="top") as top:
        child = await top.start(ChildSpec("visitor", worker, args=("visitor",), restart="temporary"))
        print(child.value)
        print(top.tree())
        await top.terminate("visitor")
        try:
            await top.restart("visitor")
        except ChildNotFound as error:
            print(error)

        top.child("store").cancel()  # as exit(Pid, shutdown): a permanent child is restarted
        await top.child("readers").wait_exit()
        await top.child("readers").wait_running()
        print(top.tree())


trio.run(main)
