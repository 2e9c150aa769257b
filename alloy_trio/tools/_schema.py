"""A function's signature and docstring as the input of a tool; pure.

:func:`read_signature` gives the JSON Schema that a model sees, and :meth:`Signature.bind`, which turns a
model's input into the arguments of the call or lists all that is wrong with it.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from alloy_trio.values import ToolDefinitionError

from ._docstrings import parse_docstring
from ._jsonschema import compile_schema
from ._plain import NotPlain, plain
from ._problems import Problem, Validator
from ._types import Shape, Shapes


@attrs.frozen
class Signature:
    """What a function takes from a model.

    Args:
        description: the docstring, without what it says of the parameters.
        schema: JSON Schema of the input.
        context_name: the parameter that takes the ToolContext, if any.
    """

    description: str
    schema: dict[str, Any]
    context_name: str | None
    _shapes: dict[str, Shape]
    _validator: Validator

    def bind(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        """Turn a model's input into keyword arguments.

        Returns:
            The arguments, new objects all through, and everything that is wrong; one of the two is empty
            unless the function takes nothing.
        """
        problems = list(self._validator(given))
        if problems:
            return {}, tuple(problems)
        arguments = {name: self._shapes[name](value, (name,), problems) for name, value in given.items()}
        return ({}, tuple(problems)) if problems else (arguments, ())


def read_signature(function: Callable[..., Any], *, context_type: type) -> Signature:
    """Read how a function wants to be called.

    Args:
        function: what is to become a tool; its annotations may be strings.
        context_type: a parameter of this type is not the model's to give.

    Raises:
        ToolDefinitionError: a parameter that a model cannot give by name as JSON.
    """
    name = getattr(function, "__name__", None) or type(function).__name__
    hints = _resolved_hints(function, name)
    description, words = parse_docstring(inspect.getdoc(function))
    shapes = Shapes()
    properties: dict[str, Any] = {}
    parts: dict[str, Shape] = {}
    required: list[str] = []
    contexts: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        where = f"the tool {name}: parameter {parameter.name!r}"
        hint = hints.get(parameter.name, parameter.annotation)
        if _mentions(hint, context_type):
            contexts.append(parameter.name)
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                continue
        _refuse_unnameable(parameter, where)
        shape = shapes.shape(hint, where)
        schema = dict(shape.schema)
        if parameter.name in words and "description" not in schema and words[parameter.name]:
            schema["description"] = words[parameter.name]
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        else:
            schema.update(_default(parameter.default, schema, shapes))
        properties[parameter.name] = schema
        parts[parameter.name] = shape
    if len(contexts) > 1:
        raise ToolDefinitionError(
            f"the tool {name} takes the ToolContext twice ({', '.join(contexts)}); one parameter is enough"
        )
    whole: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    document = shapes.document(whole)
    return Signature(
        description, document, contexts[0] if contexts else None, parts, compile_schema(document)
    )


def _resolved_hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    target: Any = function
    while hasattr(target, "func"):  # functools.partial
        target = target.func
    if not inspect.isroutine(target) and not isinstance(target, type):
        target = type(target).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except NameError as exc:
        raise ToolDefinitionError(
            f"the tool {name}: an annotation names a type that cannot be found ({exc}); define or import it "
            f"in {getattr(target, '__module__', 'its module')}, outside of functions and of TYPE_CHECKING"
        ) from exc


def _mentions(hint: Any, context_type: type) -> bool:
    """Whether the hint is the context, alone or in ``ToolContext | None``."""
    if hint is context_type:
        return True
    members = [member for member in typing.get_args(hint) if member is not type(None)]
    return len(members) == 1 and members[0] is context_type


def _refuse_unnameable(parameter: inspect.Parameter, where: str) -> None:
    if parameter.kind is parameter.VAR_POSITIONAL:
        seen, instead = f"is *{parameter.name}", f"write {parameter.name}: list[str]"
    elif parameter.kind is parameter.VAR_KEYWORD:
        seen, instead = (
            f"is **{parameter.name}",
            f"name every argument, or write {parameter.name}: dict[str, str]",
        )
    elif parameter.kind is parameter.POSITIONAL_ONLY:
        seen, instead = "is positional-only", "remove the / from the signature"
    elif parameter.annotation is parameter.empty and parameter.name in ("self", "cls"):
        seen, instead = "belongs to a method", "make the tool from the bound method: tool(thing.method)"
    elif parameter.annotation is parameter.empty:
        seen, instead = "has no annotation", f"write {parameter.name}: str, or what it is"
    else:
        return
    raise ToolDefinitionError(f"{where} {seen}, so a model cannot be told how to give it by name; {instead}")


def _default(default: object, schema: dict[str, Any], shapes: Shapes) -> dict[str, Any]:
    """The default as the schema tells it; left out where JSON cannot say it or the type does not allow it."""
    try:
        value = plain(default)
    except NotPlain:
        return {}
    return {} if compile_schema(shapes.document(schema))(value) else {"default": value}
