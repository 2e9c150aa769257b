"""What differs from model to model behind Bedrock's one wire. Data.

Sources: the vendor's user guide ("Prompt caching", "Extended thinking", the models' cards), and the errors
that it answers with. A model whose name says nothing, such as an application's inference profile, gets
nothing that some models refuse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from alloy_trio.values import ConfigurationError

Family: TypeAlias = Literal["claude", "nova", "openai", "other"]

_FAMILIES: tuple[tuple[str, Family], ...] = (
    # Names are like "us.anthropic.claude-sonnet-4-6", alone or at the end of an ARN.
    (r"anthropic\.claude", "claude"),
    (r"amazon\.nova", "nova"),
    (r"openai\.", "openai"),
)

_CLAUDE_WITHOUT_CACHE = r"claude-(v\d|instant|3-(sonnet|haiku|opus)|3-5-sonnet)"
"""They answer a mark with "You invoked an unsupported model or your request did not allow prompt caching"."""

_NOVA_2 = r"amazon\.nova-2"

SYSTEM_TOOLS: Mapping[str, str] = {"web_search": "nova_grounding", "code_execution": "nova_code_interpreter"}
"""What Nova calls the tools that the vendor runs."""


class Caching(NamedTuple):
    """Where cache marks may stand.

    Args:
        system: after the system prompt.
        tools: after the tools.
        calls: after a call or its result; after text, wherever ``system`` says yes.
    """

    system: bool
    tools: bool
    calls: bool


_ALL = Caching(system=True, tools=True, calls=True)
_NONE = Caching(system=False, tools=False, calls=False)

_CACHING: Mapping[Family, Caching] = {
    "claude": _ALL,
    # "#/toolConfig/tools/0: extraneous key [cachePoint] is not permitted", and the like in messages that
    # hold results.
    "nova": Caching(system=True, tools=False, calls=False),
}


def family_of(model: str) -> Family:
    """The family of models that a name belongs to."""
    name = model.lower()
    return next((family for pattern, family in _FAMILIES if re.search(pattern, name)), "other")


def caching_of(model: str) -> Caching:
    """Where the model takes cache marks."""
    if re.search(_CLAUDE_WITHOUT_CACHE, model.lower()):
        return _NONE
    return _CACHING.get(family_of(model), _NONE)


def thinking_fields(model: str, thinking: Any) -> dict[str, Any]:
    """What asks the model to reason, as fields of ``additionalModelRequestFields``.

    Args:
        model: the model's name.
        thinking: an effort, a budget in tokens, a switch, None, or the vendor's own object: Claude's
            ``thinking`` object, or the fields as they are.

    Raises:
        ConfigurationError: how to ask this model in this way is not known.
    """
    family = family_of(model)
    if thinking is None:
        return {}
    if isinstance(thinking, Mapping):
        return {"thinking": dict(thinking)} if family == "claude" and "type" in thinking else dict(thinking)
    off = thinking in (False, 0, "none", "off", "disabled")
    effort = thinking if isinstance(thinking, str) else None
    budget = thinking if isinstance(thinking, int) and not isinstance(thinking, bool) else None
    if family == "claude":
        if off:
            return {"thinking": {"type": "disabled"}}
        if budget is not None:
            return {"thinking": {"type": "enabled", "budget_tokens": budget}}
        adaptive: dict[str, Any] = {"thinking": {"type": "adaptive"}}
        return adaptive if effort is None else {**adaptive, "output_config": {"effort": effort}}
    if family == "nova" and re.search(_NOVA_2, model.lower()) and (off or budget is None):
        if off:
            return {"reasoningConfig": {"type": "disabled"}}
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort or "medium"}}
    if family == "openai" and effort is not None and not off:
        return {"reasoning_effort": effort}
    raise ConfigurationError(
        f"thinking={thinking!r} cannot be said to the model {model!r}: how it takes that is not known; give the "
        "fields that its maker documents, as thinking={'…': …}"
    )


def budget_of(thinking: Any) -> int:
    """The tokens that reasoning may take, where they are given as a number; else 0."""
    if isinstance(thinking, Mapping):
        thinking = thinking.get("budget_tokens")
    return thinking if isinstance(thinking, int) and not isinstance(thinking, bool) else 0
