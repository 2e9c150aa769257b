"""Remembers what a message was encoded to, for as long as the message lives.

A conversation is sent whole with every turn; its messages do not change. So each codec renders a message once
and looks it up afterwards: a turn then costs a copy of memory, not another encoding of everything before.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable

from alloy_trio.values import Message


class EncodingMemo:
    """Encoded forms of messages, by identity and by a key that names the codec's circumstances.

    Entries go when their message does. Identity and not equality: comparing a message with 100 kB of tool
    output costs more than the lookup is worth, and blocks with dicts have no hash.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Message], dict[Hashable, bytes]]] = {}

    def encoded(self, message: Message, key: Hashable, encode: Callable[[Message], bytes]) -> bytes:
        """The encoded form of ``message`` under ``key``, made by ``encode(message)`` the first time."""
        entry = self._entries.get(id(message))
        if entry is None or entry[0]() is not message:
            ident, entries = id(message), self._entries

            def forget(ref: weakref.ref[Message]) -> None:
                # The id may have been given to a new message already.
                held = entries.get(ident)
                if held is not None and held[0] is ref:
                    del entries[ident]

            entry = (weakref.ref(message, forget), {})
            entries[ident] = entry
        forms = entry[1]
        try:
            return forms[key]
        except KeyError:
            forms[key] = encoded = encode(message)
            return encoded

    def __len__(self) -> int:
        return len(self._entries)


memo = EncodingMemo()
"""Shared by all codecs; its keys carry the codec's name."""
