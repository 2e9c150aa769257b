"""What the comparison of a sent request with the recorded one leaves out, each with its reason.

Everything else has to be equal: the roles, the texts, each call's id, name and arguments, each result, in
their order, and every other field of the body. A row's path names a field of the request's JSON: ``[]`` is
each element of an array, ``[type=x]`` each element whose ``type`` is x; a path that ends so names the
elements themselves.
"""

from __future__ import annotations

import copy
import re
from typing import Any, Literal

import attrs


@attrs.frozen
class Ignored:
    """One row.

    Args:
        family: the wire.
        path: the field.
        where: ``"always"``; ``"unrecorded"``, where the recorded request does not have it and we send it;
            ``"later"``, from the second request of a run on.
        why: the reason.
    """

    family: str
    path: str
    where: Literal["always", "unrecorded", "later"]
    why: str


IGNORED = (
    Ignored(
        "anthropic", "stream", "always", "run() asks for whole answers; the recorded client may have streamed"
    ),
    Ignored(
        "openai_chat",
        "stream",
        "always",
        "run() asks for whole answers; the recorded client may have streamed",
    ),
    Ignored("openai_chat", "stream_options", "always", "goes with stream"),
    Ignored(
        "openai_responses",
        "stream",
        "always",
        "run() asks for whole answers; the recorded client may have streamed",
    ),
    Ignored(
        "anthropic",
        "tool_choice",
        "later",
        "a forced choice is obeyed once; after it the model is free to answer",
    ),
    Ignored(
        "openai_chat",
        "tool_choice",
        "later",
        "a forced choice is obeyed once; after it the model is free to answer",
    ),
    Ignored(
        "openai_responses",
        "tool_choice",
        "later",
        "a forced choice is obeyed once; after it the model is free to answer",
    ),
    Ignored(
        "anthropic",
        "tools[].cache_control",
        "always",
        "where the prompt is cached: we mark it, few recorded clients did",
    ),
    Ignored(
        "anthropic",
        "system[].cache_control",
        "always",
        "where the prompt is cached: we mark it, few recorded clients did",
    ),
    Ignored(
        "anthropic",
        "messages[].content[].cache_control",
        "always",
        "where the prompt is cached: we mark it, few recorded clients did",
    ),
    Ignored(
        "openai_responses",
        "input[].content[type=input_image].detail",
        "unrecorded",
        "the vendor's types require it; 'auto' is what a client that leaves it out gets",
    ),
    Ignored(
        "openai_chat",
        "messages[].content[type=image_url].image_url.detail",
        "always",
        "our Image has no such field; every recorded value is the default, 'auto'",
    ),
    Ignored(
        "openai_responses",
        "input[type=tool_search_output]",
        "unrecorded",
        "some recorded clients dropped what the vendor's own tool search found; ours returns it",
    ),
    Ignored(
        "anthropic",
        "messages[].content[].citations",
        "always",
        "most recorded clients dropped them; ours returns them",
    ),
    Ignored(
        "openai_responses",
        "input[].id",
        "always",
        "most recorded clients dropped items' own ids; ours returns them",
    ),
    Ignored(
        "openai_responses",
        "input[execution=server].call_id",
        "always",
        "the vendor leaves it null where it runs the call itself; some clients fill in the item's id",
    ),
    Ignored(
        "openai_responses", "input[].status", "always", "most recorded clients dropped it; ours returns it"
    ),
    Ignored(
        "openai_responses", "input[].phase", "always", "most recorded clients dropped it; ours returns it"
    ),
    Ignored(
        "openai_chat", "tools[].function.strict", "always", "a host of which nothing is known is not sent it"
    ),
    Ignored(
        "openai_chat", "messages[].name", "always", "our messages and results have no names of their own"
    ),
    Ignored(
        "openai_chat", "messages[].prefix", "always", "a mark of Mistral's, always false in the recordings"
    ),
    Ignored(
        "openai_chat",
        "messages[].reasoning_content",
        "always",
        "whether reasoning returns is the host's dialect: ours goes with calls, some recorded clients' never",
    ),
    Ignored("openai_chat", "messages[].reasoning", "always", "as reasoning_content"),
    Ignored("openai_chat", "messages[].reasoning_details", "always", "as reasoning_content"),
    Ignored("openai_chat", "model", "unrecorded", "the recorded client named the model in the URL"),
    Ignored(
        "openai_responses",
        "store",
        "unrecorded",
        "we ask for no state at the vendor; the recorded client left the default",
    ),
    Ignored(
        "openai_responses",
        "text.format.name",
        "always",
        "a schema's name means nothing; ours is its title or 'answer'",
    ),
    Ignored(
        "openai_responses", "text.format.strict", "always", "we ask for it wherever the schema allows it"
    ),
    Ignored(
        "openai_chat",
        "response_format.json_schema.name",
        "always",
        "a schema's name means nothing; ours is 'answer'",
    ),
    Ignored(
        "openai_chat",
        "response_format.json_schema.description",
        "always",
        "the schema holds its own description",
    ),
    Ignored(
        "openai_chat",
        "response_format.json_schema.strict",
        "always",
        "we ask for it wherever the schema allows it",
    ),
    Ignored("openai_responses", "include", "unrecorded", "goes with store: reasoning has to come back to us"),
)


REWRITTEN = {
    "5a4a8c2b7164-00": "the text beside the calls was dropped",
    "a9e9bf8722ef-00": "the text beside the call was dropped",
    "ac89506d5319-00": "the text beside the calls was dropped",
    "c522b1ced617-00": "the text beside the call was dropped",
    "097a6841eee2-00": "the text beside the call was dropped",
    "0e96288a22b7-00": "the text beside the call was dropped",
    "2f3690aecb1b-00": "the recorder folds typographic quotes, in requests only",
    "b6d5d345bc71-02": "a namespace was added to the call",
    "c5d239375e70-00": "an argument of the vendor's own call was renamed",
    "e67d5d8d1d0f-00": "the reasoning was put into the text",
    "e67d5d8d1d0f-01": "the reasoning was put into the text",
}
"""Exchanges whose answer the recorded client gave back otherwise than it had got it. The run after such a
one starts from the recorded request, not from what our own run made of the answer."""

REFUSED = {
    "bb2bf00e9a81-04": "an argument is named otherwise than in the schema",
    "e67d5d8d1d0f-00": "an argument is missing, and one is too many",
}
"""Exchanges with a call whose input does not fit the tool's schema, each client having its own words for
that. So that the recorded ones can be given, the stand-in takes any object there; the recorded tools are
sent as they are."""


def pruned(
    family: str,
    request: dict[str, Any],
    recorded: dict[str, Any],
    *,
    later: bool,
    used: set[Ignored] | None = None,
) -> dict[str, Any]:
    """A request without what is ignored.

    Args:
        request: the recorded or the sent one.
        recorded: the recorded one.
        later: it is not the first request of its run.
        used: receives the rows that removed something.
    """
    left = copy.deepcopy(request)
    for row in IGNORED:
        if row.family != family or (row.where == "later" and not later):
            continue
        if row.where == "unrecorded" and _remove(copy.deepcopy(recorded), row.path):
            continue
        if _remove(left, row.path) and used is not None:
            used.add(row)
    return left


def _remove(value: Any, path: str) -> int:
    """Remove what a path names, in place; how much that was."""
    head, _, rest = path.partition(".")
    name, condition = re.fullmatch(r"(\w+)(?:\[(.*)\])?", head).groups()  # type: ignore[union-attr]
    if not isinstance(value, dict) or name not in value:
        return 0
    if condition is None:
        if rest:
            return _remove(value[name], rest)
        del value[name]
        return 1
    if not isinstance(value[name], list):
        return 0
    key, _, wanted = condition.partition("=")
    chosen = [
        item for item in value[name] if not key or (isinstance(item, dict) and str(item.get(key)) == wanted)
    ]
    if rest:
        return sum(_remove(item, rest) for item in chosen)
    value[name] = [item for item in value[name] if not any(item is other for other in chosen)]
    return len(chosen)
