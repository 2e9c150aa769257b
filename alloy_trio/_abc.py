"""The contracts that a user may implement, re-exported as :mod:`alloy_trio.abc`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from alloy_trio.values import TextDelta, Thinking, ThinkingDelta

if TYPE_CHECKING:
    from typing import Self

    from alloy_trio.values import Completion, CompletionRequest, Delta


class DeltaSink(Protocol):
    """Where a provider puts the pieces of an answer. Whoever opened it closes it, never the provider."""

    async def send(self, delta: Delta) -> None:
        """Hand over one delta; waits while the reader's buffer is full."""
        ...

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        """Hand over what arrived together, in order; waits while the reader's buffer is full."""
        ...


class Provider(ABC):
    """A model that can be asked.

    An object is configuration until it is entered with ``async with``; the engine enters it. Entering is counted:
    one object serves any number of runs at once, and in several threads' ``trio.run`` too. Only
    :meth:`complete` has to be written.

    Attributes:
        name: the configured provider's name, as origins and errors carry it.
        model: the model's name.
        handles_failures: whether it tries again, or elsewhere, by itself when a model fails. The engine's own
            retry and fallback are then not laid over it: they would multiply.
    """

    name: str
    model: str
    handles_failures: bool = False

    @abstractmethod
    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask the model and wait for the whole answer.

        Args:
            request: holds a conversation that is valid; fitting it to the wire is the provider's work.

        Raises:
            RemoteError: the provider failed, with ``transient`` telling whether trying again may help.

        *Cancellation*: nothing of the exchange is left, the connection included.
        """

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        """Ask the model and hand over the answer's pieces while they arrive.

        The pieces add up to the returned completion. This fallback completes first and sends the thinking
        and the text as one delta each.

        Raises:
            RemoteError: as in :meth:`complete`; also after some deltas were sent.

        *Cancellation*: as in :meth:`complete`.
        """
        completion = await self.complete(request)
        await deltas.send_all(whole_deltas(completion))
        return completion

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


def whole_deltas(completion: Completion) -> list[Delta]:
    """What a reader of pieces is given of an answer that came at once: its thinking and its text."""
    thinking = "".join(block.text for block in completion.message.content if isinstance(block, Thinking))
    deltas: list[Delta] = [ThinkingDelta(thinking)] if thinking else []
    if completion.message.text:
        deltas.append(TextDelta(completion.message.text))
    return deltas
