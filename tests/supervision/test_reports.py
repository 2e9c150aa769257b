"""What the policy is told has to answer what it decided."""

from __future__ import annotations

import pytest

from alloy_trio.supervision._decisions import Failed, Happening, Ignored, Open, Opened, Started, Stopped
from alloy_trio.supervision._policy import Policy
from alloy_trio.supervision._spec import Rules


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("report", [Started(0.0), Ignored(), Failed(), Stopped()])
def test_a_report_that_nothing_waits_for_is_refused(report: Happening, opened: bool) -> None:
    policy = Policy(Rules())
    if opened:
        assert policy.step(Open(())) == (Opened(),)
    with pytest.raises(RuntimeError) as refused:
        policy.step(report)
    assert str(refused.value) == "a report came, but no start or stop is under way"
