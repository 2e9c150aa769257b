"""How Gemini's answers end, and what they used. Source: ai.google.dev, "GenerateContentResponse"; the reasons
that only Vertex AI knows are from its reference."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from alloy_trio.values import StopReason, Usage

End: TypeAlias = StopReason | Literal["malformed"]

ENDS: dict[str, End] = {
    "STOP": "end_turn",  # also after calls, and at a stop sequence
    "NO_IMAGE": "end_turn",  # a picture was expected; words came
    "MAX_TOKENS": "max_tokens",
    "CONTINUATION": "max_tokens",
    "TOO_MANY_TOOL_CALLS": "pause_turn",  # the vendor's own tools went on for too long, as Anthropic's pause
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "MODEL_ARMOR": "refusal",
    "ESCALATION": "refusal",
    "PUP_LIMITED_DISABLED": "refusal",
    "OTHER": "refusal",  # stopped by the vendor for a reason that it does not give
    "MALFORMED_FUNCTION_CALL": "malformed",
    "UNEXPECTED_TOOL_CALL": "malformed",
    "MALFORMED_RESPONSE": "malformed",
    "MISSING_THOUGHT_SIGNATURE": "malformed",
}
"""What each finish reason means. ``"malformed"``: the model wrote what cannot be used."""

SAME_AGAIN = frozenset(("MISSING_THOUGHT_SIGNATURE",))
"""Malformed ends that are the request's doing."""

NOT_ENDED = frozenset(("", "FINISH_REASON_UNSPECIFIED"))

_NUMBERS = {0: "", 1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
"""Reasons as the numbers of the protocol buffer: gateways that print it so exist. Above 5 the vendor's two
services number differently."""


def finish_reason_of(candidate: dict[str, Any]) -> str:
    """The finish reason as the vendor names it; empty while the answer goes on."""
    reason = candidate.get("finishReason")
    if isinstance(reason, int):
        reason = _NUMBERS.get(reason, "OTHER")
    return reason.upper() if isinstance(reason, str) and reason not in NOT_ENDED else ""


def end_of(reason: str) -> End:
    """What a finish reason means. One that is not known yet counts as an ordinary end."""
    found = ENDS.get(reason)
    if found is not None:
        return found
    return "refusal" if reason.startswith("IMAGE_") else "end_turn"


def usage_of(reported: dict[str, Any]) -> Usage | None:
    """The counts without overlap; None when the object holds none, as in the first chunks from Vertex AI.

    The vendor's prompt includes what was read from its cache, but not what its own tools put in.
    """
    get = reported.get
    prompt, answer = get("promptTokenCount"), get("candidatesTokenCount")
    if prompt is None and answer is None and "totalTokenCount" not in reported:
        return None
    prompt, output, thoughts = _count(prompt), _count(answer), _count(get("thoughtsTokenCount"))
    cached = min(_count(get("cachedContentTokenCount")), prompt)
    return Usage(
        input_tokens=prompt - cached + _count(get("toolUsePromptTokenCount")),
        cache_read_tokens=cached,
        output_tokens=output + thoughts,
        reasoning_tokens=thoughts,
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
