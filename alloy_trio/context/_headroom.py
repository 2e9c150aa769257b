"""Whether a run's conversation still fits, and what is done when it does not: for the whole of a run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from alloy_trio.values import Completion, ContextOverflow, Message, Text, ToolResult, ToolUse, Usage

from ._tokens import Gauge, estimate_block

if TYPE_CHECKING:
    from alloy_trio.models import ModelInfo

    from ._compaction import Plan
    from ._room import Compaction, Room

DEFAULT_WINDOW = 200_000
"""Tokens of a window of which nothing is known: the commonest among the models in use."""

LEAST_LOOKED_AT = 2_000
"""Tokens below which no window is looked up: there is no model that a short question would not fit into, and to know
the models takes some milliseconds."""

OVERFLOWS_A_TURN = 1
"""How often one request is shortened and sent again after the vendor found it too large."""

OVERFLOWS_A_RUN = 10
"""How often that is done in one run. Each time something is learned of the window or of the estimate, so the second is
rare already."""

NARROWED = 0.9
"""Of a measured request that was too large, the window that is taken for the model's from then on."""

SILENT_OVERFLOW_SHARE = 0.99
"""An answer that was cut without a word, after input that fills so much of the window, had no room: some hosts say
no more of it than that."""


HOPELESS_WINDOWS = 2
"""A text whose estimate fills the window so many times does not fit: no estimate is twice the truth and more."""


def window_of(name: str, model: str, overrides: Mapping[str, ModelInfo]) -> int:
    """The tokens of a model's context window, as far as it is known.

    Args:
        name: the provider's.
        model: the model's name.
        overrides: what the user knows better.
    """
    from alloy_trio.models import model_info

    info = model_info(name, model, overrides)
    return (info and info.context_window) or DEFAULT_WINDOW


class Headroom:
    """What a run knows of the room that is left.

    Args:
        window: tells the window of the model that is asked next.
        compaction: how the conversation is shortened; None for the defaults.
        fixed: the estimate of the system prompt and the tools.
        room: the room of a window that the user chose; ``window`` is then not asked.
        gauge: one that knows the conversation already; it is kept by whoever the run belongs to.

    Attributes:
        gauge: counts the tokens.
    """

    def __init__(
        self,
        window: Callable[[], int],
        compaction: Compaction | None = None,
        *,
        fixed: int = 0,
        room: Room | None = None,
        gauge: Gauge | None = None,
    ) -> None:
        self.gauge = gauge or Gauge()
        self.gauge.fixed = fixed
        self._window = window
        self._compaction = compaction
        self._chosen = room
        self._room = room
        self._found = 0
        self._overflows = 0
        self._overflows_at = -1
        self._turn = 0

    @property
    def room(self) -> Room:
        """The room in the window of the model that is asked next."""
        if self._chosen is None and (found := self._window()) != self._found:
            from ._room import Compaction, room_in

            self._found, self._room = found, room_in(found, self._compaction or Compaction())
        assert self._room is not None
        return self._room

    def before(self, messages: Sequence[Message]) -> Plan | None:
        """How the conversation is to be shortened before it is sent; None if it may be sent."""
        size = self.gauge.size(messages)
        if size <= LEAST_LOOKED_AT or _is_being_answered(messages):
            return None
        # The reserve is for what the estimate is wrong by too, but a huge result may be wrong by more.
        size = max(size, self.gauge.most(messages) - self.room.reserve)
        return None if size <= self.room.limit else self._plan(messages, size, harder=False)

    def after_overflow(self, messages: Sequence[Message]) -> Plan | None:
        """How it is to be shortened when the vendor found it too large; None when it is not to be tried again."""
        if self._overflows_at == self._turn or self._overflows >= OVERFLOWS_A_RUN:
            return None
        size, room = self.gauge.size(messages), self.room
        if size < room.window and self.gauge.is_measured:
            # What was measured is as large as it is, so the window is smaller than it was thought to be.
            room = self._room = room.narrowed(int(size * NARROWED))
            if self._chosen is not None:
                self._chosen = room
        elif size < room.window:
            self.gauge.overflowed(room.window)
        made = self._plan(messages, self.gauge.size(messages), harder=True)
        if made is not None:
            self._overflows += 1
            self._overflows_at = self._turn
        return made

    def again(self, made: Plan, messages: Sequence[Message]) -> Plan | None:
        """A plan like one that was made, for what has become of its conversation."""
        return self._plan(messages, self.gauge.size(messages), harder=made.harder)

    def answered(self, messages: Sequence[Message], usage: Usage) -> None:
        """Learn from an answer that is in the conversation now."""
        self._turn += 1
        small = max(self.gauge.estimate(messages), usage.total_tokens) <= LEAST_LOOKED_AT
        self.gauge.answered(messages, usage, LEAST_LOOKED_AT if small else self.room.window)

    def check(self, messages: Sequence[Message]) -> None:
        """Refuse what certainly does not fit: hosts that cut it off unseen would answer something else.

        Raises:
            ContextOverflow: the text of it alone is beyond any doubt too long.
        """
        size = self.gauge.size(messages)
        if size <= LEAST_LOOKED_AT or _is_being_answered(messages):
            return
        if size <= HOPELESS_WINDOWS * self.room.window:
            return
        text = sum(
            estimate_block(block)
            for message in messages
            for block in message.content
            if isinstance(block, Text) or (isinstance(block, ToolResult) and isinstance(block.content, str))
        )
        if text > HOPELESS_WINDOWS * self.room.window:
            raise ContextOverflow(
                f"the request is about {text} tokens long and its window is {self.room.window}; what was asked is "
                "never cut. Ask less at once, hand over the long part as a file that tools may read, or use a model "
                "with a larger window (max_tokens= where you chose it smaller than the model's)"
            )

    def had_no_room(self, completion: Completion) -> bool:
        """Whether an answer says nothing, for want of room."""
        said = completion.message.text.strip() or any(
            isinstance(block, ToolUse) for block in completion.message.content
        )
        if said:
            return False
        if completion.stop_reason == "context_overflow":
            return True
        usage = completion.usage
        read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        return (
            completion.stop_reason == "max_tokens"
            and read > LEAST_LOOKED_AT
            and read >= SILENT_OVERFLOW_SHARE * self.room.window
        )

    def _plan(self, messages: Sequence[Message], size: int, *, harder: bool) -> Plan | None:
        from ._compaction import plan

        gauge = self.gauge
        return plan(
            messages, gauge.sizes(messages), room=self.room, fixed=gauge.fixed, size=size, harder=harder
        )


def _is_being_answered(messages: Sequence[Message]) -> bool:
    # The vendor paused in the midst of its answer, and wants all of it back as it stands.
    return bool(messages) and messages[-1].role == "assistant"
