"""Models that answer inside this process: how their answers are counted, cut and streamed.

A token here is a word with the white space after it. That is no tokenizer's count, but it is the same on
every machine and needs no table, so tests may state it.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import trio

from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.values import (
    Block,
    Completion,
    CompletionRequest,
    Delta,
    Message,
    Origin,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolInputDelta,
    ToolResult,
    ToolUse,
    Usage,
    UsageDelta,
)

_PIECE = re.compile(r"\s*\S+\s*|\s+")

# A call's arguments come in at most this many pieces, as vendors cut them, however long they are (arbitrary).
_INPUT_PIECES = 8


def pieces(text: str) -> list[str]:
    """Cut a text after each word; the pieces joined are the text."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """The number of words."""
    return len(text.split())


class Said:
    """An answer with the way in which it is streamed.

    Args:
        answer: blocks, the last of which may be an exception.
        pieces: the deltas as they are handed over, those of a piece together.
        pauses: seconds before each of the pieces, and before the end.
    """

    def __init__(
        self,
        answer: Sequence[Block | BaseException],
        pieces: Sequence[Sequence[Delta]],
        pauses: Sequence[float],
    ) -> None:
        self.answer = answer
        self.pieces = pieces
        self.pauses = pauses


Answered: TypeAlias = Completion | Sequence[Block | BaseException] | Said
"""What :meth:`LocalModel.answer` returns."""


class LocalModel(Provider):
    """A provider without a network: a subclass says what the answer is, this says it as a vendor would."""

    def __init__(self, name: str, model: str) -> None:
        self.name = name
        self.model = model
        self._origin = Origin(name, model)
        self._calls = 0
        self._counted: tuple[tuple[Message, ...], int] = ((), 0)

    @abstractmethod
    async def answer(self, request: CompletionRequest) -> Answered:
        """What is said to this request: blocks, the last of which may be an exception; a completion; a :class:`Said`.

        *Cancellation*: nothing has happened.
        """

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer; an exception in the answer is raised.

        *Cancellation*: before the answer is taken, nothing has happened. One checkpoint at least.
        """
        await trio.lowlevel.checkpoint()
        said = await self.answer(request)
        completion, error, _ = self._completion(said, request)
        if isinstance(said, Said):
            await trio.sleep(sum(said.pauses))
        if error is not None:
            raise error
        return completion

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        """Answer word by word; an exception in the answer is raised after what stands before it was sent.

        *Cancellation*: as in :meth:`complete`; what was sent by then is the partial answer.
        """
        await trio.lowlevel.checkpoint()
        said = await self.answer(request)
        completion, error, whole = self._completion(said, request)
        content = completion.message.content
        if error is None or content:
            await deltas.send(UsageDelta(Usage(input_tokens=completion.usage.input_tokens)))
        if isinstance(said, Said) and whole:
            await _say(said, deltas)
        else:
            for delta in _deltas(content):
                await deltas.send(delta)
        if error is not None:
            raise error
        await deltas.send(UsageDelta(completion.usage))
        return completion

    def _completion(
        self, answer: Answered, request: CompletionRequest
    ) -> tuple[Completion, BaseException | None, bool]:
        """The answer as a completion, the exception at its end, and whether ``max_tokens`` left it whole."""
        if isinstance(answer, Completion):
            return self._signed(answer), None, True
        if isinstance(answer, Said):
            answer = answer.answer
        error = answer[-1] if answer and isinstance(answer[-1], BaseException) else None
        said = [self._named(block) for block in answer if not isinstance(block, BaseException)]
        content, spent, whole = _within(said, request.max_tokens)
        uses = any(isinstance(block, ToolUse) for block in content)
        completion = Completion(
            Message("assistant", content, self._origin),
            "max_tokens" if not whole else "tool_use" if uses else "end_turn",
            Usage(input_tokens=self._input_tokens(request), output_tokens=spent),
            self.model,
        )
        return completion, error, whole

    def _signed(self, completion: Completion) -> Completion:
        message = completion.message
        if message.origin is not None and all(use.id for use in message.tool_uses):
            return completion
        content = [self._named(block) for block in message.content]
        return Completion(
            Message("assistant", content, message.origin or self._origin),
            completion.stop_reason,
            completion.usage,
            completion.model,
            completion.request_id,
            completion.other_usage,
        )

    def _named(self, block: Block) -> Block:
        if not isinstance(block, ToolUse) or block.id:
            return block
        self._calls += 1
        return ToolUse(f"call_{self._calls}", block.name, block.input, block.invalid_input, extra=block.extra)

    def _input_tokens(self, request: CompletionRequest) -> int:
        # A conversation mostly grows at its end. Counting only what is new keeps the cost of a turn from
        # growing with the turns before it.
        seen, words = self._counted
        messages = request.messages
        grown = bool(seen) and len(messages) >= len(seen) and messages[len(seen) - 1] is seen[-1]
        if not grown or messages[0] is not seen[0]:
            seen, words = (), 0
        words += sum(_words(message) for message in messages[len(seen) :])
        self._counted = (messages, words)
        return words + count(request.system or "")


async def _say(said: Said, deltas: DeltaSink) -> None:
    for pause, piece in zip(said.pauses, (*said.pieces, ()), strict=True):
        if pause:
            await trio.sleep(pause)
        if piece:
            await deltas.send_all(piece)


def _words(message: Message) -> int:
    return sum(_size(block) for block in message.content)


def _size(block: Block) -> int:
    if isinstance(block, (Text, Thinking, ToolResult)):
        return count(block.text)
    if isinstance(block, ToolUse):
        return 1 + count(_arguments(block))
    return 1


def _arguments(use: ToolUse) -> str:
    return json.dumps(use.input) if use.invalid_input is None else use.invalid_input


def _within(content: Sequence[Block], limit: int | None) -> tuple[tuple[Block, ...], int, bool]:
    """What fits into the limit, its tokens, and whether that is all. A call that does not fit is left out."""
    kept: list[Block] = []
    spent = 0
    for block in content:
        size = _size(block)
        if limit is not None and spent + size > limit:
            if isinstance(block, Text) and limit > spent:
                kept.append(Text("".join(pieces(block.text)[: limit - spent])))
            return tuple(kept), limit, False
        kept.append(block)
        spent += size
    return tuple(kept), spent, True


def deltas_of(block: Block) -> Iterator[TextDelta | ThinkingDelta | ToolInputDelta]:
    """A block in the pieces in which it is streamed."""
    return _deltas((block,))


def _deltas(content: Sequence[Block]) -> Iterator[TextDelta | ThinkingDelta | ToolInputDelta]:
    for block in content:
        if isinstance(block, Text):
            for piece in pieces(block.text):
                yield TextDelta(piece)
        elif isinstance(block, Thinking):
            for piece in pieces(block.text):
                yield ThinkingDelta(piece)
        elif isinstance(block, ToolUse):
            yield ToolInputDelta(block.id, block.name, "")
            text = _arguments(block)
            step = max(16, -(-len(text) // _INPUT_PIECES))
            for start in range(0, len(text), step):
                yield ToolInputDelta(block.id, block.name, text[start : start + step])
