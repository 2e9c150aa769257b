"""Whether a tool, or what is told to one, can work at all; pure. Found when it is made, not when it is called."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from typing import Any

from alloy_trio.values import ConfigurationError, ToolDefinitionError

from ._plain import NotPlain, plain
from ._problems import shown

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What every vendor accepts as a tool's name."""


def check_paths(paths: object) -> None:
    """Refuse one path where several are meant: the letters of ``"/tmp/x"`` name, among others, the whole disk.

    Raises:
        ConfigurationError: says how to write one path.
    """
    if isinstance(paths, str | bytes | os.PathLike):
        raise ConfigurationError(
            f"allowed_paths is the single path {os.fspath(paths)!r}, and has to be several; write a tuple: "
            f"allowed_paths=({os.fspath(paths)!r},)"
        )


def check_names(names: object) -> None:
    """Refuse a str where several are meant.

    Raises:
        ToolDefinitionError: says how to write one name.
    """
    if isinstance(names, str | bytes):
        raise ToolDefinitionError(
            f"allowed_callers is {names!r}, and has to be several names; write a tuple: ({names!r},)"
        )


def check_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the schema of an input, which is an object; what its maker does to it later changes no tool.

    Raises:
        ToolDefinitionError: it is the schema of something else, or none, or not JSON.
    """
    if not isinstance(schema, Mapping):
        raise ToolDefinitionError(
            f"the input schema of a tool is {type(schema).__name__}; write a dict like "
            '{"type": "object", "properties": {…}}'
        )
    if schema.get("type") != "object":
        raise ToolDefinitionError(
            f'the input schema of a tool is {shown(schema)} that does not say "type": "object", and '
            'the input of a tool is one; write {"type": "object", "properties": {…}}'
        )
    try:
        copied: dict[str, Any] = plain(schema)
    except NotPlain as exc:
        raise ToolDefinitionError(
            f"the input schema of a tool is not JSON: {exc}; write what JSON can hold"
        ) from None
    return copied


def check_tool(
    name: object,
    description: object,
    execute: object,
    *,
    flags: Mapping[str, object],
    max_result_chars: object,
    timeout: object,
) -> None:
    """Check the rest of a tool.

    Raises:
        ToolDefinitionError: a name, function or number that cannot work.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ToolDefinitionError(
            f"{name!r} cannot be a tool's name; use 1 to 64 letters, digits, _ and - (name=…)"
        )
    if not isinstance(description, str):
        raise ToolDefinitionError(
            f"the description of the tool {name} is {type(description).__name__}; write a str, for the model to read"
        )
    for flag, value in flags.items():
        if not isinstance(value, bool):
            raise ToolDefinitionError(f"the tool {name} has {flag}={value!r}; write True or False")
    if not isinstance(max_result_chars, int) or isinstance(max_result_chars, bool):
        raise ToolDefinitionError(
            f"the tool {name} has max_result_chars={max_result_chars!r}; write a whole number"
        )
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float)):
        raise ToolDefinitionError(f"the tool {name} has timeout={timeout!r}; write seconds, or None")
    if max_result_chars <= 0 or (timeout is not None and not timeout > 0):
        raise ToolDefinitionError(
            f"the tool {name} has max_result_chars={max_result_chars}, timeout={timeout}; "
            "both have to be more than 0"
        )
    if not callable(execute):
        raise ToolDefinitionError(
            f"the tool {name} has {type(execute).__name__} as execute; write an async function of (input, context)"
        )
    if inspect.isfunction(execute) and not inspect.iscoroutinefunction(execute):
        raise ToolDefinitionError(
            f"the tool {name} has a plain function as execute; write async def, or use @tool, which "
            "runs plain functions in threads"
        )
