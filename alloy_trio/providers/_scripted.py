"""A model whose answers are written down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import trio

from alloy_trio.values import CompletionRequest, ConfigurationError, Text

from ._local import Answered, LocalModel
from ._readable import excerpt
from ._scripted_turns import (
    TURNS,
    Answer,
    Delayed,
    Expectation,
    Streamed,
    Turn,
    checked_expectations,
    is_answer,
    is_turn,
    unexpected,
)


class Scripted(LocalModel):
    """A model that gives the answers of a script, one for each request, and fails when there is none left.

    A turn is

    * a str: the whole answer;
    * a list of blocks. A :class:`~alloy_trio.ToolUse` without an id gets ``call_1``, ``call_2``, …; an
      exception at the end of the list is raised after the blocks before it were streamed;
    * a :class:`~alloy_trio.Completion`, given as it stands;
    * an exception, which is raised;
    * a :class:`Streamed`, which says in which pieces the answer arrives, and when;
    * a :class:`Delayed`, which has a turn in it;
    * a function of the :class:`~alloy_trio.CompletionRequest`, sync or async, that returns any of these.

    A str or a list that is longer than the request's ``max_tokens`` is cut there with the stop reason
    ``"max_tokens"``, and a call that does not fit is left out. A token is a word; usage is counted in words
    too: the conversation and the system prompt as input, the answer as output.

    Args:
        turns: the script.
        expect: which requests the turns are for, one expectation for each: a str that the last message has to have
            in it (results of tools count), a whole CompletionRequest, a function that returns whether it is right, or
            None for any. Default: any requests.
        name: the provider's name, on origins and errors.
        model: the model's name.

    Attributes:
        requests: what was asked so far, in order.

    Raises:
        ConfigurationError: a turn is none of the above, or there are not as many expectations as turns.
    """

    def __init__(
        self,
        turns: Iterable[Turn],
        *,
        expect: Iterable[Expectation] | None = None,
        name: str = "scripted",
        model: str = "scripted",
    ) -> None:
        super().__init__(name, model)
        if isinstance(turns, str):
            raise ConfigurationError(f"Scripted got one str as its turns; write Scripted([{turns!r}])")
        self._turns = tuple(turns)
        for number, turn in enumerate(self._turns, 1):
            if not is_turn(turn):
                raise ConfigurationError(
                    f"turn {number} of a script is {turn!r}; write {TURNS}, or a function of the request that "
                    "returns one"
                )
        self._expected = None if expect is None else checked_expectations(expect, len(self._turns))
        self._unexpected: list[str] = []
        self.requests: list[CompletionRequest] = []

    def assert_exhausted(self) -> None:
        """Check that every turn was asked for, and nothing else.

        Raises:
            AssertionError: turns are left, and names the first of them; or a request was unexpected, which an agent may
                have survived.
        """
        if self._unexpected:
            raise AssertionError(self._unexpected[0])
        asked = len(self.requests)
        if asked < len(self._turns):
            raise AssertionError(
                f"{asked} of the script's {len(self._turns)} turns were asked for; "
                f"the next is {self._turns[asked]!r}"
            )

    async def answer(self, request: CompletionRequest) -> Answered:
        """The next turn of the script.

        Raises:
            AssertionError: the script has come to its end, or the request is not the one expected; shows it.
        """
        number = len(self.requests)
        self.requests.append(request)
        if number >= len(self._turns):
            self._fail(
                f"the script has {len(self._turns)} turns and was asked for one more, with "
                f"{len(request.messages)} messages:\n{excerpt(request)}"
            )
        if self._expected is not None and (words := unexpected(self._expected[number], request, number + 1)):
            self._fail(words)
        turn = await self._resolved(self._turns[number], request, number + 1)
        if isinstance(turn, str):
            return (Text(turn),) if turn else ()
        if isinstance(turn, BaseException):
            raise turn
        if isinstance(turn, Streamed):
            return turn.said(self._named)
        return turn

    def _fail(self, words: str) -> None:
        self._unexpected.append(words)
        raise AssertionError(words)

    async def _resolved(self, turn: Any, request: CompletionRequest, number: int) -> Answer:
        """A turn without what is around it: delays and functions."""
        while isinstance(turn, Delayed) or callable(turn):
            if isinstance(turn, Delayed):
                await trio.sleep(turn.seconds)
                turn = turn.turn
                continue
            turn = turn(request)
            if hasattr(turn, "__await__"):
                turn = await turn
            if not is_answer(turn):
                raise ConfigurationError(
                    f"the function that is turn {number} of a script returned {turn!r}; return one of: {TURNS}"
                )
        answer: Answer = turn
        return answer
