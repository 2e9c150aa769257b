"""What ``assert_valid_history`` says of a conversation, and what the vendors' own request types say of it.

The types know of shapes, and not of what has to follow what: so of the ways to break a conversation most are refused by
the services alone, and :data:`ONLY_THE_SERVICE` names them. Ollama has no types of this kind.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from alloy_trio.testing import assert_valid_history
from alloy_trio.testing.strategies import WAYS_TO_BREAK, BrokenHistory, broken_histories, histories
from alloy_trio.values import AlloyError, CompletionRequest, Message
from alloy_trio.wire import WireSettings, repair
from alloy_trio.wire._readers import READERS

from ..wire import bedrock_oracle  # noqa: TID252 - the one oracle of a vendor that two rooms have
from ..wire.typed_params import mismatches  # noqa: TID252 - and the one reading of typed dicts

FULL = bool(os.environ.get("ALLOY_TRIO_FULL"))
SETTINGS = settings(
    max_examples=5_000 if FULL else 60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

ONLY_THE_SERVICE = frozenset(WAYS_TO_BREAK) - {"spoiled_signature"}
"""Ways that are wrong in no field: of order, of belonging together, of who may say what. The types accept what is sent,
or our codec refuses to write it."""


def anthropic(body: dict[str, Any]) -> list[str]:
    pytest.importorskip("anthropic", reason="the vendor's types are the judge here")
    from anthropic.types.message_create_params import MessageCreateParamsStreaming

    return mismatches(body, MessageCreateParamsStreaming)


def openai_responses(body: dict[str, Any]) -> list[str]:
    pytest.importorskip("openai", reason="the vendor's types are the judge here")
    from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

    for item in body["input"]:
        if item.get("type") == "reasoning":
            # The type wants an id of all reasoning; the service takes none where it is not to look for its message.
            item.setdefault("id", "rs")
    return mismatches(body, ResponseCreateParamsStreaming)


def openai_chat(body: dict[str, Any]) -> list[str]:
    pytest.importorskip("openai", reason="the vendor's types are the judge here")
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

    for message in body["messages"]:
        # What hosts have added to the protocol.
        message.pop("reasoning_content", None)
        if isinstance(message["content"], list):
            message["content"] = [part for part in message["content"] if part["type"] not in ADDED_PARTS]
    return mismatches(body, CompletionCreateParamsStreaming)


ADDED_PARTS = ("thinking", "reference", "document_url")


def gemini(body: dict[str, Any]) -> list[str]:
    types = pytest.importorskip("google.genai.types", reason="the vendor's types are the judge here")
    from pydantic import ValidationError

    found = []
    for content in body["contents"]:
        try:
            types.Content.model_validate(content)
        except ValidationError as error:
            found.append(str(error))
    return found


def bedrock(body: dict[str, Any]) -> list[str]:
    try:
        bedrock_oracle.written(body, READERS["bedrock"].model, stream=True)
    except AssertionError as error:
        return [str(error)]
    return []


JUDGES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "anthropic": anthropic,
    "openai_responses": openai_responses,
    "openai_chat": openai_chat,
    "gemini": gemini,
    "bedrock": bedrock,
    "deepseek": openai_chat,
    "mistral": openai_chat,
}
OWN_NAMES = {"openai_responses": "openai"}
"""What the provider is called on whose origins a protocol's own items stand."""


def sent(wire: str, messages: tuple[Message, ...]) -> dict[str, Any]:
    """The request as JSON; the user has the last word in it."""
    whole = messages if messages[-1].role == "user" else (*messages, Message.user("Go on."))
    reader = READERS[wire]
    asked = WireSettings(provider=OWN_NAMES.get(wire, wire), model=reader.model)
    body: dict[str, Any] = json.loads(
        reader.codec().encode(CompletionRequest(whole), asked, stream=True).body
    )
    return body


@pytest.mark.parametrize("wire", JUDGES)
def test_what_is_valid_is_of_the_vendors_types(wire: str) -> None:
    JUDGES[wire](sent(wire, (Message.user("Hello."),)))  # skips where the types are not installed

    @SETTINGS
    @given(histories(wire))
    def agree(history: tuple[Message, ...]) -> None:
        assert_valid_history(history, wire)
        assert JUDGES[wire](sent(wire, history)) == []

    agree()


@pytest.mark.parametrize("wire", JUDGES)
def test_what_is_broken_is_invalid_and_once_repaired_of_the_vendors_types(wire: str) -> None:
    JUDGES[wire](sent(wire, (Message.user("Hello."),)))

    @SETTINGS
    @given(
        broken_histories(
            way for way in WAYS_TO_BREAK if way not in ("sound_for_the_deaf", "spoiled_signature")
        )
    )
    def agree(history: BrokenHistory) -> None:
        with pytest.raises(AssertionError):
            assert_valid_history(history.messages, wire)
        repaired = repair(history.messages)
        assert_valid_history(repaired, wire)
        assert JUDGES[wire](sent(wire, repaired)) == []

    agree()


@pytest.mark.parametrize("wire", JUDGES)
def test_whatever_the_types_refuse_is_invalid_and_the_rest_is_named(wire: str) -> None:
    JUDGES[wire](sent(wire, (Message.user("Hello."),)))

    @SETTINGS
    @given(broken_histories())
    def agree(history: BrokenHistory) -> None:
        try:
            refused = JUDGES[wire](sent(wire, history.messages)) != []
        except AlloyError:
            refused = False  # there is no request that a type could look at
        if refused:
            assert history.way not in ONLY_THE_SERVICE
            with pytest.raises(AssertionError):
                assert_valid_history(history.messages, wire)
        if (wire, history.way) == ("gemini", "spoiled_signature"):
            assert refused

    agree()
