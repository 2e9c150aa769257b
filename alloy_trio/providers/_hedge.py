"""Two providers raced against each other."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import trio

from alloy_trio._asking import Meter, ask
from alloy_trio._scopes import split_cancelled
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.values import (
    NO_USAGE,
    AlloyError,
    AttemptFailed,
    Completion,
    CompletionRequest,
    Delta,
    ErrorInfo,
    LocalError,
    RemoteError,
    Usage,
    UsageDelta,
)

from ._around import Around, checked_seconds


class Hedge(Around):
    """Asks a second provider when the first has said nothing for a while, and takes whoever speaks first.

    The second is asked after ``after`` seconds without output, or as soon as the first has failed, be it with a
    LocalError. The first to bring output, or a whole answer, has won: only its pieces reach the caller, and the other
    one is cancelled. What the loser reported to have used is in the completion's ``other_usage``, and no error of it
    is raised. Both are asked for pieces, for a whole answer too: without them, who speaks and what a cancelled one
    used could not be seen. After output, the winner's failure is the answer.

    Args:
        first: the one that is always asked. It may be the same object as ``second``.
        second: the one that is asked when it takes too long.
        after: seconds.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    def __init__(self, first: Provider, second: Provider, after: float) -> None:
        super().__init__(first, second)
        self.handles_failures = first.handles_failures or second.handles_failures
        self.after = checked_seconds("after", after)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask for the whole answer; see :meth:`stream`."""
        above = Meter.for_whole_answer()
        return await self._race(request, _Race(above, whole=True, reports=above.reports))

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        """Ask for the answer's pieces; see :meth:`alloy_trio.abc.Provider.stream`.

        Raises:
            RemoteError: both failed, or the winner did after its first output. Of two errors it is the first
                transient one, else a LocalError, else the first provider's; the other one is in its notes. Its
                ``usage`` is what both used, but for what an AttemptFailed has reported.
            LocalError: in the same cases; what both used is reported before.

        *Cancellation*: both requests are gone.
        """
        return await self._race(request, _Race(deltas))

    async def _race(self, request: CompletionRequest, race: _Race) -> Completion:
        first, second = race.lanes = [_Lane(race, provider) for provider in self.inner]
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first.run, request)
                with trio.move_on_after(self.after):
                    await first.settled.wait()
                if race.winner is None:
                    if first.error is not None:
                        await first.report_failure(second.provider.name)
                    nursery.start_soon(second.run, request)
        except BaseExceptionGroup as group:
            # What is no AlloyError leaves as it would have left the one provider.
            failed = [error for one in group.exceptions if (error := split_cancelled(one)[1]) is not None]
            if len(failed) == 1:
                raise failed[0] from None
            raise
        if (completion := race.answer()) is not None:
            return completion
        error = race.failure()
        if isinstance(error, RemoteError):
            error.usage = race.unreported
        else:
            # It has no place for it.
            await race.deltas.send(UsageDelta(race.owed))
        raise error


class _Lane(Meter):
    """One provider's run: a sink that passes deltas on as long as they are the caller's business.

    Attributes:
        settled: set once it has brought output, an answer or an error.
        completion: the answer, if it won.
        error: why it failed, if it did.
    """

    def __init__(self, race: _Race, provider: Provider) -> None:
        super().__init__()
        self.provider = provider
        self.settled = trio.Event()
        self.scope = trio.CancelScope()
        self.completion: Completion | None = None
        self.error: AlloyError | None = None
        self._race = race
        self._withheld = NO_USAGE

    @property
    def used(self) -> Usage:
        """All that it used."""
        return self.failed + self.current

    @property
    def owed(self) -> Usage:
        """What it used, but for what the caller was told in an AttemptFailed."""
        return self._withheld + self.current

    async def run(self, request: CompletionRequest) -> None:
        """Ask, and leave what came of it in the attributes."""
        try:
            with self.scope:
                completion = await ask(self.provider, request, self, streaming=True)
                self._race.claim(self)
                if self._race.winner is self:
                    self.completion = completion
                # What failed on the way was told by its AttemptFailed, if it was told at all.
                self.current = completion.usage
                if self.failed == NO_USAGE:
                    self.current = self.current + completion.other_usage
        except AlloyError as error:
            self.current = self.unreported(error)
            self.error = error
        finally:
            self.settled.set()

    async def report_failure(self, next_provider: str) -> None:
        """Tell the caller that the other provider is asked because this one failed."""
        assert self.error is not None
        await self.send(AttemptFailed(ErrorInfo.of(self.error), 0.0, next_provider, self.current))

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        """Hand over deltas that arrived together; see :class:`alloy_trio.abc.DeltaSink`."""
        race = self._race
        onward: list[Delta] = []
        for delta in deltas:
            self.note(delta)
            if self.output_reached:
                race.claim(self)
            if race.winner not in (None, self):
                if isinstance(delta, AttemptFailed):
                    self._withheld = self._withheld + delta.usage
                continue
            told = isinstance(delta, UsageDelta | AttemptFailed)
            if isinstance(delta, AttemptFailed) or not (told or race.whole):
                onward.append(delta)
            if told:
                # To the caller this is one attempt, so it is told what both use; an AttemptFailed starts anew.
                onward.append(UsageDelta(race.owed))
        if self.output_reached:
            self.settled.set()
        if onward:
            await race.deltas.send_all(onward)
        else:
            await trio.lowlevel.checkpoint_if_cancelled()


@attrs.define(eq=False)
class _Race:
    """Who has won, and what both used.

    Args:
        deltas: where the caller is told.
        whole: the caller wants the answer in one, so no piece of it is told.
        reports: whether somebody listens there.
    """

    deltas: DeltaSink
    whole: bool = False
    reports: bool = True
    lanes: list[_Lane] = attrs.field(factory=list)
    winner: _Lane | None = None

    @property
    def owed(self) -> Usage:
        """What both used, but for what the caller was told in an AttemptFailed."""
        return sum((lane.owed for lane in self.lanes), NO_USAGE)

    def claim(self, winner: _Lane) -> None:
        """The first to come here has won; the other one is cancelled."""
        if self.winner is not None:
            return
        self.winner = winner
        for lane in self.lanes:
            if lane is not winner:
                lane.scope.cancel(reason="the other hedged provider was first")

    @property
    def unreported(self) -> Usage:
        """What a RemoteError that leaves has to count."""
        return self.owed if self.reports else sum((lane.used for lane in self.lanes), NO_USAGE)

    def answer(self) -> Completion | None:
        """The winner's answer, with what the other one used; None when there is none."""
        if self.winner is None or self.winner.completion is None:
            return None
        completion = self.winner.completion
        others = [lane.used for lane in self.lanes if lane is not self.winner]
        return attrs.evolve(completion, other_usage=sum(others, completion.other_usage))

    def failure(self) -> AlloyError:
        """Without an answer, the error that says most, with the other one in its notes."""
        lanes = (
            self.lanes if self.winner is None else sorted(self.lanes, key=lambda one: one is not self.winner)
        )
        errors = [lane.error for lane in lanes if lane.error is not None]
        if self.winner is None:
            errors.sort(key=_rank)
        error = errors[0]
        for other in errors[1:]:
            if other is not error:
                said = ErrorInfo.of(other)
                error.add_note(f"the other hedged provider failed too: {said.kind}: {said.message}")
        return error


def _rank(error: AlloyError) -> int:
    # Whether to try again is decided by the error that leaves; one provider that may recover is enough. If none may,
    # what is wrong on this side is what the caller can do something about.
    if isinstance(error, RemoteError) and error.transient:
        return 0
    return 1 if isinstance(error, LocalError) else 2
