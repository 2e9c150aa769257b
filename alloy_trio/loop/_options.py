"""The options of ``run`` and ``stream``, checked before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, cast

import attrs

from alloy_trio._abc import Provider
from alloy_trio.tools import Tool
from alloy_trio.values import ConfigurationError, Message, ServerTool

if TYPE_CHECKING:
    from decimal import Decimal

    from alloy_trio._middleware import Middleware
    from alloy_trio.context import Compaction, Room
    from alloy_trio.models import ModelInfo

OnCompaction: TypeAlias = Callable[[tuple[Message, ...], Mapping[str, Any]], Awaitable[None]]

AGENT_ONLY = frozenset({"max_pending", "broadcast", "subscribe", "session", "on_shutdown"})
"""Options that make sense only for an agent that lives on."""


class RunOptions(TypedDict, total=False):
    """The keywords of ``run`` and ``stream`` beside ``provider``; see :class:`Options`."""

    tools: Sequence[Tool | ServerTool]
    system_prompt: str | None
    messages: Sequence[Message]
    max_turns: int
    max_tokens: int | None
    compaction: Compaction | None
    on_compaction: OnCompaction | None
    middleware: Sequence[Middleware]
    working_directory: str | PathLike[str]
    allowed_paths: Sequence[str | PathLike[str]] | None
    context: Mapping[str, Any]
    discover_context: bool
    model_metadata_overrides: Mapping[str, int | ModelInfo]
    until_tool: str | None
    output_schema: Mapping[str, Any] | None
    max_budget_cents: Decimal | int | str | None
    max_total_tokens: int | None
    max_tool_calls: int | None
    closing_answer: bool
    tool_choice: str | None
    max_retries: int
    retry_backoff: float
    fallback_providers: Sequence[Provider]
    tool_timeout: float
    timeout: float | None
    event_buffer: int
    code_execution: bool
    request_id: str | None


@attrs.frozen(kw_only=True)
class Options:
    """What a run may be told.

    Args:
        tools: Tool objects and ``server_tool(…)``.
        system_prompt: the system prompt.
        messages: earlier conversation; repaired first if it is not valid.
        max_turns: model calls at most.
        max_tokens: the window that the conversation is kept in, in tokens; None for that of the model, 200,000 where
            it is not known.
        compaction: how the conversation is shortened when it outgrows the window; None for not at all.
        on_compaction: async function of (messages, context), called before old messages are summarised or lose results,
            with those messages and the ``context`` option. What it raises ends the run.
        middleware: laid around the parts of the run, outermost first.
        working_directory: base of the file tools and of bash.
        allowed_paths: directories that the file tools may touch; None for the working directory, () for none.
        context: anything, handed to tools; data, never a security switch.
        discover_context: put AGENTS.md, ``.alloy/context/*.md`` and skills, from the home directory, the git root and
            the working directory, into the system prompt.
        model_metadata_overrides: what is known better than by us: models' names to context windows or ModelInfo.
        until_tool: the run goes on until this tool was called successfully.
        output_schema: JSON Schema that the answer follows.
        tool_choice: ``"auto"``, ``"required"``, ``"none"`` or a tool's name; a forced choice holds until a tool
            was called.
        max_budget_cents: US cents that the run and all that it starts never spend more of, as Decimal, int or str; see
            the guide on budgets. The prices of all models must be known.
        max_total_tokens: tokens, in and out, that they never use more of.
        max_tool_calls: calls of tools that they never make more of.
        closing_answer: when one of these limits or ``max_turns`` is met, get one last answer without tools, if the
            budget allows.
        max_retries: transient provider errors that are tried again; not over a provider that does so itself.
        retry_backoff: seconds; bound of the first delay, doubling, with full jitter.
        fallback_providers: tried in order once the first is out of retries.
        tool_timeout: seconds of execution for each tool call.
        timeout: seconds for the whole run; its Result then has status ``"timeout"``.
        event_buffer: events held for a slow reader before the run waits for it.
        code_execution: let Anthropic's models run code in the vendor's sandbox.
        request_id: becomes the correlation id.
    """

    tools: tuple[Tool | ServerTool, ...] = ()
    system_prompt: str | None = None
    messages: tuple[Message, ...] = ()
    max_turns: int = 25
    max_tokens: int | None = None
    # True for Compaction(), which need not be loaded for a short run.
    compaction: Compaction | Literal[True] | None = True
    on_compaction: OnCompaction | None = None
    middleware: tuple[Middleware, ...] = ()
    working_directory: Path = Path()
    allowed_paths: tuple[Path, ...] | None = None
    context: Mapping[str, Any] = attrs.field(factory=dict)
    discover_context: bool = False
    model_metadata_overrides: Mapping[str, ModelInfo] = attrs.field(factory=dict)
    until_tool: str | None = None
    output_schema: dict[str, Any] | None = None
    tool_choice: str | None = None
    max_budget_cents: Decimal | int | str | None = None
    max_total_tokens: int | None = None
    max_tool_calls: int | None = None
    closing_answer: bool = False
    max_retries: int = 3
    retry_backoff: float = 1.0
    fallback_providers: tuple[Provider, ...] = ()
    tool_timeout: float = 120.0
    timeout: float | None = None
    event_buffer: int = 256
    code_execution: bool = False
    request_id: str | None = None

    @property
    def has_limits(self) -> bool:
        """Whether a budget is needed."""
        return (self.max_budget_cents, self.max_total_tokens, self.max_tool_calls) != (None, None, None)

    @property
    def own_tools(self) -> tuple[Tool, ...]:
        """The tools that we run."""
        return tuple(tool for tool in self.tools if isinstance(tool, Tool))

    @property
    def server_tools(self) -> tuple[ServerTool, ...]:
        """The tools that the vendor runs."""
        named = tuple(tool for tool in self.tools if isinstance(tool, ServerTool))
        sandbox = ServerTool("code_execution")
        return (
            (*named, sandbox)
            if self.code_execution and sandbox.name not in {tool.name for tool in named}
            else named
        )


def check_options(provider: Provider, given: RunOptions) -> Options:
    """Make Options of keywords.

    Raises:
        ConfigurationError: an option is unknown, of the wrong kind, or cannot work; the message says which
            and what to write instead.
    """
    _check_provider("provider", provider)
    values = cast("dict[str, Any]", dict(given))
    _check_names(values)
    try:
        for name in ("tools", "messages", "middleware", "fallback_providers", "allowed_paths"):
            if isinstance(values.get(name), str | bytes | PathLike):
                # A str is a sequence too: of "/tmp" the parts would be "/", "t", "m", "p", and "/" is the whole disk.
                raise ConfigurationError(
                    f"{name}={values[name]!r} must be a sequence; write {name}=[{values[name]!r}]"
                )
        for name in ("tools", "messages", "middleware", "fallback_providers"):
            values[name] = tuple(values.get(name, ()))
        values["working_directory"] = Path(values.get("working_directory", "."))
        if values.get("allowed_paths") is not None:
            values["allowed_paths"] = tuple(Path(path) for path in values["allowed_paths"])
        if values.get("output_schema") is not None:
            values["output_schema"] = dict(values["output_schema"])
        if values.get("model_metadata_overrides"):
            # Knowing models takes milliseconds to load, which a run that does without need not pay.
            from alloy_trio.models import check_overrides

            values["model_metadata_overrides"] = check_overrides(values["model_metadata_overrides"])
        options = Options(**values)
    except TypeError as exc:
        raise ConfigurationError(f"an option has the wrong kind of value: {exc}") from exc
    _check_values(options)
    _check_failures_are_handled_once(provider, options, given)
    return options


def _check_names(values: Mapping[str, Any]) -> None:
    known = [field.name for field in attrs.fields(Options)]
    for name in values:
        if name in AGENT_ONLY:
            raise ConfigurationError(
                f"{name}= is an option of an agent that lives on; run and stream do not take it"
            )
        if name not in known:
            import difflib

            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}=?" if close else f"the options are {', '.join(sorted(known))}"
            raise ConfigurationError(f"there is no option {name}=; {hint}")


def _check_provider(name: str, provider: object) -> None:
    if isinstance(provider, Provider):
        return
    if isinstance(provider, type) and issubclass(provider, Provider):
        seen = f"the class {provider.__name__}; write {provider.__name__}(model=…)"
    elif isinstance(provider, str):
        seen = f"the string {provider!r}; write provider_from_name({provider!r})"
    else:
        seen = f"{type(provider).__name__}; a subclass of alloy_trio.abc.Provider is needed"
    raise ConfigurationError(f"{name} got {seen}")


def _check_values(options: Options) -> None:
    for number, provider in enumerate(options.fallback_providers):
        _check_provider(f"fallback_providers[{number}]", provider)
    for tool in cast("tuple[object, ...]", options.tools):
        if not isinstance(tool, Tool | ServerTool):
            hint = "decorate it with @tool" if callable(tool) else "use Tool objects or server_tool(…)"
            raise ConfigurationError(f"tools got {tool!r}, which is not a tool; {hint}")
    names = [tool.name for tool in options.own_tools]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"tools has {', '.join(twice)} more than once; each tool needs a name of its own"
        )
    for message in cast("tuple[object, ...]", options.messages):
        if not isinstance(message, Message):
            raise ConfigurationError(
                f"messages got {type(message).__name__}; use Message.user(…) and Message.assistant(…)"
            )
    for name in ("system_prompt", "request_id", "until_tool", "tool_choice"):
        value = getattr(options, name)
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{name}={value!r} must be a str or None")
    if not isinstance(options.context, Mapping):
        raise ConfigurationError(f"context={options.context!r} must be a mapping, like a dict")
    if options.middleware:
        _check_middleware(options.middleware)
    _check_whole("max_turns", options.max_turns, least=1)
    _check_whole("max_retries", options.max_retries, least=0)
    _check_whole("event_buffer", options.event_buffer, least=1)
    _check_seconds("retry_backoff", options.retry_backoff)
    _check_seconds("tool_timeout", options.tool_timeout)
    if options.timeout is not None:
        _check_seconds("timeout", options.timeout)
    if options.has_limits:
        from alloy_trio._budget import Budget

        Budget(options.max_budget_cents, options.max_total_tokens, options.max_tool_calls)
    _check_compaction(options)
    if options.until_tool is not None and options.until_tool not in names:
        raise ConfigurationError(
            f"until_tool={options.until_tool!r} is not among the tools ({_listed(names)})"
        )
    if options.tool_choice not in (None, "auto", "required", "none") and options.tool_choice not in names:
        raise ConfigurationError(
            f"tool_choice={options.tool_choice!r} is neither 'auto', 'required', 'none' "
            f"nor one of the tools ({_listed(names)})"
        )
    if options.tool_choice == "required" and not options.tools:
        raise ConfigurationError("tool_choice='required' needs tools=")


def _check_failures_are_handled_once(provider: Provider, options: Options, given: RunOptions) -> None:
    """Refuse what was asked for of both the run and a provider; the run's defaults give way in silence."""
    if provider.handles_failures and options.fallback_providers:
        raise ConfigurationError(
            f"fallback_providers= was given with {type(provider).__name__}(…), which decides by itself what follows "
            "a failure; write Fallback(first, second, …) as the provider, or hand over the plain provider"
        )
    # max_retries=0 asks for nothing.
    wanted = [name for name in ("max_retries", "retry_backoff") if name in given and options.max_retries > 0]
    for one in (provider, *options.fallback_providers):
        if one.handles_failures and wanted:
            raise ConfigurationError(
                f"{wanted[0]}= was given with {type(one).__name__}(…), which decides by itself what follows a "
                "failure, and retries over retries multiply; leave it out and say it to Retry(provider, "
                "max_retries=…, backoff=…), or hand over the plain provider"
            )


def _check_compaction(options: Options) -> None:
    if options.on_compaction is not None and not callable(options.on_compaction):
        raise ConfigurationError(
            f"on_compaction={options.on_compaction!r} must be an async function of (messages, context), or None"
        )
    if options.max_tokens is not None:
        _check_whole("max_tokens", options.max_tokens, least=1)
    if options.compaction is not None and (options.max_tokens is not None or options.compaction is not True):
        chosen_room(options)


def chosen_room(options: Options) -> Room | None:
    """The room in the window that was chosen; None where it is the model's.

    Raises:
        ConfigurationError: there would be none to work in.
    """
    from alloy_trio.context import Compaction, check_window, estimate_fixed

    compaction = Compaction() if options.compaction is True else options.compaction
    if not isinstance(compaction, Compaction):
        raise ConfigurationError(f"compaction={compaction!r} must be a Compaction(…), or None for none")
    if options.max_tokens is None:
        return None
    specs = tuple(tool.spec for tool in options.own_tools)
    fixed = estimate_fixed(options.system_prompt, specs, options.server_tools)
    return check_window(options.max_tokens, compaction, fixed)


def _check_middleware(middleware: tuple[object, ...]) -> None:
    from alloy_trio._middleware import Middleware

    for one in middleware:
        if not isinstance(one, Middleware):
            hint = f"write {one.__name__}()" if isinstance(one, type) and issubclass(one, Middleware) else ""
            raise ConfigurationError(
                f"middleware got {one!r}; {hint or 'a subclass of alloy_trio.abc.Middleware is needed'}"
            )


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "there are none"


def _check_whole(name: str, value: object, *, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{name}={value!r} must be a whole number, {least} or more")


def _check_seconds(name: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value) or value < 0:
        raise ConfigurationError(f"{name}={value!r} must be a number of seconds, 0 or more")
