"""What a person says about the calls that a paused run waits with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from alloy_trio.values import ConfigurationError, ToolUse


@attrs.frozen
class Approve:
    """Run the call as the model made it."""


@attrs.frozen
class Deny:
    """Do not run the call; the model reads why.

    Args:
        why: words for the model.
    """

    why: str = "This call was denied."


@attrs.frozen
class Edit:
    """Run the call with another input. The conversation keeps the model's own.

    Args:
        input: takes the input's place.
    """

    input: dict[str, Any]


Decision: TypeAlias = Approve | Deny | Edit


def decided(
    pending: tuple[ToolUse, ...], decisions: Mapping[str, Decision]
) -> tuple[tuple[ToolUse, ...], dict[str, str]]:
    """The calls as they shall run, and why some of them shall not.

    Raises:
        ConfigurationError: a decision is missing, of the wrong kind, or about no pending call.
    """
    waiting = {call.id: call for call in pending}
    if missing := [f"{call.name} ({call.id})" for call in pending if call.id not in decisions]:
        raise ConfigurationError(
            f"decisions= says nothing about {', '.join(missing)}; give Approve(), Deny(why) or Edit(input) for each"
        )
    calls, refusals = [], {}
    for id_, decision in decisions.items():
        if id_ not in waiting:
            raise ConfigurationError(
                f"decisions= is about {id_!r}, which does not wait; pending are {', '.join(waiting) or '(none)'}"
            )
        if not isinstance(decision, Approve | Deny | Edit):
            raise ConfigurationError(
                f"the decision about {id_!r} is {decision!r}; give Approve(), Deny(why) or Edit(input)"
            )
        if isinstance(decision, Deny):
            refusals[id_] = decision.why
    for call in pending:
        decision = decisions[call.id]
        if isinstance(decision, Edit):
            call = attrs.evolve(call, input=decision.input, invalid_input=None)
        calls.append(call)
    return tuple(calls), refusals
