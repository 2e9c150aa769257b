"""Gemini's function calls as they arrive: whole, or argument by argument.

A call in pieces opens with its name and ``willContinue``; then come values, each under the JSON path of its
place, a long string in several pieces; it ends with the first object that does not say ``willContinue``.

Many models give calls no id. Such a call gets one of ours, made of the answer's id, so that it differs from
all others of the conversation and is the same whenever the same bytes are read. It is not sent back.
"""

from __future__ import annotations

import re
from typing import Any, Self

from alloy_trio.values import MalformedReply, ToolUse

from ._codec import dump, excerpt, too_deep

MADE_ID = "made_id"
"""In a ToolUse's ``extra``: the vendor gave the call no id."""

_STEP = re.compile(
    r"""\.([^.\[\]'"]+)|\[(\d{1,6})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""", re.DOTALL
)
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")
_CALL_FIELDS = ("id", "name", "args", "partialArgs", "willContinue")

Path = tuple[str | int, ...]


class OpenCall:
    """A call whose arguments are still coming."""

    def __init__(self, ident: str, name: str, extra: dict[str, Any]) -> None:
        self.id = ident
        self.name = name
        self.extra = extra
        self._values: dict[Path, Any] = {}  # a str as the list of its pieces
        self._unfinished: Path | None = None

    def copy(self) -> Self:
        """A call in the same state that shares nothing with this one."""
        copied = type(self)(self.id, self.name, dict(self.extra))
        copied._values = {p: [*v] if isinstance(v, list) else v for p, v in self._values.items()}
        copied._unfinished = self._unfinished
        return copied

    def take(self, pieces: Any) -> None:
        """Take one chunk's ``partialArgs``.

        Raises:
            MalformedReply: a piece has no place or no value.
        """
        for piece in pieces if isinstance(pieces, list) else ():
            if not isinstance(piece, dict):
                raise _malformed("a piece of a call's arguments is no object", piece)
            path = _path_of(piece.get("jsonPath"))
            name = next((name for name in _VALUES if name in piece), None)
            value = piece.get(name) if name is not None else ""
            if name == "nullValue":
                value = None
            if isinstance(value, str):
                if self._unfinished == path and isinstance(self._values.get(path), list):
                    self._values[path].append(value)
                else:
                    self._values[path] = [value]
            elif name is not None:
                self._values[path] = value
            self._unfinished = path if piece.get("willContinue") else None

    def arguments(self) -> dict[str, Any]:
        """The arguments, put together.

        Raises:
            MalformedReply: the places do not fit together, or a string has no end.
        """
        if self._unfinished is not None:
            raise _malformed("a call ends in the middle of an argument", self._unfinished)
        root: dict[str, Any] = {}
        for path, value in self._values.items():
            _put(root, path, "".join(value) if isinstance(value, list) else value)
        return root


def made_id(seed: str, place: str) -> str:
    """The id of a call that has none.

    Args:
        seed: what tells the answer apart from others.
        place: what tells it apart within the answer.
    """
    import hashlib

    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()
    return f"call_{digest[:20]}_{place}"


def tool_use(ident: str, call: dict[str, Any], extra: dict[str, Any]) -> ToolUse:
    """A call that came whole.

    Args:
        ident: its id, the vendor's or ours.
        call: the wire's ``functionCall``.
        extra: what else has to go back.
    """
    arguments = call.get("args")
    rest = {key: value for key, value in call.items() if key not in _CALL_FIELDS}
    if rest:
        extra = {**extra, "functionCall": rest}
    name = str(call.get("name") or "")
    if arguments is None:
        arguments = {}
    if isinstance(arguments, dict) and not too_deep(arguments):
        return ToolUse(ident, name, arguments, extra=extra or None)
    raw = arguments if isinstance(arguments, str) else dump(arguments).decode()
    return ToolUse(ident, name, {}, raw, extra=extra or None)


def _path_of(text: Any) -> Path:
    if not isinstance(text, str) or not text.startswith("$"):
        raise _malformed("a piece of a call's arguments has no place", text)
    path: list[str | int] = []
    at = 1
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise _malformed("the place of a piece of a call's arguments cannot be read", text)
        name, index, single, double = step.groups()
        quoted = single if single is not None else double
        if index is not None:
            path.append(int(index))
        else:
            path.append(name if name is not None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        at = step.end()
    if not path or isinstance(path[0], int):
        raise _malformed("a piece of a call's arguments belongs to no argument", text)
    return tuple(path)


def _put(root: dict[str, Any], path: Path, value: Any) -> None:
    place: Any = root
    for step, following in zip(path, (*path[1:], None), strict=True):
        new: Any = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(step, int):
            if not isinstance(place, list) or step > len(place):
                raise _malformed("the pieces of a call's arguments do not fit together", path)
            if step == len(place):
                place.append(new)
            elif following is None:
                place[step] = value
            place = place[step]
        else:
            if not isinstance(place, dict):
                raise _malformed("the pieces of a call's arguments do not fit together", path)
            if following is None:
                place[step] = value
            place = place.setdefault(step, new)


def _malformed(what: str, seen: Any) -> MalformedReply:
    return MalformedReply(f"{what}: {excerpt(str(seen))}")
