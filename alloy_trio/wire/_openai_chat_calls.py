"""Tool calls and reasoning details, put together from the pieces that Chat Completions streams them in."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Hashable, Mapping
from typing import Any

from alloy_trio.values import Delta, MalformedReply, ToolInputDelta, ToolUse

from ._codec import excerpt, parse_arguments


class _Call:
    __slots__ = ("arguments", "extra", "id", "name", "said")

    def __init__(self, ident: str) -> None:
        self.id = ident
        self.name = ""
        self.arguments: list[str] = []
        self.said = 0
        """How many deltas went out: one that opens the call, once its name is known, then one a piece."""
        self.extra: dict[str, Any] = {}

    def fork(self) -> _Call:
        other = copy.copy(self)
        other.arguments = self.arguments.copy()
        other.extra = self.extra.copy()
        return other

    @property
    def raw(self) -> str:
        raw = "".join(self.arguments)
        return "" if raw.strip() == "null" else raw


class ToolCalls:
    """The calls of one answer.

    A piece names its call by ``index``; hosts leave it out, repeat it for different calls (their ids then
    differ), repeat name or id with each piece, or send them as null.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[Hashable, int] = {}

    def __bool__(self) -> bool:
        return any(call.name for call in self._calls)

    def fork(self) -> ToolCalls:
        """A copy that can be added to without changing this one."""
        other = ToolCalls()
        other._calls = [call.fork() for call in self._calls]
        other._by_index = self._by_index.copy()
        return other

    def add(self, piece: Mapping[str, Any], seed: str, deltas: list[Delta]) -> None:
        """Take one entry of ``tool_calls``.

        Args:
            piece: the entry, whole or partial.
            seed: what the answer is known by; ids that the host does not give are made from it.
            deltas: appended to.
        """
        function = piece.get("function")
        if len(piece) == 2 and type(function) is dict and len(function) == 1:
            # More arguments for a call that is open: nearly every piece.
            arguments, index = function.get("arguments"), piece.get("index")
            at = self._by_index.get(index) if type(index) is int else None
            if at is not None and arguments and type(arguments) is str:
                call = self._calls[at]
                call.arguments.append(arguments)
                if call.said == len(call.arguments):
                    call.said += 1
                    deltas.append(ToolInputDelta(call.id, call.name, arguments))
                return
        custom = piece.get("custom")
        if not _named(function) and _named(custom) and isinstance(custom, Mapping):
            function = {"name": custom["name"], "arguments": {"input": custom.get("input", "")}}
        if not isinstance(function, Mapping):
            function = {}
        name = _text(function.get("name"))
        arguments = function.get("arguments")
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        found = self._find(piece.get("index"), _text(piece.get("id")), name, arguments, seed)
        if found is None:
            return
        call = found
        if not call.name:
            call.name = name
        if arguments:
            call.arguments.append(arguments)
        if piece.get("type") == "custom":
            call.extra["type"] = "custom"
        if piece.get("extra_content") is not None:
            call.extra["extra_content"] = piece["extra_content"]  # Gemini's thought signature
        self._say(call, deltas)

    def uses(self, *, cut: bool) -> list[ToolUse]:
        """The calls of a finished answer.

        Args:
            cut: the model was stopped, so the last call counts only if its arguments are a whole object.

        Raises:
            MalformedReply: there are arguments for a tool without a name.
        """
        uses = []
        for number, call in enumerate(self._calls, 1):
            raw = call.raw
            arguments, invalid = parse_arguments(raw)
            if cut and number == len(self._calls) and (invalid is not None or not raw.strip()):
                continue
            if call.name:
                uses.append(ToolUse(call.id, call.name, arguments, invalid, extra=call.extra or None))
            elif raw.strip():
                raise MalformedReply(f"a tool call of the answer has no name, only arguments: {excerpt(raw)}")
        return uses

    def all_whole(self) -> bool:
        """Whether no call can be waiting for more of its arguments."""
        return all(_is_object(call.raw) for call in self._calls)

    def _find(self, index: Any, ident: str, name: str, arguments: str, seed: str) -> _Call | None:
        """The call that a piece belongs to, opened if need be; None for a piece that says nothing."""
        if isinstance(index, int | str):
            at = self._by_index.get(index)
            if at is None or self._begins_another(self._calls[at], ident, name, arguments):
                if not (ident or name or arguments):
                    return None
                self._by_index[index] = at = self._open(ident, name, seed)
            return self._calls[at]
        if ident:
            for call in self._calls:
                if call.id == ident and not (name and arguments and _is_object(call.raw)):
                    return call
        if name:
            return self._calls[self._open(ident, name, seed)]
        return self._calls[-1] if self._calls else None

    def _begins_another(self, call: _Call, ident: str, name: str, arguments: str) -> bool:
        if not name or not call.name:
            return False
        if ident:
            return ident != call.id and not call.id.startswith("call_made_")
        return bool(arguments) and _is_object(call.raw)

    def _open(self, ident: str, name: str, seed: str) -> int:
        number = len(self._calls)
        if not ident or any(call.id == ident for call in self._calls):
            made = hashlib.sha256(f"{seed}/{number}/{name}".encode("utf-8", "surrogatepass")).hexdigest()
            ident = f"call_made_{made[:20]}"
        self._calls.append(_Call(ident))
        return number

    def _say(self, call: _Call, deltas: list[Delta]) -> None:
        if not call.name:
            return
        if not call.said:
            deltas.append(ToolInputDelta(call.id, call.name, ""))
        late = call.arguments[max(0, call.said - 1) :]
        deltas += [ToolInputDelta(call.id, call.name, piece) for piece in late]
        call.said = len(call.arguments) + 1


def _named(part: Any) -> bool:
    return isinstance(part, Mapping) and bool(part.get("name"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_object(raw: str) -> bool:
    return raw.rstrip().endswith("}") and parse_arguments(raw)[1] is None


class _Detail:
    __slots__ = ("fields", "name", "pieces")

    def __init__(self, fields: dict[str, Any], name: str, pieces: list[str]) -> None:
        self.fields = fields
        self.name = name
        """The field that grows: ``text`` or ``summary``."""
        self.pieces = pieces

    def continued_by(self, piece: dict[str, Any]) -> bool:
        kind, fields = piece.get("type"), self.fields
        return (
            kind == fields.get("type")
            and (kind == "reasoning.text" or kind == "reasoning.summary")  # encrypted ones come whole
            and piece.get("index", fields.get("index")) == fields.get("index")
            and piece.get("id", fields.get("id")) == fields.get("id")
        )


class ReasoningDetails:
    """OpenRouter's ``reasoning_details``: streamed in pieces, returned as if they had come whole."""

    def __init__(self) -> None:
        self._details: list[_Detail] = []

    def __bool__(self) -> bool:
        return bool(self._details)

    def fork(self) -> ReasoningDetails:
        """A copy that can be added to without changing this one."""
        other = ReasoningDetails()
        other._details = [
            _Detail(detail.fields.copy(), detail.name, detail.pieces.copy()) for detail in self._details
        ]
        return other

    def add(self, pieces: Any, *, streamed: bool) -> str:
        """Take a message's list, or a delta's; returns what of it can be read."""
        readable = ""
        for piece in pieces if isinstance(pieces, list) else ():
            if not isinstance(piece, dict):
                continue
            name = "summary" if "summary" in piece else "text"
            text = piece.get(name)
            grown = [text] if isinstance(text, str) else []
            readable += "".join(grown)
            last = self._details[-1] if self._details else None
            if streamed and last is not None and last.continued_by(piece):
                last.pieces += grown
                for field, value in piece.items():
                    if value is not None and field != name:
                        last.fields[field] = value
            else:
                self._details.append(_Detail(dict(piece), name, grown))
        return readable

    def whole(self) -> list[dict[str, Any]]:
        """The details in the order in which they began."""
        return [
            detail.fields | {detail.name: "".join(detail.pieces)} if detail.pieces else detail.fields
            for detail in self._details
        ]


def failed_call(raw: Any) -> tuple[str, str] | None:
    """Name and arguments of the call in a ``failed_generation`` of Groq's; None when it holds no call."""
    if not isinstance(raw, str):
        return None
    try:
        call = json.loads(raw)
    except (ValueError, RecursionError):
        call = None
    if isinstance(call, list) and len(call) == 1:
        call = call[0]
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not call["name"]:
        return None
    arguments = call.get("arguments", call.get("parameters", {}))
    return call["name"], arguments if isinstance(arguments, str) else json.dumps(arguments)
