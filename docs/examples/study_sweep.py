from study import PROMPTS, SCRATCH, ask, model

from alloy_trio.providers import Scripted
from alloy_trio.testing import SweepFailure, cancel_sweep


async def script() -> None:
    try:
        await ask(Scripted([model] * 2), PROMPTS["careful"], "the cat")
    finally:
        left = [file.name for file in SCRATCH.iterdir()]
        for name in left:
            (SCRATCH / name).unlink()
        assert not left, f"left in the scratch directory: {', '.join(left)}"


try:
    cancel_sweep(script)
except SweepFailure as failure:
    print(str(failure).partition(": ")[2].splitlines()[0])
    try:
        cancel_sweep(script, only=failure.at)
    except SweepFailure:
        print("and again, at that step alone")
