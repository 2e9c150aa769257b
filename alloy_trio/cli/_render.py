"""What a person sees of a run: the answer on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

import trio

from alloy_trio.values import Event, Result

# Until then a wait is not worth a word; each frame after that.
_PATIENCE_SECONDS = 0.5
_FRAME_SECONDS = 0.1
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

_LINE_CHARS = 100
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_CONTROLS_IN_TEXT = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\n\t\r"}


class OutputLost(Exception):
    """Standard output takes nothing more; ``quiet`` if only its reader has left."""

    def __init__(self, message: str, *, quiet: bool) -> None:
        super().__init__(message)
        self.quiet = quiet


class Output:
    """Standard output: written through at once, never with a traceback.

    On a terminal, control characters are shown and not obeyed: a model's words move no cursor.
    """

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        self.is_terminal = file is not None and file.isatty()
        self.at_line_start = True

    def write(self, text: str) -> None:
        """Write some text.

        Raises:
            OutputLost: it could not be written.
        """
        if self._file is None or not text:
            return
        if self.is_terminal:
            text = text.translate(_CONTROLS_IN_TEXT)
        encoding = self._file.encoding or "utf-8"
        # Half of a surrogate pair, or a letter that the terminal's encoding lacks, is no reason to fail.
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        try:
            self._file.write(text)
            self._file.flush()
        except BrokenPipeError:
            raise OutputLost("nobody reads the output", quiet=True) from None
        except OSError as error:
            raise OutputLost(
                f"the output cannot be written: {error.strerror or error}", quiet=False
            ) from error
        self.at_line_start = text.endswith("\n")

    def end_line(self) -> None:
        """Begin a new line, unless one has begun."""
        if not self.at_line_start:
            self.write("\n")


class Activity:
    """Standard error: a line for each thing that happens and, on a terminal, a counter while nothing does.

    Args:
        file: standard error; what it does not take is lost without harm.
        output: where the answer goes; if that is the same terminal, lines do not run into each other.
        name: stands before each line that is not about a tool.
    """

    def __init__(self, file: TextIO | None, output: Output) -> None:
        self._file = file
        self._output = output
        self.is_terminal = file is not None and file.isatty()
        self._drawn = 0
        self._doing = "waiting"
        self._since = 0.0

    def line(self, text: str) -> None:
        """Write a line."""
        if self._output.is_terminal and self.is_terminal:
            self._clear()
            self._output.end_line()
        else:
            self._clear()
        self._write(f"{text.translate(_CONTROLS_IN_TEXT)}\n")

    def now(self, doing: str) -> None:
        """Something happened, and this is done next."""
        self._clear()
        self._doing = doing
        self._since = trio.current_time()

    async def count_seconds(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Show on a terminal how long it has been waiting, until cancelled."""
        task_status.started()
        frame = 0
        try:
            while self.is_terminal:
                await trio.sleep(_FRAME_SECONDS)
                waited = trio.current_time() - self._since
                if waited < _PATIENCE_SECONDS or not (
                    self._output.at_line_start or not self._output.is_terminal
                ):
                    continue
                frame += 1
                self._clear()
                shown = f"{_FRAMES[frame % len(_FRAMES)]} {self._doing} {waited:.0f} s"
                self._drawn = len(shown)
                self._write(shown)
            await trio.sleep_forever()
        finally:
            self._clear()

    def _clear(self) -> None:
        if self._drawn:
            self._write(f"\r{' ' * self._drawn}\r")
            self._drawn = 0

    def _write(self, text: str) -> None:
        if self._file is None:
            return
        encoding = self._file.encoding or "utf-8"
        try:
            self._file.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._file.flush()
        except OSError:
            # The answer matters, and there is no place left to complain in.
            self._file = None


class AnswerView:
    """Shows a run's answer as text.

    Args:
        output: standard output.
        activity: standard error.
        streamed: show the words while they come; else only the final answer.
        verbose: show turns and usage.
    """

    def __init__(self, output: Output, activity: Activity, *, streamed: bool, verbose: bool) -> None:
        self._output = output
        self._activity = activity
        self._streamed = streamed
        self._verbose = verbose
        self._turn = 0

    def event(self, event: Event) -> None:
        """Show one event."""
        payload: Any = event.payload
        if event.event == "text_delta" and event.parent_id is None:
            if self._streamed:
                if event.turn != self._turn:
                    # What the model said before it called a tool stands on lines of its own.
                    self._output.end_line()
                self._turn = event.turn
                self._activity.now("waiting")
                self._output.write(payload)
            return
        self._activity.now("waiting")
        if event.event == "tool_start":
            doing = f"{payload['name']} {short_input(payload['input'])}".rstrip()
            self._activity.line(f"> {doing}")
            self._activity.now(doing)
        elif event.event == "tool_end":
            self._activity.line(f"< {payload['name']} {tool_outcome(payload)}")
        elif event.event == "retry":
            self._activity.line(
                f"alloy: {error_words(payload['error'])}; trying again in {payload['delay_seconds']:.1f} s"
            )
            self._activity.now("waiting to try again")
        elif event.event == "fallback":
            self._activity.line(
                f"alloy: {error_words(payload['error'])}; asking {payload['to_provider']} instead"
            )
        elif self._verbose and event.event == "tool_progress":
            self._activity.line(f"  {payload['name']}: {one_line(payload['text'] or '')}")
        elif self._verbose and event.event == "run_start":
            tools = ", ".join(payload["tools"]) or "none"
            self._activity.line(f"alloy: asking {payload['provider']} for {payload['model']}, tools: {tools}")
        elif self._verbose and event.event == "turn_start":
            self._activity.line(f"alloy: turn {payload['turn']}")
        elif self._verbose and event.event == "turn_end":
            used = usage_words(payload["usage"])
            self._activity.line(f"alloy: turn {event.turn} ended with {payload['stop_reason']}; {used}")

    def end(self, result: Result) -> None:
        """Show what is left to show: the answer, if it was not streamed, and the end of its line."""
        if not self._streamed:
            self._output.write(result.text)
        self._output.end_line()


class EventView:
    """Shows a run as its events, each as JSON on a line of its own.

    Args:
        output: standard output.
        timed: whether durations are told; without them a replayed run shows the same each time.
    """

    def __init__(self, output: Output, *, timed: bool = True) -> None:
        self._output = output
        self._timed = timed

    def event(self, event: Event) -> None:
        """Show one event."""
        payload: Any = event.payload
        if event.event == "tool_end" and not self._timed:
            payload = {**payload, "duration_ms": 0}
        line = {
            "v": event.v,
            "event": event.event,
            "seq": event.seq,
            "correlation_id": event.correlation_id,
            "turn": event.turn,
            "ts_ms": event.ts_ms,
            "payload": payload,
            "parent_id": event.parent_id,
        }
        # A tool may report any data while it works; what JSON lacks is written as its repr.
        self._output.write(json.dumps(line, default=repr) + "\n")

    def end(self, result: Result) -> None:
        """Nothing: the last event has been shown."""


def standard_output() -> Output:
    """The process's standard output."""
    return Output(sys.stdout)


def one_line(text: str) -> str:
    """A text as a short line."""
    line = " ".join(text.split()).translate(_CONTROLS)
    return line if len(line) <= _LINE_CHARS else f"{line[: _LINE_CHARS - 1]}…"


def short_input(given: Any) -> str:
    """A tool call's input in a few words: the path or the command, else names and values."""
    if not isinstance(given, dict):
        return one_line(str(given))
    for name in ("command", "path"):
        if isinstance(given.get(name), str):
            return one_line(given[name])
    return one_line(" ".join(f"{name}={value}" for name, value in given.items()))


def tool_outcome(payload: dict[str, Any]) -> str:
    """How a tool call went, and how long it took."""
    milliseconds = payload["duration_ms"]
    took = f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
    if payload["outcome"] == "completed":
        return took
    why = f": {one_line(payload['error'])}" if payload["error"] else ""
    return f"{payload['outcome']}{why} ({took})"


def error_words(error: Any) -> str:
    """An error of an event's payload in one line."""
    return (
        f"{error['kind']}: {one_line(error['message'])}" if isinstance(error, dict) else one_line(str(error))
    )


def usage_words(usage: dict[str, Any]) -> str:
    """Token counts, and the cost where it is known."""
    read = usage["input_tokens"] + usage["cache_read_tokens"] + usage["cache_write_tokens"]
    cached = f" ({usage['cache_read_tokens']} cached)" if usage["cache_read_tokens"] else ""
    cost = f", {usage['cost_cents']} cents" if usage.get("cost_cents") is not None else ""
    return f"{read} tokens in{cached}, {usage['output_tokens']} out{cost}"
