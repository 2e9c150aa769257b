"""A model whose answers are written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeAlias, cast

from alloy_trio.values import Block, Completion, CompletionRequest, ConfigurationError, Text

from ._local import LocalModel

Answer: TypeAlias = str | Sequence[Block | BaseException] | Completion | BaseException
Turn: TypeAlias = Answer | Callable[[CompletionRequest], Answer | Awaitable[Answer]]

_TURNS = "a str, a list of blocks, a Completion, an exception, or a function of the request that returns one"


class Scripted(LocalModel):
    """A model that gives the answers of a script, one for each request, and fails when there is none left.

    A turn is

    * a str: the whole answer;
    * a list of blocks. A :class:`~alloy_trio.ToolUse` without an id gets ``call_1``, ``call_2``, …; an
      exception at the end of the list is raised after the blocks before it were streamed;
    * a :class:`~alloy_trio.Completion`, given as it stands;
    * an exception, which is raised;
    * a function of the :class:`~alloy_trio.CompletionRequest`, sync or async, that returns any of these.

    A str or a list that is longer than the request's ``max_tokens`` is cut there with the stop reason
    ``"max_tokens"``, and a call that does not fit is left out. A token is a word; usage is counted in words
    too: the conversation and the system prompt as input, the answer as output.

    Args:
        turns: the script.
        name: the provider's name, on origins and errors.
        model: the model's name.

    Attributes:
        requests: what was asked so far, in order.

    Raises:
        ConfigurationError: a turn is none of the above.
    """

    def __init__(self, turns: Iterable[Turn], *, name: str = "scripted", model: str = "scripted") -> None:
        super().__init__(name, model)
        if isinstance(turns, str):
            raise ConfigurationError(f"Scripted got one str as its turns; write Scripted([{turns!r}])")
        self._turns = tuple(turns)
        for number, turn in enumerate(self._turns, 1):
            if isinstance(turn, type) or not (callable(turn) or _is_answer(turn)):
                raise ConfigurationError(f"turn {number} of a script is {turn!r}; write {_TURNS}")
        self.requests: list[CompletionRequest] = []

    def assert_exhausted(self) -> None:
        """Check that every turn was asked for.

        Raises:
            AssertionError: turns are left; names the first of them.
        """
        asked = len(self.requests)
        if asked < len(self._turns):
            raise AssertionError(
                f"{asked} of the script's {len(self._turns)} turns were asked for; "
                f"the next is {self._turns[asked]!r}"
            )

    async def answer(self, request: CompletionRequest) -> Completion | Sequence[Block | BaseException]:
        """The next turn of the script.

        Raises:
            AssertionError: the script has come to its end; names what was asked.
        """
        number = len(self.requests)
        self.requests.append(request)
        if number >= len(self._turns):
            raise AssertionError(
                f"the script has {len(self._turns)} turns and was asked for one more, with "
                f"{len(request.messages)} messages, the last being {_last(request)}"
            )
        turn: Any = self._turns[number]
        if callable(turn):
            turn = turn(request)
            if hasattr(turn, "__await__"):
                turn = await turn
            if not _is_answer(turn):
                raise ConfigurationError(
                    f"the function that is turn {number + 1} of a script returned {turn!r}; return one of: "
                    "a str, a list of blocks, a Completion, an exception"
                )
        if isinstance(turn, str):
            return (Text(turn),) if turn else ()
        if isinstance(turn, BaseException):
            raise turn
        return cast("Completion | Sequence[Block | BaseException]", turn)


def _is_answer(turn: object) -> bool:
    if isinstance(turn, (list, tuple)):
        return all(hasattr(block, "__attrs_attrs__") for block in turn[:-1]) and (
            not turn or hasattr(turn[-1], "__attrs_attrs__") or isinstance(turn[-1], BaseException)
        )
    return isinstance(turn, (str, Completion, BaseException))


def _last(request: CompletionRequest) -> str:
    if not request.messages:
        return "none"
    shown = repr(request.messages[-1])
    return shown if len(shown) <= 300 else f"{shown[:300]}…"
