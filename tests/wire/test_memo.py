"""A message is encoded once for as long as it lives."""

from __future__ import annotations

import gc

from alloy_trio.values import Message
from alloy_trio.wire._memo import EncodingMemo


def test_a_message_is_encoded_once_for_each_key() -> None:
    memo, calls = EncodingMemo(), []

    def encode(message: Message) -> bytes:
        calls.append(message)
        return message.text.encode()

    message = Message.user("hi")
    assert [memo.encoded(message, "a", encode) for _ in range(3)] == [b"hi"] * 3
    assert memo.encoded(message, "b", encode) == b"hi"
    assert len(calls) == 2


def test_equal_messages_are_not_mixed_up() -> None:
    memo = EncodingMemo()
    first, second = Message.user("hi"), Message.user("hi")
    assert first == second
    memo.encoded(first, "a", lambda message: b"first")
    assert memo.encoded(second, "a", lambda message: b"second") == b"second"


def test_entries_go_with_their_message() -> None:
    memo = EncodingMemo()
    messages = [Message.user(str(number)) for number in range(100)]
    for message in messages:
        memo.encoded(message, "a", lambda message: b"x")
    assert len(memo) == 100
    del message, messages
    gc.collect()
    assert len(memo) == 0


def test_a_new_message_at_an_old_address_is_encoded_anew() -> None:
    memo = EncodingMemo()
    for number in range(1000):
        message = Message.user(str(number))
        assert memo.encoded(message, "a", lambda message: message.text.encode()) == str(number).encode()
        del message
