"""Every provider class beside what the counterpart can do for it: the one table to extend for a new provider.

The counterpart answers for each host on the path that the host itself has.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs


@attrs.frozen(kw_only=True)
class Row:
    """One provider at the counterpart.

    Args:
        model: asked for; one that the counterpart takes for a model that thinks, where it looks.
        path: of the base URL.
        options: further keywords of the provider's class.
        opens_with_output: its first event holds text already, so a stream cannot fail before that.
        calls_in_pieces: a call's input comes in several events, so a stream can break off inside it.
        reports_usage: the counterpart can be told which usage to report on this wire: in ``"all"`` answers, in
            ``"whole"`` ones, or in none.
        names_calls: the counterpart understands which call a result belongs to.
        thinks: the counterpart can be told to think on this wire.
        spoilt: a finish reason that makes an answer an error, and yet it has a usage; None where there is none.
    """

    model: str
    path: str = ""
    options: dict[str, Any] = attrs.field(factory=dict)
    opens_with_output: bool = False
    calls_in_pieces: bool = True
    reports_usage: Literal["all", "whole", ""] = "all"
    names_calls: bool = True
    thinks: bool = True
    spoilt: str | None = "error"


SPOKEN: dict[str, Row] = {
    # A finish reason of Anthropic's that is an error has not been seen.
    "anthropic": Row(model="claude-sonnet-4-6", spoilt=None),
    "openai": Row(model="gpt-5.4", path="/v1", spoilt="content_filter"),
    "gemini": Row(
        model="gemini-3.5-flash",
        opens_with_output=True,
        calls_in_pieces=False,
        spoilt="MALFORMED_FUNCTION_CALL",
    ),
    "xai": Row(model="grok-4.3", path="/v1", spoilt="content_filter"),
    "deepseek": Row(model="deepseek-reasoner", path="/v1"),
    # Mistral counts each stream unasked and wants no stream_options; the counterpart counts where it is asked.
    "mistral": Row(model="magistral-medium", path="/v1", reports_usage="whole"),
    "groq": Row(model="openai/gpt-oss-120b", path="/openai/v1"),
    "together": Row(model="openai/gpt-oss-120b", path="/v1"),
    "openrouter": Row(model="anthropic/claude-sonnet-4.6", path="/api/v1"),
    "azure": Row(model="gpt-5.4"),
    "azure/responses": Row(model="gpt-5.4", options={"api": "responses"}, spoilt="content_filter"),
    # Not Claude: the counterpart fails where a cache point stands among the tools.
    "bedrock": Row(
        model="us.amazon.nova-pro-v1:0",
        options={"region": "us-east-1"},
        spoilt="malformed_tool_use",
    ),
    # Its counts are always zero there, what it is told to think is left out, and so are the names of results.
    "ollama": Row(
        model="qwen3",
        opens_with_output=True,
        calls_in_pieces=False,
        reports_usage="",
        names_calls=False,
        thinks=False,
        spoilt=None,
    ),
    "openai-compatible": Row(model="gpt-oss-120b", path="/v1"),
}
"""By the provider's name, and the API where a class speaks two."""

NOT_SPOKEN: dict[str, str] = {"demo": "it asks no server"}
"""Providers that cannot be held against the counterpart, and why."""
