import sys
from collections.abc import Callable

import pytest
from study import PROMPTS, ask, model, study

from alloy_trio.providers import Scripted
from alloy_trio.testing import run_seeded


def test_the_tool_makes_the_difference(alloy_scripted: Callable[..., Scripted]) -> None:
    assert run_seeded(study, alloy_scripted([model] * 9)) == {"brief": 1, "careful": 3}


def test_a_wrong_answer_counts_as_wrong(alloy_scripted: Callable[..., Scripted]) -> None:
    assert run_seeded(study, alloy_scripted(["0"] * 6)) == {"brief": 0, "careful": 0}


@pytest.mark.alloy_seed(7)
def test_a_prompt_reaches_the_model(alloy_scripted: Callable[..., Scripted]) -> None:
    provider = alloy_scripted(["2"])
    assert run_seeded(ask, provider, PROMPTS["brief"], "the cat") == 2
    assert provider.requests[0].system == "Answer with a number."


if __name__ == "__main__":
    # What `pytest study_test.py` does, said for a place where the kit may not be installed.
    options = ["-qq", "-p", "alloy_trio.testing.plugin", "-p", "no:cacheprovider"]
    # This program has imported the kit before pytest could look at it.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    sys.exit(pytest.main([*options, __file__]))
