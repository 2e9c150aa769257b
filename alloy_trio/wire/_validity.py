"""What is wrong with an encoded request's conversation, by the rules of the vendor who will read it. Pure.

The rules are the vendors' documented ones and those that their errors name, read off the JSON that would be
sent. Nothing here shares code with the codecs, so that a codec cannot be wrong in the same way. Only the
conversation is looked at, not the settings around it: rules of roles and order, of calls and their results, of
ids, and of what has to come back as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, TypeAlias

Rules: TypeAlias = Callable[[dict[str, Any], str], Iterator[str]]

_RULES: Mapping[str, tuple[str, str]] = {
    "anthropic": ("_validity_anthropic", "anthropic_problems"),
    "bedrock": ("_validity_bedrock", "bedrock_problems"),
    "gemini": ("_validity_gemini", "gemini_problems"),
    "ollama": ("_validity_ollama", "ollama_problems"),
    "openai_chat": ("_validity_chat", "chat_problems"),
    "openai_responses": ("_validity_responses", "responses_problems"),
    "deepseek": ("_validity_chat", "deepseek_problems"),
    "mistral": ("_validity_chat", "mistral_problems"),
}

WIRES = tuple(_RULES)
"""The names that :func:`request_problems` knows: the protocols, and the hosts that ask for more than theirs."""


def request_problems(wire: str, body: bytes | Mapping[str, Any], *, model: str = "") -> tuple[str, ...]:
    """What of a request's conversation the vendor would refuse, in words; empty when it is valid.

    Args:
        wire: one of :data:`WIRES`.
        body: the request's JSON body, encoded or decoded.
        model: the model that is asked, where the body does not name it. Of a model that is not known it is
            assumed that it asks for everything.

    Raises:
        ValueError: the wire is not known, or the body is not JSON.
        TypeError, AttributeError: the body is JSON, but not of the protocol's shape.
    """
    if wire not in _RULES:
        raise ValueError(f"{wire!r} is no wire whose rules are known; use one of {', '.join(WIRES)}")
    decoded: dict[str, Any] = json.loads(body) if isinstance(body, bytes) else dict(body)
    module, name = _RULES[wire]
    rules: Rules = getattr(import_module(f"{__package__}.{module}"), name)
    return tuple(rules(decoded, model or str(decoded.get("model", ""))))
