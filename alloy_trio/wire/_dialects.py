"""How hosts that speak Chat Completions differ, as data.

The protocol has one author and many speakers. What they disagree on is one field of :class:`Dialect` each, so
that a new host is a row here and not a branch in the codec. What costs nothing to tolerate when reading
(where usage stands, how tool calls are cut up, …) is tolerated from every host and has no field.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import attrs


@attrs.frozen(kw_only=True, cache_hash=True)
class Dialect:
    """What one host wants to read, and the one thing it may leave out.

    Args:
        chat_path: appended to the base URL.
        system_role: the role that carries the system prompt.
        max_tokens_field: the name of the cap on output.
        stream_usage: takes ``stream_options.include_usage``; some reject the option.
        strict: takes ``strict`` in function definitions and response formats.
        json_schema: takes a schema as ``response_format``; without it the schema goes into the system prompt
            and only ``json_object`` is asked for.
        required_word: the ``tool_choice`` that demands some call.
        effort_field: where ``thinking="low"`` goes; a dot descends.
        efforts: other words for efforts that the host does not know, as pairs.
        effort_fields: what goes along with any effort but ``"none"``, as pairs of field and value.
        effort_off: field and value that say ``thinking="none"``, where no word for an effort does.
        budget_field: where ``thinking=2000``, a budget in tokens, goes; None where the host takes none.
        reasoning_field: the assistant message's field that reasoning returns in; ``"content"`` for Mistral's
            thinking chunks.
        reasoning_replay: which of the model's own messages carry their reasoning back.
        reasoning_required: an assistant message without reasoning is refused, so it gets an empty one.
        empty_content: the content of a message that only calls tools.
        tool_id_pattern: what an id of a tool call has to match as a whole; another one is replaced by nine
            letters and digits, the same for the call and its result.
        tool_id_strict: the host refuses all others, also in what is said to be its own answer.
        tool_result_name: a tool's result repeats the tool's name.
        assistant_after_tool: put between tool results and a user message where the host refuses that order.
        documents: how a document travels: as a ``file``, as Mistral's ``document_url``, or not at all.
        document_urls: a ``file`` may be given by its URL.
        video: takes ``video_url`` parts.
        web_search: how the host's own web search is switched on: by ``web_search_options``, by OpenRouter's
            ``plugins``, or not at all.
        finish_reason_optional: the host's streams may end without a finish reason; usage and ``[DONE]``
            together then end an answer in which no tool call is open.
    """

    chat_path: str = "/chat/completions"
    system_role: str = "system"
    max_tokens_field: str = "max_completion_tokens"
    stream_usage: bool = True
    strict: bool = True
    json_schema: bool = True
    required_word: str = "required"
    effort_field: str = "reasoning_effort"
    efforts: tuple[tuple[str, str], ...] = ()
    effort_fields: tuple[tuple[str, str], ...] = ()
    effort_off: tuple[str, str | bool] | None = None
    budget_field: str | None = None
    reasoning_field: str = "reasoning_content"
    reasoning_replay: Literal["never", "with_tool_calls", "always"] = "never"
    reasoning_required: bool = False
    empty_content: str | None = None
    tool_id_pattern: str = r".{1,40}"
    tool_id_strict: bool = False
    tool_result_name: bool = False
    assistant_after_tool: str | None = None
    documents: Literal["file", "document_url"] | None = "file"
    document_urls: bool = False
    video: bool = False
    web_search: Literal["web_search_options", "plugins"] | None = None
    finish_reason_optional: bool = False


OPENAI = Dialect(web_search="web_search_options")
"""OpenAI itself. The defaults are its ways; ``web_search_options`` is for its search models."""

AZURE = Dialect()
"""Azure's ``/openai/v1``: OpenAI's protocol without OpenAI's search models."""

COMPATIBLE = Dialect(
    max_tokens_field="max_tokens",  # the older name, which every server knows; the newer one only some
    strict=False,  # servers with a closed schema answer 400 to fields that they do not know
    reasoning_replay="with_tool_calls",  # models that think between calls go astray without; others ignore it
    tool_id_pattern=r"[\w-]{1,64}",
)
"""A host of which nothing is known: the fields that most servers share."""

DEEPSEEK = Dialect(
    max_tokens_field="max_tokens",  # the only name in its API reference
    strict=False,  # only on its /beta address
    json_schema=False,  # response_format is text or json_object
    efforts=(("xhigh", "max"), ("ultra", "max")),  # low, high, max; it maps minimal and medium itself
    effort_off=("thinking.type", "disabled"),  # it thinks by default
    reasoning_replay="always",
    reasoning_required=True,
    documents=None,
)
"""With tools, a thinking model answers 400 to any assistant message without ``reasoning_content``.
See https://api-docs.deepseek.com/guides/thinking_mode."""

MISTRAL = Dialect(
    max_tokens_field="max_tokens",
    stream_usage=False,  # usage comes unasked, in the last chunk (recorded)
    required_word="any",
    # high and none are all there is
    efforts=(("minimal", "none"), ("low", "high"), ("medium", "high"), ("xhigh", "high"), ("max", "high")),
    reasoning_field="content",  # ThinkChunk{thinking: [text]} at the beginning of the content
    reasoning_replay="always",
    empty_content="",
    tool_id_pattern=r"[A-Za-z0-9]{9}",  # "must be a-z, A-Z, 0-9, with a length of 9"
    tool_id_strict=True,
    assistant_after_tool="I have read the results.",  # a user message straight after a tool's result is refused
    documents="document_url",
)
"""``/v1/chat/completions`` of api.mistral.ai."""

GROQ = Dialect(
    # A model's own format may be <think> in its text; parsed, it comes in a field (recorded with each effort).
    # Not sent without an effort: it says nothing to a model that does not reason.
    effort_fields=(("reasoning_format", "parsed"),),
    reasoning_field="reasoning",
    reasoning_replay="with_tool_calls",
    documents=None,
)
"""``/openai/v1`` of api.groq.com. Its ``tool_use_failed`` is handed back as the call that it was."""

TOGETHER = Dialect(
    max_tokens_field="max_tokens",
    strict=False,  # that its models are held to it is not documented
    effort_off=("reasoning.enabled", False),  # its hybrid models think by default
    reasoning_field="reasoning",
    reasoning_replay="with_tool_calls",
    documents=None,
)
"""``/v1`` of api.together.ai, which serves open models.
See https://docs.together.ai/docs/inference/chat/reasoning."""

OPENROUTER = Dialect(
    max_tokens_field="max_tokens",
    effort_field="reasoning.effort",
    budget_field="reasoning.max_tokens",
    reasoning_field="reasoning",
    reasoning_replay="always",
    tool_id_pattern=r"[\w-]{1,40}",  # the narrowest of the vendors behind it
    document_urls=True,
    video=True,
    web_search="plugins",
)
"""``reasoning_details`` return whole and in order, also without tool calls."""

XAI = Dialect(documents=None)
"""xAI's ``/v1/chat/completions``. It returns no reasoning that could go back, and xAI calls it deprecated:
:class:`~alloy_trio.providers.XAI` speaks the Responses protocol."""

OLLAMA = Dialect(
    max_tokens_field="max_tokens",
    strict=False,
    reasoning_field="reasoning",
    reasoning_replay="with_tool_calls",
    documents=None,
)
"""Ollama's ``/v1``. It has no field for the size of the context, so long input is cut unseen:
:class:`~alloy_trio.providers.Ollama` speaks Ollama's own protocol."""

SNOWFLAKE = Dialect(finish_reason_optional=True, reasoning_replay="with_tool_calls", documents=None)
"""Streams have no finish reason at all, whole answers an empty one (recorded)."""

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "azure": AZURE,
        "compatible": COMPATIBLE,
        "deepseek": DEEPSEEK,
        "groq": GROQ,
        "mistral": MISTRAL,
        "ollama": OLLAMA,
        "openai": OPENAI,
        "openrouter": OPENROUTER,
        "snowflake": SNOWFLAKE,
        "together": TOGETHER,
        "xai": XAI,
    }
)
"""All of them by name."""

__all__ = [
    "AZURE",
    "COMPATIBLE",
    "DEEPSEEK",
    "DIALECTS",
    "GROQ",
    "MISTRAL",
    "OLLAMA",
    "OPENAI",
    "OPENROUTER",
    "SNOWFLAKE",
    "TOGETHER",
    "XAI",
    "Dialect",
]
