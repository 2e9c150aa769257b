"""Erlang/OTP's supervisor and this one go through the same random scenarios, and do the same in the same order."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from . import _ours, _scenarios, _theirs

SCENARIOS = 10_000 if os.environ.get("ALLOY_TRIO_FULL") else 200


@pytest.mark.skipif(_theirs.missing() is not None, reason=str(_theirs.missing()))
def test_the_same_scenarios_have_the_same_traces(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "alloy_trio.supervision")
    scenarios = {seed: _scenarios.make(seed) for seed in range(SCENARIOS)}
    theirs = _theirs.traces(scenarios, tmp_path)
    ours = {seed: _ours.trace(scenario) for seed, scenario in scenarios.items()}
    different = [seed for seed in scenarios if ours[seed] != theirs[seed]]
    for seed in different[:3]:
        print(
            f"{seed}: {scenarios[seed]}\n  ours   {'; '.join(ours[seed])}\n  theirs {'; '.join(theirs[seed])}"
        )
    assert different == []
