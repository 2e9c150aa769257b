"""What the arguments say, checked before anything else is loaded."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import NoReturn

import attrs

from alloy_trio.values import ConfigurationError

TOOLS = ("read", "write", "edit", "bash", "scratchpad", "memory")
"""What ``--tools`` knows."""

MEMORIES = ".alloy/memories"
"""Where the memory tool keeps its files, in the working directory: from one call of alloy to the next."""

DEFAULT_TOOLS = ("read", "write", "edit", "bash")


@attrs.frozen(kw_only=True)
class Settings:
    """The arguments of one call, valid in themselves.

    Args:
        prompt: the question; None if it is to come from elsewhere.
        provider: a provider's name, or None to find one.
        model: a model, perhaps as provider/model.
        base_url: the address to ask instead of the provider's own.
        tools: names of tools.
        bash: ``"restricted"``, ``"sandbox"`` or ``"full"``.
        system: the system prompt.
        directory: the working directory of the tools.
        max_turns: model calls at most.
        max_budget_cents: what a request may cost, or None.
        until_tool: the tool that has to be called.
        timeout: seconds for a request.
        context: tell the model what AGENTS.md, .alloy/context and skills say.
        streamed: show the answer while it arrives.
        json: events instead of an answer.
        record: the file that the traffic with the model is written to.
        replay: the file that the model's answers are taken from.
        seed: fixes ids and jitter, and with ``replay`` alone the times that events show.
        verbose: show turns and usage.
    """

    prompt: str | None = None
    provider: str | None = None
    model: str | None = None
    base_url: str | None = None
    tools: tuple[str, ...] = DEFAULT_TOOLS
    bash: str = "restricted"
    system: str | None = None
    directory: str = "."
    max_turns: int = 25
    max_budget_cents: Decimal | None = None
    until_tool: str | None = None
    timeout: float | None = None
    context: bool = True
    streamed: bool = True
    json: bool = False
    record: str | None = None
    replay: str | None = None
    seed: int | None = None
    verbose: bool = False


def parse_arguments(arguments: Sequence[str]) -> Settings:
    """Read the arguments.

    Raises:
        ConfigurationError: they are wrong; the message says what to write instead.
        SystemExit: they asked for help or the version, which was printed.
    """
    given = _parser().parse_args(arguments)
    settings = Settings(
        prompt=given.prompt,
        provider=given.provider,
        model=given.model,
        base_url=given.base_url,
        tools=_tools(given.tools),
        bash=given.bash,
        system=given.system,
        directory=_directory(given.dir),
        max_turns=given.max_turns,
        max_budget_cents=given.max_budget_cents,
        until_tool=given.until_tool,
        timeout=given.timeout,
        context=not given.no_context,
        streamed=not given.no_stream,
        json=given.json,
        record=_new_recording(given.record, given.replay),
        replay=given.replay,
        seed=given.seed,
        verbose=given.verbose,
    )
    if settings.until_tool is not None and settings.until_tool not in settings.tools:
        offered = ", ".join(settings.tools) or "there are none"
        raise ConfigurationError(f"--until-tool {settings.until_tool} is not among the tools ({offered})")
    return settings


def close_to(name: str, known: Sequence[str]) -> str:
    """A hint for a name that is not known: the nearest one, and all of them."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? There are" if close else "there are"
    return f"{hint} {', '.join(known)}"


def _tools(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == ("none",):
        return ()
    for name in names:
        if name not in TOOLS:
            raise ConfigurationError(
                f"--tools: there is no tool {name!r}; {close_to(name, TOOLS)}, or none alone"
            )
    return names


def _directory(path: str) -> str:
    if not os.path.exists(path):
        raise ConfigurationError(f"--dir: {path!r} does not exist")
    if not os.path.isdir(path):
        raise ConfigurationError(f"--dir: {path!r} is not a directory")
    if not os.access(path, os.R_OK | os.X_OK):
        raise ConfigurationError(
            f"--dir: {path!r} cannot be read; give a directory that you may list and enter"
        )
    return path


def _new_recording(path: str | None, replayed: str | None) -> str | None:
    if path is None:
        return None
    if replayed is not None:
        if os.path.realpath(path) != os.path.realpath(replayed):
            raise ConfigurationError(
                "--record and --replay name two files; give both the same one, to ask for what it lacks and add that"
            )
    elif os.path.isdir(path) or (os.path.isfile(path) and os.path.getsize(path)):
        raise ConfigurationError(
            f"--record: {path!r} is there already; remove it or take another name, or give --replay {path} too, to "
            "add only what it lacks"
        )
    return path


def _number(kind: Callable[[str], float], least: float, what: str) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if math.isnan(value) or math.isinf(value) or value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return convert


def _cents(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of cents, 0 or more")
    return value


class _Parser(argparse.ArgumentParser):
    """An argparse that teaches: examples and the providers in the help, one clear line for an error."""

    def error(self, message: str) -> NoReturn:
        hint = ""
        if message.startswith("unrecognized arguments: ") and not message.split()[2].startswith("-"):
            hint = '; a question is given as -p "…"'
        elif message.startswith("unrecognized arguments: "):
            import difflib

            options = [name for action in self._actions for name in action.option_strings]
            close = difflib.get_close_matches(message.split()[2], options, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigurationError(f"{message}{hint}")

    def format_help(self) -> str:
        from ._help import epilog

        self.epilog = epilog()
        return super().format_help()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="alloy",
        usage='alloy -p "question" [options]\n       alloy [options]',
        description="Ask a model, let it use tools, get the answer on standard output.\n"
        "Without -p, at a terminal, it is a conversation; else the question is read from standard input.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whole = _number(int, 1, "a whole number, 1 or more")
    seconds = _number(float, 0.001, "a number of seconds above 0")
    any_whole = _number(int, -math.inf, "a whole number")
    bash = (
        "what the bash tool may do: only read (restricted, the default); anything, but shut in: only DIR can be "
        "written, home directories are empty, no network (sandbox, needs bubblewrap); all that you may do (full)"
    )
    add = parser.add_argument
    add("-p", "--prompt", metavar="TEXT", help="the question; text that is piped in is added to it")
    add("--provider", metavar="NAME", help="who is asked (default: the first whose key is set)")
    add("--model", metavar="NAME", help="the model, or provider/model")
    add("--base-url", metavar="URL", help="the address to ask, as the vendor's own SDK wants it")
    tools = f"of {','.join(TOOLS)}; or none (default: %(default)s); memory keeps its files in DIR/{MEMORIES}"
    add("--tools", metavar="LIST", default=",".join(DEFAULT_TOOLS), help=tools)
    add("--bash", choices=("restricted", "sandbox", "full"), default="restricted", help=bash)
    add("--system", metavar="TEXT", help="the system prompt")
    add("--dir", metavar="DIR", default=".", help="the working directory of the tools (default: this one)")
    add("--max-turns", metavar="N", type=whole, default=25, help="model calls at most (default: %(default)s)")
    budget = (
        "what a request may cost, in US cents, as 12.5; a model whose price is not known is then not asked"
    )
    add("--max-budget-cents", metavar="CENTS", type=_cents, help=budget)
    add("--until-tool", metavar="NAME", help="go on until this tool was called successfully")
    add("--timeout", metavar="SECONDS", type=seconds, help="for the whole request")
    add("--no-stream", action="store_true", help="print nothing but the final answer, when it is there")
    no_context = "leave out AGENTS.md, .alloy/context/*.md and skills (of home, the git root and DIR)"
    add("--no-context", action="store_true", help=no_context)
    add("--json", action="store_true", help="print one event per line instead of the answer")
    add("--record", metavar="FILE", help="write what is asked and answered to FILE, without keys")
    replay = "answer from what --record wrote to FILE: no key, no network; with --record FILE, ask for what it lacks"
    add("--replay", metavar="FILE", help=replay)
    seed = "fixes ids and random delays, and with --replay the times that --json shows"
    add("--seed", metavar="N", type=any_whole, help=seed)
    add("--verbose", action="store_true", help="show turns and usage too")
    add("--version", action=_Version, nargs=0, help="print the version")
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from alloy_trio import __version__

        print(f"alloy {__version__}")
        parser.exit()
