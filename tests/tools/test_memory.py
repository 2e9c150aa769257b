"""The memory tool: its commands, on every store alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio.abc import MemoryStore
from alloy_trio.tools import (
    DirectoryStore,
    InMemoryStore,
    Tool,
    ToolContext,
    ToolError,
    ToolRound,
    _memory,
    memory,
    memory_tool,
)
from alloy_trio.tools._memory_paths import MAX_NAMES, clash, human, inside
from alloy_trio.values import CompletionRequest, ConfigurationError, Message, ToolUse, from_json, to_json
from alloy_trio.wire import (
    AnthropicCodec,
    BedrockCodec,
    ChatCodec,
    Codec,
    GeminiCodec,
    OllamaCodec,
    ResponsesCodec,
    WireSettings,
)


class Agent:
    def __init__(self, id: str) -> None:
        self.id = id


Memory = Callable[..., Any]


def caller(tool: Tool, context: ToolContext | None = None) -> Memory:
    context = context or ToolContext()

    async def call(command: str, path: str | None = None, **given: Any) -> str:
        if path is not None:
            given["path"] = path
        prepared = tool.prepare({"command": command, **given})
        text = await prepared.run(context)
        assert isinstance(text, str)
        return text

    return call


@pytest.fixture(params=["built in", "in memory", "directory"])
def remember(request: pytest.FixtureRequest, tmp_path: Path) -> Memory:
    if request.param == "built in":
        return caller(memory)
    store = InMemoryStore() if request.param == "in memory" else DirectoryStore(tmp_path / "memories")
    return caller(memory_tool(store=store))


# ---- commands


async def test_an_empty_memory_can_be_looked_at(remember: Memory) -> None:
    assert (await remember("view", "/memories")).splitlines()[1:] == ["0\t/memories"]
    assert (await remember("view", "/memories/")).splitlines()[1:] == ["0\t/memories"]


async def test_files_are_created_and_shown_with_line_numbers(remember: Memory) -> None:
    assert (
        await remember("create", "/memories/notes.md", file_text="one\ntwo\n")
        == "Created /memories/notes.md."
    )
    assert await remember("view", "/memories/notes.md") == (
        "/memories/notes.md, with line numbers:\n     1\tone\n     2\ttwo"
    )
    with pytest.raises(ToolError, match="there is a file with this path already; change it by str_replace"):
        await remember("create", "/memories/notes.md", file_text="other")
    await remember("create", "/memories/empty.md", file_text="")
    assert (await remember("view", "/memories/empty.md")).endswith("(the file is empty)")


@pytest.mark.parametrize(
    ("lines", "shown"),
    [([1, 2], "12"), ([2, -1], "2345"), ([5, 5], "5"), ([4, 99], "45"), (None, "12345")],
)
async def test_a_part_of_a_file_is_shown(remember: Memory, lines: list[int] | None, shown: str) -> None:
    await remember("create", "/memories/a", file_text="1\n2\n3\n4\n5\n")
    text = await remember("view", "/memories/a", view_range=lines)
    assert re.findall(r"^ {5}(\d)\t\1$", text, re.MULTILINE) == list(shown)


@pytest.mark.parametrize("lines", [[0, 2], [1], [1, 2, 3], [3, 2], [1, -2], [], [6, 7]])
async def test_a_range_that_is_none_is_refused(remember: Memory, lines: list[int]) -> None:
    await remember("create", "/memories/a", file_text="1\n2\n3\n4\n5\n")
    with pytest.raises(ToolError, match=r"view_range is|there is no line 6; the file has 5 lines"):
        await remember("view", "/memories/a", view_range=lines)


async def test_a_directory_is_shown_two_levels_deep_with_sizes(remember: Memory) -> None:
    await remember("create", "/memories/a/b/c/deep.md", file_text="x" * 1500)
    await remember("create", "/memories/a/near.md", file_text="y" * 24)
    await remember("create", "/memories/top.md", file_text="z")
    assert (await remember("view", "/memories")).splitlines()[1:] == [
        "1.5K\t/memories",
        "1.5K\t/memories/a/",
        "1.5K\t/memories/a/b/",
        "24\t/memories/a/near.md",
        "1\t/memories/top.md",
    ]
    assert (await remember("view", "/memories/a/b")).splitlines()[1:] == [
        "1.5K\t/memories/a/b",
        "1.5K\t/memories/a/b/c/",
        "1.5K\t/memories/a/b/c/deep.md",
    ]


async def test_text_is_replaced_where_it_stands_just_once(remember: Memory) -> None:
    await remember("create", "/memories/a", file_text="one\ntwo\nthree\ntwo\n")
    answer = await remember("str_replace", "/memories/a", old_str="three\ntwo", new_str="3")
    assert answer.endswith("     1\tone\n     2\ttwo\n     3\t3")
    with pytest.raises(ToolError, match="old_str is not in /memories/a"):
        await remember("str_replace", "/memories/a", old_str="three", new_str="x")
    await remember("str_replace", "/memories/a", old_str="3", new_str="two")
    with pytest.raises(ToolError, match=r"there 2 times, in lines 2, 3; give more"):
        await remember("str_replace", "/memories/a", old_str="two", new_str="x")
    with pytest.raises(ToolError, match="old_str is empty"):
        await remember("str_replace", "/memories/a", old_str="", new_str="x")
    await remember("str_replace", "/memories/a", old_str="one\n")
    assert (await remember("view", "/memories/a")).endswith("line numbers:\n     1\ttwo\n     2\ttwo")


async def test_text_is_inserted_after_a_line(remember: Memory) -> None:
    await remember("create", "/memories/a", file_text="b\n")
    await remember("insert", "/memories/a", insert_line=0, insert_text="a\n")
    answer = await remember("insert", "/memories/a", insert_line=2, insert_text="c\nd")
    assert answer.endswith("     1\ta\n     2\tb\n     3\tc\n     4\td")
    with pytest.raises(
        ToolError, match=r"insert_line is 5, and /memories/a has the lines 1 to 4; 0 is before"
    ):
        await remember("insert", "/memories/a", insert_line=5, insert_text="e")
    with pytest.raises(ToolError, match="insert_line is -1"):
        await remember("insert", "/memories/a", insert_line=-1, insert_text="e")


async def test_files_and_directories_are_deleted(remember: Memory) -> None:
    for path in ("/memories/d/a", "/memories/d/e/b", "/memories/c"):
        await remember("create", path, file_text="x")
    assert await remember("delete", "/memories/c") == "Deleted /memories/c."
    assert await remember("delete", "/memories/d") == "Deleted /memories/d with 2 files in it."
    assert (await remember("view", "/memories")).splitlines()[1:] == ["0\t/memories"]
    with pytest.raises(ToolError, match="/memories/d is not there"):
        await remember("delete", "/memories/d")
    with pytest.raises(ToolError, match="/memories itself cannot be deleted"):
        await remember("delete", "/memories")


async def test_files_and_directories_are_moved(remember: Memory) -> None:
    await remember("create", "/memories/d/a", file_text="A")
    await remember("create", "/memories/d/e/b", file_text="B")
    await remember("rename", old_path="/memories/d", new_path="/memories/x/y")
    assert (await remember("view", "/memories/x/y/e/b")).endswith("\tB")
    await remember("rename", old_path="/memories/x/y/a", new_path="/memories/a")
    assert (await remember("view", "/memories")).splitlines()[1:] == [
        "2\t/memories",
        "1\t/memories/a",
        "1\t/memories/x/",
        "1\t/memories/x/y/",
    ]
    for old, new, why in [
        ("/memories/gone", "/memories/b", "is not there"),
        ("/memories/a", "/memories/x/y/e/b", "there is a file with this path already"),
        ("/memories/a", "/memories/x", "there is a directory with this path already"),
        ("/memories/x", "/memories/x/y/z", "the same place, or inside of it"),
        ("/memories/a", "/memories/a", "the same place, or inside of it"),
        ("/memories/x", "/memories/a/b", "/memories/a is a file, and so no directory"),
        ("/memories", "/memories/b", "/memories itself cannot be renamed"),
        ("/memories/a", "/memories", "/memories itself cannot be replaced"),
    ]:
        with pytest.raises(ToolError, match=why):
            await remember("rename", old_path=old, new_path=new)


async def test_a_rename_may_change_nothing_but_the_case(remember: Memory) -> None:
    await remember("create", "/memories/readme", file_text="x")
    await remember("rename", old_path="/memories/readme", new_path="/memories/README")
    assert (await remember("view", "/memories")).splitlines()[2:] == ["1\t/memories/README"]


async def test_a_directory_is_not_moved_to_where_its_files_would_lie_too_deep(remember: Memory) -> None:
    deep = "/".join("d" * (MAX_NAMES - 2))
    await remember("create", f"/memories/a/{deep}/f", file_text="x")
    with pytest.raises(ToolError, match="put it less deep"):
        await remember("rename", old_path="/memories/a", new_path="/memories/b/c")
    assert (await remember("view", f"/memories/a/{deep}/f")).endswith("\tx")


@pytest.mark.parametrize(
    ("given_input", "missing"),
    [
        ({"command": "view"}, "view needs path"),
        ({"command": "create", "path": "/memories/a"}, "create needs file_text"),
        ({"command": "str_replace", "path": "/memories/a", "new_str": "x"}, "str_replace needs old_str"),
        ({"command": "insert", "path": "/memories/a"}, "insert needs insert_line and insert_text"),
        ({"command": "rename", "path": "/memories/a"}, "rename needs old_path and new_path"),
        ({"command": "clear"}, 'expected one of "view", "create"'),
        ({"command": "view", "path": "/memories", "view_range": "1"}, "view_range"),
    ],
)
async def test_a_command_says_what_it_lacks(given_input: dict[str, Any], missing: str) -> None:
    with pytest.raises(ToolError, match=missing):
        await memory.prepare(given_input).run(ToolContext())


# ---- paths


HOSTILE = [
    "", "/", "memories", "notes.md", "./memories/a", "/Memories/a", "/memoriesx/a", "/memories2", "/memories\0/a",
    "/memories/../../etc/passwd", "/memories/..", "/memories/.", "/memories/a/../../b", "/memories//etc/passwd",
    "/memories/a//b", "/memories/./a", "/memories/.lock", "/memories/.git/config", "/memories/a/.hidden",
    "/memories/a\0b", "/memories/a\nb", "/memories/a\x1b[2J", "/memories/\u202etxt", "/memories/\ud800",
    "/memories/\uff0e\uff0e/a", "/memories/a\uff0fb", "/memories/..\\..\\x", "/memories/C:\\x", "/memories/a:b",
    "/memories/%00/\x7f", "/memories/a\u2028b", "/memories/a\u00a0b", "/memories/ a", "/memories/a ", "/memories/a.",
    "/memories/" + "a" * 201, "/memories/" + "\u00e9" * 101, "/memories" + "/a" * 11, "/memories/" + "a/" * 5_000,
    "/memories/e\u0301", "/memories/\ufb01le", "~/memories/a", "file:///memories/a", "/proc/self/root/memories/a",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: ascii(path[:30]))
async def test_a_path_that_could_lead_elsewhere_is_refused(remember: Memory, path: str) -> None:
    await remember("create", "/memories/there", file_text="x")
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("view", {"path": path}),
        ("create", {"path": path, "file_text": "x"}),
        ("str_replace", {"path": path, "old_str": "x", "new_str": "y"}),
        ("insert", {"path": path, "insert_line": 0, "insert_text": "y"}),
        ("delete", {"path": path}),
        ("rename", {"old_path": path, "new_path": "/memories/b"}),
        ("rename", {"old_path": "/memories/there", "new_path": path}),
    ]
    for command, given_input in attempts:
        with pytest.raises(ToolError) as caught:
            await remember(command, **given_input)
        assert str(caught.value).isprintable(), "nor does the answer carry control characters on"
        assert len(str(caught.value)) < 400
    assert (await remember("view", "/memories")).splitlines()[2:] == ["1\t/memories/there"]


@pytest.mark.parametrize(
    "path", ["a b", "a-b_c.d", "заметки.md", "日本語/メモ.txt", "naïve", "a/b/c/d/e/f/g/h/i/j"]
)
async def test_a_path_as_people_write_them_is_accepted(remember: Memory, path: str) -> None:
    await remember("create", f"/memories/{path}", file_text=path)
    assert (await remember("view", f"/memories/{path}")).endswith(f"\t{path}")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/memories/a/b", "/memories/a is a file, and so no directory"),
        ("/memories/d", "it is a directory, with /memories/d/f in it"),
        ("/memories/A", "there is /memories/a, which some systems cannot tell from it"),
        ("/memories/D/g", "there is /memories/d, which some systems cannot tell from it"),
        ("/memories/d/", "is a directory; name a file"),
        ("/memories", "is a directory; name a file"),
    ],
)
async def test_a_file_that_some_system_could_not_hold_beside_the_others_is_refused(
    remember: Memory, path: str, why: str
) -> None:
    await remember("create", "/memories/a", file_text="x")
    await remember("create", "/memories/d/f", file_text="x")
    with pytest.raises(ToolError, match=why):
        await remember("create", path, file_text="y")


async def test_an_edit_of_what_is_not_there_names_what_is_like_it(remember: Memory) -> None:
    await remember("create", "/memories/notes.md", file_text="x")
    await remember("create", "/memories/d/f", file_text="x")
    with pytest.raises(ToolError, match=r"did you mean /memories/notes\.md\?"):
        await remember("insert", "/memories/note.md", insert_line=0, insert_text="y")
    with pytest.raises(ToolError, match="/memories/d is a directory; name a file in it"):
        await remember("str_replace", "/memories/d", old_str="x", new_str="y")
    with pytest.raises(ToolError, match="view /memories to see what is there"):
        await remember("view", "/memories/something-else-entirely")


@given(st.text(st.characters(), max_size=30))
def test_a_path_is_kept_as_it_is_or_refused(tail: str) -> None:
    path = f"/memories/{tail}"
    try:
        place = inside(path)
    except ToolError as exc:
        words = str(exc)
    else:
        assert place == tail.removesuffix("/")
        assert not any(name in ("..", ".") for name in place.split("/"))
        assert not place or clash(place, [place]) is not None
        return
    assert words.isprintable()


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0"), (1023, "1023"), (1024, "1.0K"), (1_048_575, "1024.0K"), (5 << 20, "5.0M")]
)
def test_sizes_are_short(size: int, shown: str) -> None:
    assert human(size) == shown


# ---- limits


async def test_files_have_a_size_a_number_and_a_sum(
    remember: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_memory, "MAX_FILE_BYTES", 10)
    monkeypatch.setattr(_memory, "MAX_FILES", 3)
    monkeypatch.setattr(_memory, "MAX_TOTAL_BYTES", 15)
    with pytest.raises(ToolError, match="would have 11 bytes, and a file may have 10; divide it"):
        await remember("create", "/memories/a", file_text="é" * 5 + "x")
    await remember("create", "/memories/a", file_text="x" * 10)
    with pytest.raises(ToolError, match="would have 20 bytes"):
        await remember("str_replace", "/memories/a", old_str="x" * 10, new_str="y" * 20)
    with pytest.raises(ToolError, match="would have 13 bytes"):
        await remember("insert", "/memories/a", insert_line=1, insert_text="y")
    with pytest.raises(ToolError, match="all files would have 16 bytes, and may have 15; delete some first"):
        await remember("create", "/memories/b", file_text="x" * 6)
    await remember("create", "/memories/b", file_text="x")
    await remember("create", "/memories/c", file_text="x")
    with pytest.raises(ToolError, match="there are 3 files, and may be 3"):
        await remember("create", "/memories/d", file_text="x")
    await remember("str_replace", "/memories/b", old_str="x", new_str="y")


async def test_text_that_no_file_can_hold_is_refused(remember: Memory) -> None:
    with pytest.raises(ToolError, match="file_text: character 1 is half a surrogate pair"):
        await remember("create", "/memories/a", file_text="x\ud800")
    with pytest.raises(ToolError, match="character 1 of the text is half of a surrogate pair"):
        await memory("create", ToolContext(), "/memories/a", "x\ud800")


# ---- whose it is


async def test_the_built_in_memory_lasts_as_long_as_its_agent_and_is_plain_json() -> None:
    context = ToolContext()
    await caller(memory, context)("create", "/memories/a", file_text="é")
    assert (await caller(memory, context)("view", "/memories/a")).endswith("\té")
    with pytest.raises(ToolError, match="is not there"):
        await caller(memory, ToolContext())("view", "/memories/a")
    restored = ToolContext(state=from_json(to_json(context.state), dict[str, Any]))
    assert (await caller(memory, restored)("view", "/memories/a")).endswith("\té")


async def test_each_agent_has_files_of_its_own_in_a_store_and_a_scope_shares_them(tmp_path: Path) -> None:
    for store in (InMemoryStore(), DirectoryStore(tmp_path)):
        one = caller(memory_tool(store=store), ToolContext(agent=Agent("one")))
        again = caller(memory_tool(store=store), ToolContext(agent=Agent("one")))
        other = caller(memory_tool(store=store), ToolContext(agent=Agent("../one")))
        nobody = caller(memory_tool(store=store))
        await one("create", "/memories/a", file_text="x")
        assert (await again("view", "/memories/a")).endswith("\tx")
        for stranger in (other, nobody):
            with pytest.raises(ToolError, match="is not there"):
                await stranger("view", "/memories/a")
        await nobody("create", "/memories/b", file_text="y")
        shared = caller(memory_tool(store=store, scope="default"), ToolContext(agent=Agent("one")))
        assert (await shared("view", "/memories/b")).endswith("\ty")


@pytest.mark.parametrize("options", [{"store": {}}, {"store": InMemoryStore}, {"scope": ""}, {"scope": 3}])
def test_a_store_or_scope_that_is_none_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="give a"):
        memory_tool(**options)


def test_it_is_the_vendors_own_tool_where_the_vendor_has_one() -> None:
    assert memory.spec.native == {"anthropic": "memory_20250818"}
    assert memory.spec.name == "memory"
    assert from_json(to_json(memory.spec), type(memory.spec)) == memory.spec


@pytest.mark.parametrize(
    "codec",
    [AnthropicCodec, BedrockCodec, ChatCodec, GeminiCodec, OllamaCodec, ResponsesCodec],
    ids=lambda codec: codec.__name__,
)
def test_every_other_makers_model_is_sent_the_tool_with_its_schema(codec: type[Codec]) -> None:
    """Also one behind Anthropic's wire: ``Anthropic(model="kimi-k2", base_url=…)``."""
    request = CompletionRequest([Message.user("hi")], tools=[memory.spec])
    settings = WireSettings(provider="host", model="m")
    body = codec().encode(request, settings, stream=True).body.decode()
    assert "memory_20250818" not in body
    for word in ("str_replace", "insert_line", "view_range", "Keep text files under /memories"):
        assert word in body


def test_the_schema_takes_every_command_of_the_vendors_reference() -> None:
    pytest.importorskip("anthropic", reason="the vendor's client is not installed")
    import typing

    from anthropic.types import beta

    commands = typing.get_args(typing.get_args(beta.BetaMemoryTool20250818Command)[0])
    properties = memory.input_schema["properties"]
    samples: dict[Any, Any] = {str: "/memories/a", int: 1}
    names = set()
    for each in commands:
        fields = {name: field.annotation for name, field in each.model_fields.items()}
        (name,) = typing.get_args(fields.pop("command"))
        names.add(name)
        assert set(fields) <= set(properties), name
        given_input = {field: samples.get(kind, [1, 2]) for field, kind in fields.items()}
        memory.prepare({"command": name, **given_input})
    assert names == set(properties["command"]["enum"])


# ---- several at once


class Yielding(MemoryStore):
    """Lets others go first between what it is asked and what it does."""

    def __init__(self, inner: MemoryStore) -> None:
        self.inner = inner

    async def list(self, scope: str) -> Any:
        return await self._then(self.inner.list(scope))

    async def read(self, scope: str, path: str) -> str | None:
        found: str | None = await self._then(self.inner.read(scope, path))
        return found

    async def write(self, scope: str, path: str, text: str, *, expected: str | None) -> bool:
        return bool(await self._then(self.inner.write(scope, path, text, expected=expected)))

    async def delete(self, scope: str, path: str) -> bool:
        return bool(await self._then(self.inner.delete(scope, path)))

    async def rename(self, scope: str, old: str, new: str) -> bool:
        return bool(await self._then(self.inner.rename(scope, old, new)))

    async def _then(self, work: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return await work


async def test_no_edit_of_agents_that_share_a_memory_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_memory, "ATTEMPTS", 1_000)
    for inner in (InMemoryStore(), DirectoryStore(tmp_path)):
        tools = [memory_tool(store=Yielding(inner), scope="s") for _ in range(5)]
        await caller(tools[0])("create", "/memories/a", file_text="")
        async with trio.open_nursery() as nursery:
            for number, tool in enumerate(tools):

                async def work(tool: Tool = tool, number: int = number) -> None:
                    for turn in range(5):
                        await caller(tool)(
                            "insert", "/memories/a", insert_line=0, insert_text=f"{number}.{turn}"
                        )

                nursery.start_soon(work)
        lines = re.findall(r"\d\.\d", await caller(tools[0])("view", "/memories/a"))
        assert sorted(lines) == [f"{number}.{turn}" for number in range(5) for turn in range(5)]


async def test_one_that_is_overtaken_every_time_gives_up_and_says_so() -> None:
    class Restless(InMemoryStore):
        async def read(self, scope: str, path: str) -> str | None:
            text = await super().read(scope, path)
            self.scopes[scope][path] += "!"
            return text

    remember = caller(memory_tool(store=Restless({"default": {"a": "x"}})))
    with pytest.raises(ToolError, match="is being changed by somebody else all the time"):
        await remember("str_replace", "/memories/a", old_str="x", new_str="y")


async def test_of_two_that_create_the_same_file_one_is_told(tmp_path: Path) -> None:
    for inner in (InMemoryStore(), DirectoryStore(tmp_path)):
        refused = []

        async def create(tool: Tool, refused: list[str]) -> None:
            try:
                await caller(tool)("create", "/memories/a", file_text="x")
            except ToolError as exc:
                refused.append(str(exc))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(create, memory_tool(store=Yielding(inner)), refused)
        assert len(refused) == 3


async def test_the_calls_of_one_turn_run_one_after_another() -> None:
    calls = [
        ToolUse("1", "memory", {"command": "create", "path": "/memories/a", "file_text": "x"}),
        ToolUse(
            "2", "memory", {"command": "str_replace", "path": "/memories/a", "old_str": "x", "new_str": "y"}
        ),
        ToolUse("3", "memory", {"command": "view", "path": "/memories/a"}),
    ]
    round_ = ToolRound(calls, {"memory": memory}, context=ToolContext(), emit=lambda name, payload: 1)
    results = await round_.run()
    assert [each.is_error for each in results] == [False] * 3
    assert str(results[2].content).endswith("\ty")


# ---- any sequence of commands gives the same on every store


paths = st.sampled_from(
    ["/memories/a", "/memories/d", "/memories/d/b", "/memories/d/e/c", "/memories/D/x", "/memories"]
)
texts = st.sampled_from(["", "x", "x\n", "x\ny\n", "y\r\nx", "é\u2028"])
commands = st.lists(
    st.one_of(
        st.fixed_dictionaries({"command": st.just("view"), "path": paths}),
        st.fixed_dictionaries({"command": st.just("create"), "path": paths, "file_text": texts}),
        st.fixed_dictionaries(
            {"command": st.just("str_replace"), "path": paths, "old_str": texts, "new_str": texts}
        ),
        st.fixed_dictionaries(
            {
                "command": st.just("insert"),
                "path": paths,
                "insert_line": st.integers(-1, 3),
                "insert_text": texts,
            }
        ),
        st.fixed_dictionaries({"command": st.just("delete"), "path": paths}),
        st.fixed_dictionaries({"command": st.just("rename"), "old_path": paths, "new_path": paths}),
    ),
    max_size=12,
)


@settings(max_examples=150)
@given(commands)
def test_every_store_answers_the_same(steps: list[dict[str, Any]]) -> None:
    import tempfile

    async def answers(tool: Tool) -> list[str]:
        said = []
        for step in steps:
            try:
                said.append(str(await tool.prepare(step).run(context)))
            except ToolError as exc:
                said.append(f"error: {exc}")
        return said

    with tempfile.TemporaryDirectory() as directory:
        context = ToolContext()
        expected = trio.run(answers, memory)
        assert trio.run(answers, memory_tool(store=InMemoryStore())) == expected
        assert trio.run(answers, memory_tool(store=DirectoryStore(directory))) == expected
