"""What a tool is, and how a function becomes one."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, overload

import attrs
import trio

from alloy_trio.values import (
    ConfigurationError,
    ResultBlock,
    ServerTool,
    ToolDefinitionError,
    ToolError,
    ToolSpec,
)

from ._answers import invalid_input, invalid_value
from ._belongings import Belongings
from ._checks import check_names, check_paths, check_schema, check_tool
from ._jsonschema import compile_schema
from ._limit import Limit
from ._plain import NotPlain, plain
from ._problems import Validator
from ._schema import Signature, read_signature
from ._threads import ThreadSlot, run_in_thread

MAX_RESULT_CHARS = 30_000
"""Characters of a result that reach the model unless a tool says otherwise: some 8,000 tokens."""


_NOWHERE: Mapping[str, str] = MappingProxyType({})


# Not plain `tuple`: mypy cannot follow a class of its own parameters as a converter.
def _blocks(blocks: Iterable[ResultBlock]) -> tuple[ResultBlock, ...]:
    return tuple(blocks)


def _paths(paths: Iterable[Path]) -> tuple[Path, ...]:
    check_paths(paths)
    return tuple(paths)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    check_names(names)
    return tuple(names)


def _named(native: Mapping[str, str]) -> Mapping[str, str]:
    return dict(native)


Report: TypeAlias = Callable[[str, Any], Awaitable[None]]


@attrs.frozen
class ToolOutput:
    """What a tool returns when a str is not enough.

    Args:
        text: for the model.
        data: for programs: anything JSON can hold; it is kept in the call's record.
        blocks: pictures, documents or further text for the model, after the text. An Opaque is a block in the
            vendor's own words (Anthropic's ``search_result``); only that vendor's models see it.
    """

    text: str
    data: Any = None
    blocks: tuple[ResultBlock, ...] = attrs.field(default=(), converter=_blocks)


@attrs.frozen(kw_only=True)
class ToolContext:
    """What a tool is told of the run that calls it; injected into a parameter of this type.

    Args:
        working_directory: base of relative paths.
        allowed_paths: directories that the tool may touch, resolved.
        context: the run's ``context`` option.
        agent: the agent that runs, or None.
        deadline: trio time at which the call is cut off; ``inf`` if never.
        budget: the run's budget, or None.
        state: what tools remember from call to call, by the tool's name; shared in one run or agent.
        belongings: what tools have opened for the time of the run or agent, and its private directory; None where
            nobody would close it.
    """

    working_directory: Path = attrs.field(default=Path(), converter=Path)
    allowed_paths: tuple[Path, ...] = attrs.field(default=(), converter=_paths)
    context: Mapping[str, Any] = attrs.field(factory=dict)
    agent: Any = None
    deadline: float = math.inf
    budget: Any = None
    state: dict[str, Any] = attrs.field(factory=dict, repr=False)
    belongings: Belongings | None = attrs.field(default=None, repr=False)
    _report: Report | None = attrs.field(default=None, repr=False)
    _limit: Limit | None = attrs.field(default=None, repr=False)

    @classmethod
    def at(
        cls,
        working_directory: str | os.PathLike[str] = ".",
        allowed_paths: Iterable[str | os.PathLike[str]] | None = None,
        **others: Any,
    ) -> ToolContext:
        """Make a context the way a run does: paths made absolute, links in them followed.

        Args:
            working_directory: base of relative paths; has to be a directory.
            allowed_paths: what may be touched, relative to it; None for the working directory itself.
            others: the other fields.

        Raises:
            ConfigurationError: the working directory is not a directory, or allowed_paths is one path.
        """
        check_paths(allowed_paths)
        try:
            base = Path(os.path.realpath(working_directory))
        except FileNotFoundError:  # what it is relative to, our own directory, has been removed
            base = None
        if base is None or not base.is_dir():
            raise ConfigurationError(
                f"working_directory is {os.fspath(working_directory)!r}, which is not a directory; "
                "name one that is"
            )
        allowed = (base,) if allowed_paths is None else tuple(allowed_paths)
        resolved = tuple(Path(os.path.realpath(base / path)) for path in allowed)
        return cls(working_directory=base, allowed_paths=resolved, **others)

    async def progress(self, text: str = "", data: Any = None) -> None:
        """Tell whoever reads the run's events how the call is going.

        *Backpressure*: waits while the reader's buffer is full, which does not count as execution. A worker
        thread calls it as ``trio.from_thread.run(context.progress, text)``.

        Args:
            text: words for a person.
            data: anything JSON can hold.
        """
        if self._report is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._report(text, plain(data))


@attrs.frozen
class PreparedCall:
    """A call whose input was found right: what is left is to admit it and to run it.

    Args:
        run: performs the call.
        slot: the place among the worker threads that it needs first, or None.
    """

    run: Callable[[ToolContext], Awaitable[object]]
    slot: ThreadSlot | None = None

    def admitted(self) -> AbstractAsyncContextManager[object]:
        """Wait until it may start, inside ``async with``."""
        return nullcontext() if self.slot is None else self.slot


@attrs.define(eq=False)
class Tool:
    """Something that a model may ask to have done.

    ``@tool`` makes one from a function; this constructor makes one at run time.

    Args:
        name: what the model calls it: letters, digits, ``_`` and ``-``, at most 64.
        description: what it is for, when to use it.
        input_schema: JSON Schema of the input, an object. Input is checked against it before each call.
        execute: async function of (input, context) that returns a str, anything JSON can hold or a
            ToolOutput, or raises ToolError.
        concurrent: whether it may run beside the other calls of a turn; False makes it a barrier.
        max_result_chars: characters of text that reach the model; from a longer one the middle is cut out.
        timeout: seconds of one execution; None for the run's ``tool_timeout``.
        strict: ask the vendor to enforce the schema.
        allowed_callers: who may call it, in the vendor's words.
        native: what it is called as a tool of a vendor's own, by the vendor; see :class:`ToolSpec`.
        fn: the function that it was made of, if any; calling the tool calls it.

    Raises:
        ToolDefinitionError: a name, schema or number that cannot work.
    """

    name: str
    description: str
    input_schema: dict[str, Any] = attrs.field(converter=check_schema, repr=False)
    execute: Callable[[dict[str, Any], ToolContext], Awaitable[object]] = attrs.field(repr=False)
    concurrent: bool = attrs.field(default=True, kw_only=True)
    max_result_chars: int = attrs.field(default=MAX_RESULT_CHARS, kw_only=True)
    timeout: float | None = attrs.field(default=None, kw_only=True)
    strict: bool = attrs.field(default=False, kw_only=True)
    allowed_callers: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_names)
    native: Mapping[str, str] = attrs.field(default=_NOWHERE, kw_only=True, converter=_named, repr=False)
    fn: Callable[..., Any] | None = attrs.field(default=None, kw_only=True, repr=False)
    _validate: Validator = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        check_tool(
            self.name,
            self.description,
            self.execute,
            flags={"concurrent": self.concurrent, "strict": self.strict},
            max_result_chars=self.max_result_chars,
            timeout=self.timeout,
        )
        self._validate = compile_schema(self.input_schema)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function that the tool was made of, as if it had not been decorated."""
        if self.fn is None:
            raise TypeError(
                f"the tool {self.name} was not made of a function; await its execute(input, context)"
            )
        return self.fn(*args, **kwargs)

    @property
    def spec(self) -> ToolSpec:
        """The tool as a model sees it."""
        return ToolSpec(
            self.name,
            self.description,
            self.input_schema,
            self.strict,
            self.allowed_callers,
            dict(self.native),
        )

    @property
    def abandons(self) -> bool:
        """Whether a thread of its may still run after the call was cancelled."""
        return False

    def prepare(self, given: Mapping[str, Any], limiter: trio.CapacityLimiter | None = None) -> PreparedCall:
        """Check an input and make the call ready, on a copy of the input; nothing runs yet.

        Args:
            given: what the model wrote.
            limiter: the worker threads, for a tool that needs one; None for the default.

        Raises:
            ToolError: the input does not fit; the text lists all that is wrong.
        """
        own = _copied(self.name, given)
        problems = self._validate(own)
        if problems:
            raise ToolError(invalid_input(self.name, problems))

        async def run(context: ToolContext) -> object:
            return await self.execute(own, context)

        return PreparedCall(run)


@attrs.define(eq=False)
class _FunctionTool(Tool):
    """A tool that is a function: its input becomes arguments, a plain function runs in a thread."""

    _signature: Signature = attrs.field(kw_only=True, repr=False)
    _abandon: bool = attrs.field(kw_only=True)

    @property
    def abandons(self) -> bool:
        return self._abandon

    def prepare(self, given: Mapping[str, Any], limiter: trio.CapacityLimiter | None = None) -> PreparedCall:
        arguments, problems = self._signature.bind(_copied(self.name, given))
        if problems:
            raise ToolError(invalid_input(self.name, problems))
        function = self.fn
        assert function is not None
        slot = None if _is_async(function) else ThreadSlot(limiter)

        async def run(context: ToolContext) -> object:
            if self._signature.context_name is not None:
                arguments[self._signature.context_name] = context
            if slot is None:
                return await function(**arguments)
            return await run_in_thread(self.name, lambda: function(**arguments), slot, abandon=self._abandon)

        return PreparedCall(run, slot)


def _copied(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        own: dict[str, Any] = plain(given)
    except NotPlain as exc:
        raise ToolError(invalid_value(name, str(exc))) from None
    return own


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object whose __call__ is async
    )


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    concurrent: bool = True,
    max_result_chars: int = MAX_RESULT_CHARS,
    timeout: float | None = None,
    strict: bool = False,
    allowed_callers: Iterable[str] = (),
    native: Mapping[str, str] = _NOWHERE,
    abandon: bool = False,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    concurrent: bool = True,
    max_result_chars: int = MAX_RESULT_CHARS,
    timeout: float | None = None,
    strict: bool = False,
    allowed_callers: Iterable[str] = (),
    native: Mapping[str, str] = _NOWHERE,
    abandon: bool = False,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function into a tool, as ``@tool`` or ``@tool(...)``.

    The schema comes from the signature, the descriptions from the docstring. An async function runs in the
    run's own nursery. A plain one runs in a worker thread, where ``trio.from_thread.check_cancelled()`` tells
    it to stop; one that never looks is waited for.

    Args:
        name: what the model calls it; the function's name.
        description: what the model reads; the docstring without its parameters.
        concurrent: False makes it a barrier among the calls of a turn.
        max_result_chars: characters of text that reach the model.
        timeout: seconds of one execution; None for the run's ``tool_timeout``.
        strict: ask the vendor to enforce the schema.
        allowed_callers: who may call it, in the vendor's words.
        native: what it is called as a tool of a vendor's own, by the vendor.
        abandon: leave a thread behind when the call is cancelled, instead of waiting for it; the call's
            record then says that it may still run.

    Raises:
        ToolDefinitionError: the signature is nothing that a model can call.
    """

    def decorate(function: Callable[..., Any]) -> Tool:
        called = name or str(getattr(function, "__name__", type(function).__name__))
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise ToolDefinitionError(
                f"the tool {called} is a generator, and a tool answers once; return the whole answer and "
                "tell of the way there by ToolContext.progress"
            )
        signature = read_signature(function, context_type=ToolContext)

        async def execute(given: dict[str, Any], context: ToolContext) -> object:
            prepared = made.prepare(given)
            async with prepared.admitted():
                return await prepared.run(context)

        made = _FunctionTool(
            name=called,
            description=signature.description if description is None else description,
            input_schema=signature.schema,
            execute=execute,
            concurrent=concurrent,
            max_result_chars=max_result_chars,
            timeout=timeout,
            strict=strict,
            allowed_callers=allowed_callers,
            native=native,
            fn=function,
            signature=signature,
            abandon=abandon,
        )
        return made

    return decorate if function is None else decorate(function)


def server_tool(name: str, **options: Any) -> ServerTool:
    """A tool that the vendor runs on its own side, like ``server_tool("web_search", max_uses=3)``."""
    return ServerTool(name, options)
