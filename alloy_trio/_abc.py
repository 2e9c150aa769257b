"""The contracts that a user may implement, re-exported as :mod:`alloy_trio.abc`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
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
        inner: the providers that it passes requests on to, where each attempt at them counts for itself; () where
            it is the model's own.
        max_tokens: the output that it allows whatever a request says; None for no such cap. A budget reserves as much.
        thinking_budget: the tokens that a request's ``max_tokens`` has to be above of, since reasoning takes them.
    """

    name: str
    model: str
    handles_failures: bool = False
    inner: tuple[Provider, ...] = ()
    max_tokens: int | None = None
    thinking_budget: int = 0

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


class MemoryStore(ABC):
    """Where the memory tool keeps its files: texts by path, and each scope's apart from the others'.

    A path is like ``notes/today.md``: one to ten names between slashes, that were found to be harmless (no ``..``,
    no leading dot, no control characters). A scope is any str. A store has files only; a directory is what the
    paths of some files begin with. What a method raises becomes the call's error; a ToolError's words are the
    model's to read. One store serves any number of agents at once, in several threads too.
    """

    @abstractmethod
    async def list(self, scope: str) -> Mapping[str, int]:
        """The size of each file in bytes, by its path."""

    @abstractmethod
    async def read(self, scope: str, path: str) -> str | None:
        """The text of a file; None if there is none."""

    @abstractmethod
    async def write(self, scope: str, path: str, text: str, *, expected: str | None) -> bool:
        """Make a file hold a text, in one step: who reads it sees the old text or the new.

        Args:
            scope: whose.
            path: which file.
            text: its new text.
            expected: its present text; None where there must be no file yet.

        Returns:
            False if something else was there than expected; nothing is changed then. Two edits at once cannot lose
            one another so.
        """

    @abstractmethod
    async def delete(self, scope: str, path: str) -> bool:
        """Remove a file. False if there is none."""

    @abstractmethod
    async def rename(self, scope: str, old: str, new: str) -> bool:
        """Give a file another path, in one step. False if it is not there, or a file has the new path already."""
