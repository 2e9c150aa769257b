"""The turn loop: complete, run the tools that were called, repeat until done. Pure.

:func:`turns` is a generator. It yields a step, is sent the step's outcome, and ends when the run has; all of
its state is in the :class:`RunState` that it was given. So it is tested without trio, replays from a
recording, and owns no task that it could leak. Whoever drives it may stop anywhere and close the state: then
the history in it is valid.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import attrs

from alloy_trio.values import (
    NO_USAGE,
    Block,
    Completion,
    CompletionRequest,
    ContextOverflow,
    ErrorInfo,
    Message,
    OpenRound,
    Result,
    ServerTool,
    Status,
    Text,
    ToolCallRecord,
    ToolSpec,
    ToolUse,
    Usage,
)
from alloy_trio.wire import told_apart

from ._steps import (
    NOT_RUN_AFTER_CUT,
    NOT_RUN_AFTER_LIMIT,
    NOT_RUN_AFTER_STOP,
    Complete,
    LimitMet,
    Outcome,
    RunTools,
    Step,
    ToolOutcomes,
    not_run,
)

if TYPE_CHECKING:
    from alloy_trio.context import Headroom, Plan

UNTIL_TOOL_REMINDERS = 3
"""How often a model that answers without the tool it was to call is reminded. A model that ignores three
reminders ignores the fourth; an engine without a cap was seen to repeat until the context overflowed."""

CUT_REASONS = frozenset({"max_tokens", "context_overflow", "refusal"})
"""After these the calls of a completion are not run: the model did not get to say all it wanted."""

CLOSING_REQUEST = (
    "A limit of this run is met: {reason}. No more tools can be called. Give your final answer now, from what you have "
    "found so far, and say what is missing."
)


@attrs.frozen(kw_only=True)
class Rules:
    """What does not change during a run."""

    tools: tuple[ToolSpec, ...] = ()
    server_tools: tuple[ServerTool, ...] = ()
    system: str | None = None
    max_turns: int = 25
    until_tool: str | None = None
    tool_choice: str | None = None
    output_schema: dict[str, object] | None = None
    closing_answer: bool = False


@attrs.define(kw_only=True)
class RunState:
    """Everything a run knows of itself; a Result can be made of it at any time."""

    rules: Rules
    messages: list[Message]
    request_id: str
    correlation_id: str
    usage: Usage = NO_USAGE
    turns: int = 0
    headroom: Headroom | None = None
    records: list[ToolCallRecord] = attrs.field(factory=list)
    text: str = ""
    stop_reason: str | None = None
    status: Status | None = None
    error: ErrorInfo | None = None
    reminders: int = 0
    pending: tuple[ToolUse, ...] = ()
    open_round: OpenRound | None = None
    steered: list[Message] = attrs.field(factory=list)
    follow_ups: list[Message] = attrs.field(factory=list)

    def request(self) -> CompletionRequest:
        """What the model is asked next."""
        rules = self.rules
        return CompletionRequest(
            tuple(self.messages),
            tools=rules.tools,
            server_tools=rules.server_tools,
            system=rules.system,
            # A forced choice is obeyed once: kept up, it would make an answer impossible.
            tool_choice=None
            if self.records and rules.tool_choice not in (None, "none")
            else rules.tool_choice,
            output_schema=rules.output_schema,
        )

    def closing_request(self, reason: str) -> CompletionRequest:
        """What the model is asked after a limit: to answer with what it has, and without tools."""
        request = self.request()
        asked = Text(CLOSING_REQUEST.format(reason=reason))
        *before, last = request.messages
        # In the message of the results, if there are any: what stands between them and their calls, vendors refuse.
        if last.role == "user":
            messages = (*before, attrs.evolve(last, content=(*last.content, asked)))
        else:
            messages = (*request.messages, Message("user", (asked,)))
        # The tools stay in: some vendors refuse a conversation with calls of tools that they are not told of.
        choice = "none" if request.tools or request.server_tools else None
        return attrs.evolve(request, messages=messages, tool_choice=choice)

    def add_completion(self, completion: Completion) -> tuple[ToolUse, ...]:
        """Take an answer into the history; returns its calls, each with an id of its own."""
        message = _with_unique_calls(completion.message)
        self.turns += 1
        self.usage = self.usage + completion.usage + completion.other_usage
        self.stop_reason = completion.stop_reason
        self.text += message.text
        if message.content:
            self.messages.append(message)
        if self.headroom is not None:
            self.headroom.answered(self.messages, completion.usage)
        return message.tool_uses

    def add_outcomes(self, outcomes: ToolOutcomes) -> None:
        """Answer the calls of the last message, or keep it aside when some of them wait for a decision."""
        self.records.extend(outcomes.records)
        before, self.open_round = self.open_round, None
        results = outcomes.results
        if before is not None:
            by_id = {result.tool_use_id: result for result in (*before.results, *results)}
            results = tuple(by_id[call.id] for call in before.message.tool_uses if call.id in by_id)
            place = {call.id: place for place, call in enumerate(before.message.tool_uses)}
            count = len(before.results) + len(outcomes.records)
            self.records[-count:] = sorted(self.records[-count:], key=lambda record: place.get(record.id, -1))
        if outcomes.pending:
            self.open_round = OpenRound(self.messages.pop(), results)
            self.pending = outcomes.pending
            self.end("paused")
        elif results:
            # In the message of the results: what stands between a call and its result, vendors refuse.
            self.messages.append(Message("user", (*results, *self._take_steered())))

    def take_up(self) -> tuple[ToolUse, ...]:
        """Go on in the midst of a round that was paused: its message is back; returns the calls to run."""
        assert self.open_round is not None
        self.messages.append(self.open_round.message)
        calls, self.pending, self.status = self.pending, (), None
        return calls

    def say_what_was_steered(self) -> bool:
        """Go on with what was said meanwhile, or else with what was to follow the answer; False if there is nothing."""
        blocks = self._take_steered()
        if not blocks and self.follow_ups:
            blocks = self.follow_ups.pop(0).content
        if blocks:
            self.messages.append(Message("user", blocks))
        return bool(blocks)

    def _take_steered(self) -> tuple[Block, ...]:
        steered, self.steered = self.steered, []
        return tuple(block for message in steered for block in message.content)

    def close(self) -> None:
        """Answer calls that nobody got to run, so that the history is valid wherever the driver stopped."""
        last = self.messages[-1]
        if last.role == "assistant" and last.tool_uses:
            answered = (
                {result.tool_use_id for result in self.open_round.results} if self.open_round else set()
            )
            calls = tuple(call for call in last.tool_uses if call.id not in answered)
            self.add_outcomes(not_run(calls, NOT_RUN_AFTER_STOP))

    def end(self, status: Status, error: ErrorInfo | None = None) -> None:
        """Say how the run ended; the first word counts."""
        if self.status is None:
            self.status = status
            self.error = error

    def result(self) -> Result:
        """The run so far as a value; ``"cancelled"`` when nothing said how it ended."""
        return Result(
            text=self.text,
            messages=tuple(self.messages),
            usage=self.usage,
            tool_calls=tuple(self.records),
            status=self.status or "cancelled",
            turns=self.turns,
            stop_reason=self.stop_reason,
            error=self.error,
            pending=self.pending,
            open_round=self.open_round,
            request_id=self.request_id,
            correlation_id=self.correlation_id,
        )


def turns(run: RunState) -> Generator[Step, Outcome, None]:
    """The loop. Yields steps, takes their outcomes, and has said how the run ended when it returns."""
    if run.open_round is not None:
        yield from _run_tools(run, run.take_up())
    while run.status is None:
        if run.turns >= run.rules.max_turns:
            yield from _meet_limit(run, "max_turns")
            break
        said = run.text
        if run.stop_reason != "pause_turn":
            run.text = ""  # what is said from here on is another answer, not more of the last one
        completion = yield from _complete(run)
        if isinstance(completion, LimitMet):
            run.text = said
            yield from _meet_limit(run, "budget_exceeded", completion.error)
            break
        calls = run.add_completion(completion)
        if completion.stop_reason in CUT_REASONS:
            run.add_outcomes(not_run(calls, NOT_RUN_AFTER_CUT.format(reason=completion.stop_reason)))
            run.end("completed" if completion.stop_reason == "refusal" else "incomplete")
        elif calls:
            yield from _run_tools(run, calls)
        elif completion.stop_reason == "pause_turn":
            continue  # the vendor wants the conversation back as it stands
        elif run.say_what_was_steered():
            continue
        elif run.rules.until_tool is None:
            run.end("completed")
        else:
            _remind(run, run.rules.until_tool)


def _meet_limit(
    run: RunState, status: Status, error: ErrorInfo | None = None
) -> Generator[Step, Outcome, None]:
    """End at a limit, after one closing answer if that is wanted and can be had."""
    if run.rules.closing_answer:
        reason = f"max_turns={run.rules.max_turns}" if error is None else error.message
        request = run.closing_request(reason)
        closing = yield Complete(request, closing=True)
        if isinstance(closing, LimitMet):
            error = error or closing.error
        else:
            assert isinstance(closing, Completion)
            run.messages, run.text = list(request.messages), ""
            calls = run.add_completion(closing)
            run.add_outcomes(not_run(calls, NOT_RUN_AFTER_LIMIT.format(reason=reason)))
    run.end(status, error)


def _complete(run: RunState) -> Generator[Step, Outcome, Completion | LimitMet]:
    """Get an answer; the conversation is shortened before where it has to be, and once more where that is not enough.

    A ContextOverflow may be thrown in in place of an answer.
    """
    headroom = run.headroom
    if headroom is not None:
        if (plan := headroom.before(run.messages)) is not None:
            yield from _compact(run, plan)
        headroom.check(run.messages)
    while True:
        try:
            completion = yield Complete(run.request())
        except ContextOverflow:
            plan = None if headroom is None else headroom.after_overflow(run.messages)
            if plan is None or not (yield from _compact(run, plan)):
                raise
            continue
        if isinstance(completion, LimitMet):
            return completion
        assert isinstance(completion, Completion)
        if headroom is None or not headroom.had_no_room(completion) or run.turns + 1 >= run.rules.max_turns:
            return completion
        plan = headroom.after_overflow(run.messages)
        if plan is None or not (yield from _compact(run, plan)):
            return completion
        run.add_completion(attrs.evolve(completion, message=attrs.evolve(completion.message, content=())))


def _compact(run: RunState, plan: Plan) -> Generator[Step, Outcome, bool]:
    """Shorten the conversation; returns whether it is smaller now."""
    from alloy_trio.context import Compact, Compacted

    assert run.headroom is not None
    outcome = yield Compact(plan)
    assert isinstance(outcome, Compacted)
    run.messages = list(outcome.messages)
    return run.headroom.gauge.estimate(run.messages) < plan.before


def _run_tools(run: RunState, calls: tuple[ToolUse, ...]) -> Generator[Step, Outcome, None]:
    outcomes = yield RunTools(calls)
    assert isinstance(outcomes, ToolOutcomes)
    run.add_outcomes(outcomes)
    if _succeeded(run.rules.until_tool, outcomes.records):
        run.end("completed")
    elif outcomes.limit is not None and run.status is None:
        yield from _meet_limit(run, "budget_exceeded", outcomes.limit)


def _remind(run: RunState, tool: str) -> None:
    if run.reminders >= UNTIL_TOOL_REMINDERS:
        run.end(
            "incomplete",
            ErrorInfo(
                "UntilToolNotCalled",
                f"the model answered without a successful call of {tool!r}, "
                f"also after {UNTIL_TOOL_REMINDERS} reminders; "
                "say in the prompt when to call it, or use tool_choice",
            ),
        )
        return
    run.reminders += 1
    run.messages.append(Message.user(f"You are not done yet: finish by calling the tool {tool!r}."))


def _succeeded(tool: str | None, records: Sequence[ToolCallRecord]) -> bool:
    return any(record.name == tool and record.outcome == "completed" for record in records)


def _with_unique_calls(message: Message) -> Message:
    """The same message, unless two of its calls share an id or one has none."""
    uses = message.tool_uses
    apart = told_apart(uses)
    if apart is uses:
        return message
    renamed = iter(apart)
    content = tuple(next(renamed) if isinstance(block, ToolUse) else block for block in message.content)
    return attrs.evolve(message, content=content)
