"""How hosts that speak Chat Completions differ, as data.

The protocol has one author and many speakers. What they disagree on is one field of :class:`Dialect` each, so
that a new host is a row here and not a branch in the codec. What costs nothing to tolerate when reading
(where usage stands, how tool calls are cut up, …) is tolerated from every host and has no field.
"""

from __future__ import annotations

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
        reasoning_field: the assistant message's field that reasoning returns in; ``"content"`` for Mistral's
            thinking chunks.
        reasoning_replay: which of the model's own messages carry their reasoning back.
        reasoning_required: an assistant message without reasoning is refused, so it gets an empty one.
        empty_content: the content of a message that only calls tools.
        tool_id_pattern: what an id of a tool call has to match as a whole; another one is replaced by nine
            letters and digits, the same for the call and its result.
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
    reasoning_field: str = "reasoning_content"
    reasoning_replay: Literal["never", "with_tool_calls", "always"] = "never"
    reasoning_required: bool = False
    empty_content: str | None = None
    tool_id_pattern: str = r".{1,40}"
    tool_result_name: bool = False
    assistant_after_tool: str | None = None
    documents: Literal["file", "document_url"] | None = "file"
    document_urls: bool = False
    video: bool = False
    web_search: Literal["web_search_options", "plugins"] | None = None
    finish_reason_optional: bool = False


OPENAI = Dialect(web_search="web_search_options")
"""OpenAI itself, and Azure's ``/openai/v1``."""

COMPATIBLE = Dialect(
    max_tokens_field="max_tokens",
    strict=False,
    reasoning_replay="with_tool_calls",
    tool_id_pattern=r"[\w-]{1,64}",
)
"""A host of which nothing is known: the fields that most servers share."""

DEEPSEEK = Dialect(
    max_tokens_field="max_tokens",
    strict=False,
    json_schema=False,
    reasoning_replay="always",
    reasoning_required=True,
    documents=None,
)
"""With tools, a thinking model answers 400 to any assistant message without ``reasoning_content``."""

MISTRAL = Dialect(
    max_tokens_field="max_tokens",
    stream_usage=False,
    required_word="any",
    reasoning_field="content",
    reasoning_replay="always",
    empty_content="",
    tool_id_pattern=r"[A-Za-z0-9]{9}",
    assistant_after_tool="I have read the results.",
    documents="document_url",
)
"""Usage comes unasked; ids have nine characters; a user message straight after a tool's result is refused."""

GROQ = Dialect(reasoning_field="reasoning", reasoning_replay="with_tool_calls", documents=None)

OPENROUTER = Dialect(
    max_tokens_field="max_tokens",
    effort_field="reasoning.effort",
    reasoning_field="reasoning",
    reasoning_replay="always",
    tool_id_pattern=r"[\w-]{1,40}",
    document_urls=True,
    video=True,
    web_search="plugins",
)
"""``reasoning_details`` return whole and in order, also without tool calls."""

SNOWFLAKE = Dialect(finish_reason_optional=True, reasoning_replay="with_tool_calls", documents=None)
"""Streams have no finish reason at all, whole answers an empty one."""

__all__ = ["COMPATIBLE", "DEEPSEEK", "GROQ", "MISTRAL", "OPENAI", "OPENROUTER", "SNOWFLAKE", "Dialect"]
