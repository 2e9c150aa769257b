"""The one task of a supervisor that decides: it reads messages in order and does what the policy says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import trio

from alloy_trio._seed import source
from alloy_trio.values import EventName, RestartLimitExceeded

from ._decisions import (
    Add,
    Answer,
    Close,
    Closing,
    Due,
    End,
    Exited,
    Failed,
    Happening,
    Ignored,
    Open,
    Opened,
    Outcome,
    Restart,
    Retry,
    Start,
    Started,
    Stop,
    Stopped,
    Terminate,
    TryAgain,
    Wait,
)
from ._giving_up import given_up, how, limit_exceeded
from ._mailbox import Call, Mailbox, Message
from ._policy import Decisions, Policy
from ._report import ChildRecord
from ._running import Run, current_run
from ._spec import ChildSpec, Rules
from ._subscriptions import Announcer

LINGER_SECONDS = 0.1
"""How long after its shutdown time a child is called overdue: what was cut off needs a few steps to unwind.
Arbitrary; long for unwinding, short for whoever reads the warning."""

_logger = logging.getLogger("alloy_trio.supervision")


class Engine:
    """A supervisor's state and its task; :class:`Supervisor` is what users see of it.

    Attributes:
        records: of every child that the policy has, by name.
        body_scope: of the block that was opened; cancelled when the supervisor ends before it.
        opened: set when all children have started, or none runs any more; ``over`` when none does.
        closing: from here on no child is started.
        outcome: how it ended, or is about to.
        exceeded: why it gave up, if it did.
        errors: what leaves the block, the body's own exception aside.
    """

    def __init__(self, name: str, rules: Rules) -> None:
        self.name = name
        self.rules = rules
        self.policy = Policy(rules)
        self.above = current_run()
        above = None if self.above is None else self.above.owner.announcer
        self.announcer = Announcer(name, source().new_id("sup"), above)
        self.records: dict[str, ChildRecord] = {}
        self.body_scope = trio.CancelScope()
        self.opened = trio.Event()
        self.over = trio.Event()
        self.closing = False
        self.outcome: Outcome | None = None
        self.exceeded: RestartLimitExceeded | None = None
        self.errors: list[BaseException] = []
        self.starts = self.failed_starts = self.exits = self.restarts = self.overdue = 0
        self._nursery: trio.Nursery
        self._mailbox = Mailbox()
        self._call: Call | None = None  # that is being served
        self._starting: Run | None = None  # that has not called started() yet
        self._impatient = False
        self._ended = False

    # The task.

    @trio.lowlevel.enable_ki_protection
    async def run(self, specs: tuple[ChildSpec, ...]) -> None:
        """Start the children, and look after them until the end. Raises nothing; see ``errors``."""
        if self.above is not None:
            self.above.nested.append(self)
        # Children end after the body, in order: a cancel from outside is the body's to tell.
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as self._nursery:
                try:
                    for spec in specs:
                        self.records[spec.name] = ChildRecord(spec)
                    await self._perform(self.policy.step(Open(specs)))
                    while not self._ended:
                        await self._serve(await self._mailbox.next())
                except BaseException as error:  # border: a mistake of this task's own; it leaves the block
                    self.errors.append(error)
                    self._nursery.cancel_scope.cancel(reason=f"supervisor {self.name!r} failed")
        self._finish()

    async def _serve(self, message: Message) -> None:
        happening: Happening
        name = None
        if isinstance(message, Run):
            name = message.spec.name
            happening = Exited(name, message.number, message.how, trio.current_time())
        elif isinstance(message, Retry):
            name = message.name
            happening = TryAgain(name, trio.current_time())
        elif isinstance(message, Call):
            name = message.name
            happening = message.happening
            self._call = message
            if isinstance(happening, Add) and name not in self.policy.children:
                self.records[name] = ChildRecord(happening.spec)
            message.record = self.records.get(name)
        else:
            happening = message
        await self._perform(self.policy.step(happening))
        if self.rules.strategy != "one_for_one":
            self._settle_all()  # the restart that others were part of may have been given up
        elif name is not None:
            self.settle(name)

    async def _perform(self, decisions: Decisions) -> None:
        while decisions:
            report: Happening | None = None
            name = ""
            for decision in decisions:
                if isinstance(decision, Start):
                    name = decision.name
                    report = await self._start(decision)
                elif isinstance(decision, Stop):
                    name = decision.name
                    report = await self._stop(decision)
                else:
                    _ACTS[type(decision)](self, decision)
            if report is None:
                return
            decisions = self.policy.step(report)
            self.settle(name)

    async def _start(self, decision: Start) -> Started | Ignored | Failed:
        record = self.records[decision.name]
        record.stopped = False
        if self._gives_up_starting():
            return Failed()
        if decision.again:
            self.restarts += 1
            self._announce(
                "child_restart", decision.name, None if record.latest is None else record.latest.reason
            )
        run = record.latest = Run(record.spec, decision.number, self)
        self._nursery.start_soon(run.work, record.waits_for_started, name=record.task_name)
        if not await self._wait_started(run):
            if run.how == "normal" and run.passing is None:
                return Ignored()
            self.failed_starts += 1
            if run.error is not None and (decision.again or self._gives_up_starting()):
                self._log(run, "could not be started")  # where nobody is left to raise it to
            return Failed()
        self.starts += 1
        self._announce("child_start", decision.name, None)
        return Started(trio.current_time())

    async def _wait_started(self, run: Run) -> bool:
        self._starting = run
        while not (run.started or run.ended):
            if self._gives_up_starting():
                run.cancel("nobody waits for its start any more")
            await self._mailbox.sleep()
        self._starting = None
        return run.started

    def _gives_up_starting(self) -> bool:
        return self.closing or (self._call is not None and self._call.raise_cancel is not None)

    async def _stop(self, decision: Stop) -> Stopped:
        run = self.records[decision.name].latest
        assert run is not None
        if not run.ended:
            run.stopping = True
            run.cancel(f"supervisor {self.name!r} stops it")
            await self._wait_ended(run)
            if run.error is not None:
                self._log(run, "failed while it was stopped")
        return Stopped()

    async def _wait_ended(self, run: Run) -> None:
        shutdown = 0.0 if isinstance(run.spec.shutdown, str) else run.spec.shutdown
        deadline = trio.current_time() + shutdown
        sleep = self._mailbox.sleep
        while not run.ended and not self._impatient and await sleep(deadline):
            pass
        if run.ended:
            return
        run.cut_short()  # the supervisors below, too, have had their time
        deadline = trio.current_time() + LINGER_SECONDS
        while not run.ended and await sleep(deadline):
            pass
        if run.ended:
            return
        self.overdue += 1
        told = f"did not end within its shutdown time of {shutdown:g} s, and is waited for"
        _logger.warning("child %r of supervisor %r %s", run.spec.name, self.name, told)
        self._announce("escalation", run.spec.name, told)
        while not run.ended:
            await sleep()

    # What decisions without a report come to.

    def _retry(self, decision: Retry) -> None:
        self._mailbox.put(decision)

    def _delay(self, decision: Wait) -> None:
        backoff = self.records[decision.name].spec.backoff or self.rules.backoff
        assert backoff is not None
        seconds = decision.seconds * (1.0 - backoff.jitter * source().jitter())
        self._mailbox.put_later(trio.current_time() + seconds, Due(decision.name, decision.ticket))

    def _is_opened(self, _: Opened) -> None:
        self.opened.set()

    def _answer(self, decision: Answer) -> None:
        call, self._call = self._call, None
        assert call is not None
        run = None if call.record is None else call.record.latest
        if decision.problem == "failed" and run is not None:
            call.error = (
                run.error
            )  # now: the next call may start the child anew before this caller comes to run
        call.reply(decision.problem)

    def _begin_to_close(self, decision: Closing) -> None:
        self.closing = True
        self.outcome = decision.outcome
        if decision.name is not None:
            self._owe_the_end_to(decision.name)
        self._settle_all()
        self.body_scope.cancel(reason=f"supervisor {self.name!r} ends: {decision.outcome}")

    def _owe_the_end_to(self, name: str) -> None:
        run = self.records[name].latest
        if self.outcome == "gave_up":
            self.exceeded = limit_exceeded(self.name, name, run, self.rules)
            self.errors.append(self.exceeded)
            self._announce("escalation", name, how(run))
        elif self.outcome == "not_opened" and run is not None and run.error is not None:
            run.error.add_note(f"child {name!r} of supervisor {self.name!r} could not be started")
            self.errors.append(run.error)

    def _end(self, _: End) -> None:
        self._ended = True

    def _finish(self) -> None:
        self.closing = True
        if self.above is not None:
            self.above.nested.remove(self)
        self.body_scope.cancel(reason=f"supervisor {self.name!r} has ended")
        for message in (self._call, *self._mailbox.messages):
            if isinstance(message, Call):
                message.reply(None, answered=False)
        self._call = None
        for record in self.records.values():
            record.gone = True
            self._tell(record)
        self.announcer.end()
        self.opened.set()
        self.over.set()

    # What others tell it, from their tasks.

    @trio.lowlevel.enable_ki_protection
    async def ask(self, happening: Add | Terminate | Restart) -> Call:
        """Have a call served in its turn.

        *Cancellation*: a call that waits is taken back. A start that is under way is cancelled, and waited for; a
        termination that is under way goes on.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.closing:
            raise self._is_closed()
        if self._starting is not None:
            self._starting.refuse_to_wait_for_itself()
        call = Call(happening)
        call.task = trio.lowlevel.current_task()
        self._mailbox.put(call)

        def stop_waiting(raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
            if call is not self._call:
                self._mailbox.messages.remove(call)
            elif not isinstance(happening, Terminate):
                call.raise_cancel = raise_cancel
                self._mailbox.wake()
                return trio.lowlevel.Abort.FAILED
            call.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(stop_waiting)
        if call.raise_cancel is not None and (call.problem is not None or not call.answered):
            call.raise_cancel()
        if not call.answered:
            raise self._is_closed()
        return call

    def _is_closed(self) -> trio.ClosedResourceError:
        return trio.ClosedResourceError(
            f"supervisor {self.name!r} ends or has ended, and takes no calls any more"
        )

    @trio.lowlevel.enable_ki_protection
    def close_soon(self) -> None:
        """The block was left."""
        if not self.closing:
            self.closing = True
            self._mailbox.put(Close())

    @trio.lowlevel.enable_ki_protection
    def cut_short(self) -> None:
        """Give no child any more time for its clean-up."""
        self._impatient = True
        for record in self.records.values():
            if record.latest is not None and record.latest.stopping:
                record.latest.cut_short()
        self._mailbox.wake()

    def run_started(self, run: Run) -> None:
        """A child called ``started()``."""
        self._mailbox.wake()

    def run_ended(self, run: Run) -> None:
        """The task of a child has ended."""
        if run.passing is not None:
            self.errors.append(run.passing)
            self.body_scope.cancel(reason=f"child {run.spec.name!r} raised {type(run.passing).__name__}")
            self.close_soon()
        if run.started:
            self.exits += 1
            self._announce("child_exit", run.spec.name, run.reason)
            if not run.stopping:
                self._mailbox.messages.append(run)
                if run.error is not None:
                    self._log(run, "failed")
        self.records[run.spec.name].changed()
        self._mailbox.wake()

    def settle(self, name: str) -> None:
        """Forget a child that the policy has forgotten, and tell who watches it."""
        record = self.records.get(name)
        if record is None:
            return
        if name not in self.policy.children:
            record.gone = True
            del self.records[name]
        self._tell(record)

    def _settle_all(self) -> None:
        for name in tuple(self.records):
            self.settle(name)

    def _tell(self, record: ChildRecord) -> None:
        """Tell who watches a child, and who counts on it, how it stands."""
        child = None if record.gone else self.policy.children.get(record.spec.name)
        if child is None or self.policy.rests(child):
            error = None if record.latest is None else record.latest.error
            record.stop(given_up(self) or error)
        record.changed()

    def _announce(self, event: EventName, name: str, reason: str | None) -> None:
        child = self.policy.children.get(name)
        self.announcer.announce(event, name, reason, 0 if child is None else child.restarts)

    def _log(self, run: Run, what: str) -> None:
        if _logger.isEnabledFor(logging.ERROR):
            _logger.error("child %r of supervisor %r %s", run.spec.name, self.name, what, exc_info=run.error)


_ACTS: dict[type, Callable[[Engine, Any], None]] = {
    Retry: Engine._retry,
    Wait: Engine._delay,
    Opened: Engine._is_opened,
    Answer: Engine._answer,
    Closing: Engine._begin_to_close,
    End: Engine._end,
}
