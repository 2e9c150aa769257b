"""From arguments to an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import IO

from alloy_trio.values import ConfigurationError

from ._settings import Settings, parse_arguments

USAGE = 2
INTERRUPTED = 130
UNREAD = 141
"""128 and SIGPIPE, as other programs end when their reader has left."""

# How long a pipe may be silent before a question that was given goes without it. Arbitrary: longer than programs
# take to say their first word, shorter than a person takes to give up.
_SILENCE_SECONDS = 5.0


def start(arguments: Sequence[str]) -> int:
    """Do what the arguments say; returns the exit status."""
    with _httpx_without_its_command_line():
        try:
            return _do(parse_arguments(arguments))
        except SystemExit as exit_:
            # Of argparse, once it has printed the help or the version.
            return exit_.code if isinstance(exit_.code, int) else USAGE
        except ConfigurationError as error:
            _complain(f"{error} (alloy --help shows how it is used)")
            return USAGE
        except KeyboardInterrupt:
            _complain("interrupted")
            return INTERRUPTED


def _do(settings: Settings) -> int:
    at_terminal = sys.stdin is not None and sys.stdin.isatty()
    if settings.prompt is None and at_terminal:
        if settings.json:
            raise ConfigurationError('--json needs a question: give one with -p "…" or pipe one in')
        from ._repl import converse

        with _seeded(settings):
            return converse(settings)
    prompt = _question(settings.prompt, None if at_terminal else sys.stdin)
    with _seeded(settings):
        return _ask(prompt, settings)


def _ask(prompt: str, settings: Settings) -> int:
    from ._equip import choose_provider, choose_tools
    from ._interrupts import Interrupts
    from ._render import Activity, AnswerView, EventView, OutputLost, standard_output
    from ._request import FAILED, follow

    output = standard_output()
    activity = Activity(sys.stderr, output)
    view = (
        EventView(output, timed=not _is_timeless(settings))
        if settings.json
        else AnswerView(output, activity, streamed=settings.streamed, verbose=settings.verbose)
    )
    with Interrupts() as interrupts:
        try:
            return follow(
                prompt,
                provider=choose_provider(settings),
                tools=choose_tools(settings),
                settings=settings,
                view=view,
                activity=activity,
                interrupts=interrupts,
            ).status
        except OutputLost as error:
            _abandon_output()
            if error.quiet:
                return UNREAD
            activity.line(f"alloy: {error}")
            return FAILED
        except KeyboardInterrupt:
            activity.line("alloy: interrupted")
            return INTERRUPTED if interrupts.received is None else 128 + interrupts.received


def _question(prompt: str | None, piped: IO[str] | None) -> str:
    """The question, with what was piped in after a blank line."""
    text = "" if piped is None else _read_all(piped, optional=bool(prompt and prompt.strip()))
    # Arguments that are no UTF-8 come as halves of surrogate pairs, which no request can carry.
    words = (prompt or "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    parts = [part for part in (words, text) if part.strip()]
    if not parts:
        raise ConfigurationError('there is no question: give one with -p "…" or pipe one in')
    return "\n\n".join(parts)


def _read_all(piped: IO[str], *, optional: bool) -> str:
    """What was piped in. A pipe that stays open and silent is left alone where the text is optional.

    Many a script starts programs with such a pipe as their standard input; waiting for its end would hang them.
    """
    try:
        number = piped.fileno()
    except OSError:
        return piped.read()
    import select

    if not select.select([number], [], [], _SILENCE_SECONDS)[0]:
        if optional:
            _complain(
                f"nothing came on standard input within {_SILENCE_SECONDS:g} s; going on without it "
                "(text that takes longer: put it into a file first; none at all: start with </dev/null)"
            )
            return ""
        _complain("waiting for the question on standard input")
    try:
        return piped.buffer.read().decode("utf-8", "replace")  # type: ignore[attr-defined, no-any-return]
    except OSError as error:
        raise ConfigurationError(f"standard input cannot be read: {error.strerror or error}") from error


def _complain(message: str) -> None:
    try:
        print(f"alloy: {message}", file=sys.stderr, flush=True)
    except OSError:
        # Nobody reads it; the exit status says that it went wrong.
        return


def _abandon_output() -> None:
    """Let what is still buffered go nowhere, or the interpreter would fail on it when it ends."""
    try:
        number = sys.stdout.fileno()
    except OSError:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


@contextmanager
def _httpx_without_its_command_line() -> Iterator[None]:
    # Where click and rich are installed, importing httpx loads both for a command line of its own: 40 ms.
    if "httpx" in sys.modules or "httpx._main" in sys.modules:
        yield
        return
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["httpx._main"]


@contextmanager
def _seeded(settings: Settings) -> Iterator[None]:
    if settings.seed is None:
        with nullcontext():
            yield
        return
    from alloy_trio._seed import seeded

    if _is_timeless(settings):
        from ._taping import recorded_ms

        # One time for all: prices are those of then, and two replays can be compared byte for byte.
        then = recorded_ms(settings.replay or "")
        with seeded(settings.seed, now_ms=lambda: then):
            yield
        return
    with seeded(settings.seed):
        yield


def _is_timeless(settings: Settings) -> bool:
    return settings.seed is not None and settings.replay is not None and settings.record is None
