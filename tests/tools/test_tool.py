"""Tools: made of functions or at run time, and still usable as what they were made of."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import alloy_trio.tools
from alloy_trio.tools import ServerTool, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, server_tool, tool
from alloy_trio.values import ConfigurationError, ToolDefinitionError

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


async def execute(given: dict[str, Any], context: ToolContext) -> str:
    return f"{given['city']} in {context.working_directory}"


@tool
async def weather(city: str, context: ToolContext | None = None) -> str:
    """Report the weather.

    Args:
        city: the city's name
    """
    return f"{city}: {context is not None}"


@tool(
    name="sum_up",
    description="Add.",
    concurrent=False,
    max_result_chars=10,
    timeout=5,
    strict=True,
    allowed_callers=["x"],
)
def add(a: int, b: int = 1) -> int:
    return a + b


async def test_a_decorated_function_is_still_called_as_itself() -> None:
    assert await weather("Lima") == "Lima: False"
    assert await weather.fn("Lima") == "Lima: False"  # type: ignore[misc]
    assert add(1, b=2) == 3


async def test_its_execute_takes_what_a_model_gives() -> None:
    assert await weather.execute({"city": "Lima"}, ToolContext()) == "Lima: True"
    assert await add.execute({"a": 1.0}, ToolContext()) == 2
    with pytest.raises(ToolError, match="city: missing"):
        await weather.execute({}, ToolContext())


def test_the_spec_is_what_the_model_sees() -> None:
    assert weather.spec.name == "weather"
    assert weather.spec.description == "Report the weather."
    assert set(weather.spec.input_schema["properties"]) == {"city"}
    assert add.spec == ToolSpec("sum_up", "Add.", add.input_schema, True, ("x",))
    assert (add.concurrent, add.max_result_chars, add.timeout) == (False, 10, 5)


async def test_a_tool_made_at_run_time_checks_its_input_by_the_schema() -> None:
    made = Tool("weather", "Report.", SCHEMA, execute)
    prepared = made.prepare({"city": "Lima"})
    assert await prepared.run(ToolContext(working_directory=Path("/w"))) == "Lima in /w"
    with pytest.raises(ToolError, match=r"did not run:\n- city: expected a string, got 3"):
        made.prepare({"city": 3})
    with pytest.raises(TypeError, match="not made of a function"):
        made("Lima")


async def test_a_tool_gets_a_copy_of_its_input() -> None:
    async def spoil(given: dict[str, Any], context: ToolContext) -> None:
        given["city"].append("x")

    @tool
    async def spoiler(city: Any) -> None:
        city.append("x")

    schema = {"type": "object"}
    for each in (Tool("spoil", "", schema, spoil), spoiler):
        given = {"city": ["Lima"]}
        await each.prepare(given).run(ToolContext())
        assert given == {"city": ["Lima"]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "two words"}, "cannot be a tool's name"),
        ({"name": ""}, "cannot be a tool's name"),
        ({"name": "x" * 65}, "cannot be a tool's name"),
        ({"input_schema": {"type": "string"}}, "the input of a tool is one"),
        ({"input_schema": {"type": "object", "properties": 3}}, "schema is wrong at #/properties"),
        ({"max_result_chars": 0}, "more than 0"),
        ({"timeout": 0}, "more than 0"),
        ({"timeout": math.nan}, "more than 0"),
        ({"execute": lambda given, context: ""}, "write async def"),
        ({"execute": "execute"}, "write an async function"),
        ({"name": 3}, "cannot be a tool's name"),
        ({"description": None}, "write a str"),
        ({"input_schema": "object"}, "write a dict"),
        ({"max_result_chars": 1.5}, "a whole number"),
        ({"max_result_chars": True}, "a whole number"),
        ({"timeout": "10"}, "write seconds, or None"),
        ({"concurrent": "no"}, "write True or False"),
        ({"strict": 1}, "write True or False"),
        ({"allowed_callers": "direct"}, "write a tuple"),
    ],
)
def test_what_cannot_work_is_refused_when_the_tool_is_made(arguments: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"name": "t", "description": "", "input_schema": SCHEMA, "execute": execute}
    with pytest.raises(ToolDefinitionError, match=words):
        Tool(**{**good, **arguments})


def test_generators_and_nameless_functions_are_no_tools() -> None:
    def generate(a: int) -> Any:
        yield a

    async def generate_async(a: int) -> Any:
        yield a

    for each in (generate, generate_async):
        with pytest.raises(ToolDefinitionError, match="a generator, and a tool answers once"):
            tool(each)
    with pytest.raises(ToolDefinitionError, match="'<lambda>' cannot be a tool's name"):
        tool(lambda: "")


def test_an_object_with_an_async_call_is_an_async_tool() -> None:
    class Answer:
        async def __call__(self, a: int) -> int:
            return a

    assert tool(name="answer")(Answer()).prepare({"a": 1}).slot is None


def test_a_server_tool_is_the_vendors() -> None:
    assert server_tool("web_search", max_uses=3) == ServerTool("web_search", {"max_uses": 3})


def test_the_context_of_a_directory_is_resolved(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "sub").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(real)
    context = ToolContext.at(link)
    assert (context.working_directory, context.allowed_paths) == (real, (real,))
    assert ToolContext.at(link, ()).allowed_paths == ()
    assert ToolContext.at(link, ["sub", tmp_path]).allowed_paths == (real / "sub", tmp_path)
    with pytest.raises(ConfigurationError, match="not a directory"):
        ToolContext.at(tmp_path / "missing")


def test_our_own_directory_may_have_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigurationError, match=r"working_directory is '\.', which is not a directory"):
        ToolContext.at()
    assert ToolContext.at(tmp_path).working_directory == tmp_path


@pytest.mark.parametrize("one", ["/tmp/x", b"/tmp/x", Path("/tmp/x")])
def test_one_path_where_several_are_meant_is_refused(one: Any, tmp_path: Path) -> None:
    """A str is a sequence of its letters, and one of these is the root of the disk."""
    with pytest.raises(ConfigurationError, match=r"write a tuple: allowed_paths=\(b?'/tmp/x',\)"):
        ToolContext.at(tmp_path, one)
    with pytest.raises(ConfigurationError, match="write a tuple"):
        ToolContext(allowed_paths=one)


async def test_progress_that_nobody_reads_is_a_checkpoint() -> None:
    with trio.testing.assert_checkpoints():
        await ToolContext().progress("hello")


def test_the_state_of_tools_is_not_shown() -> None:
    assert "canary" not in repr(ToolContext(state={"a": "canary"}))


def test_an_output_holds_its_blocks_as_a_tuple() -> None:
    assert ToolOutput("a", blocks=[]).blocks == ()


def test_importing_the_package_does_not_load_the_built_in_tools() -> None:
    code = (
        "import sys, alloy_trio.tools\n"
        "late = ('_bash', '_files', '_scratchpad', '_git', '_processes')\n"
        "print([name for name in sys.modules if name.startswith('alloy_trio.') and name.endswith(late)])"
    )
    root = Path(alloy_trio.tools.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_facade_lists_what_loads_late_and_refuses_the_rest() -> None:
    assert {"read", "write", "edit", "bash", "bash_tool", "scratchpad"} <= set(dir(alloy_trio.tools))
    assert isinstance(alloy_trio.tools.read, Tool)
    with pytest.raises(AttributeError, match="no attribute 'rm'"):
        _ = alloy_trio.tools.rm


@pytest.mark.parametrize(
    "extra",
    [
        {"default": float("nan")},
        {"default": b"x"},
        {"default": object()},
        {"enum": [10**5_000]},
        {"description": "\ud800"},
        {1j: "x"},
    ],
    ids=["nan", "bytes", "object", "digits", "surrogate", "key"],
)
def test_a_schema_that_no_json_can_hold_is_refused_when_the_tool_is_made(extra: dict[Any, Any]) -> None:
    async def execute(given: dict[str, Any], context: ToolContext) -> str:
        return ""

    schema = {"type": "object", "properties": {"a": extra}}
    with pytest.raises(ToolDefinitionError, match=r"the input schema of a tool is not JSON: .*properties\.a"):
        Tool("t", "T.", schema, execute)


def test_what_is_done_to_a_schema_later_changes_no_tool() -> None:
    async def execute(given: dict[str, Any], context: ToolContext) -> str:
        return ""

    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    made = Tool("t", "T.", schema, execute)
    schema["properties"]["a"]["type"] = "integer"
    assert made.spec.input_schema["properties"] == {"a": {"type": "string"}}
