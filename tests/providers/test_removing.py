"""Credentials do not get into a recording, and what is none stays as it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio.abc import Provider
from alloy_trio.providers import Anthropic, OpenAICompatible, Retry, Scripted, Streamed, record, replay
from alloy_trio.providers._around import with_inner
from alloy_trio.providers._removing import REMOVED, Remover, environment_secrets, provider_secrets
from alloy_trio.values import (
    Block,
    Completion,
    CompletionRequest,
    Delta,
    Document,
    Image,
    Message,
    Opaque,
    Overloaded,
    ServerTool,
    ServerToolResult,
    ServerToolUse,
    Text,
    TextDelta,
    Thinking,
    ToolInputDelta,
    ToolResult,
    ToolSpec,
    ToolUse,
    to_json,
)

from ..values.test_convert import ANY_BLOCK, PUBLIC  # noqa: TID252 - what JSON can hold is recorded

KEY = "Zebra_crossing-7 'quoted\" \\ and % so on"
"""A secret that JSON and addresses have to escape."""

LOOKS_LIKE_KEYS = [
    "sk-ant-api03-abcdefghijklmnopqrstuvwxyz",
    "sk-proj-AbCdEf0123456789AbCdEf",
    "sk_live_0123456789abcdef",
    "xai-0123456789abcdefghij",
    "gsk_0123456789abcdefghijAB",
    "hf_AbCdEfGhIjKlMnOpQrStUvWxYz0123",
    "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    "github_pat_11ABCDEFG0123456789_abcdefg",
    "AIzaSyA0123456789abcdefghijklmnopqrstu",
    "ya29.a0AfH6SMBxyz-0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "ABSKQmVkcm9ja0FQSUtleS0123456789==",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4",
]
IN_CONTEXT = [
    ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer [removed]"),
    ("curl -H 'x-api-key: 0123456789abcdef' x", "curl -H 'x-api-key: [removed]' x"),
    ('{"authorization": "Basic dXNlcjpwYXNzMTIz"}', '{"authorization": "Basic [removed]"}'),
    ("Cookie: session=0123456789abcdef; b=1", "Cookie: [removed]; b=1"),
    ("https://x.example/v1?key=abcdefghij&a=1", "https://x.example/v1?key=[removed]&a=1"),
    ("https://x.example/v1?a=1&access_token=abcdefghij", "https://x.example/v1?a=1&access_token=[removed]"),
    ("?X-Amz-Signature=0123456789abcdef", "?X-Amz-Signature=[removed]"),
]
NO_KEYS = [
    "key_function(sorted_items) and primary_key_column_name_2",
    "the task-force-of-nineteen-people, disk-usage-by-directory1",
    "call_0123456789abcdefghijABCDEFGH toolu_01A09q90qw90lq917835lq9 msg_013Zva2CMHLNnjNjJKqJ2EF",
    "Authorization: Bearer YOUR_API_KEY, x-api-key: $ANTHROPIC_API_KEY",
    'headers = {"Authorization": f"Bearer {key}"}',
    "https://x.example/?key=$KEY&token=<token>&sig={sig}",
    "a cookie: chocolate, and the bearer of good news",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sk-learn, hf_hub, gh_actions, xai-models, fw_version",
]


@pytest.mark.parametrize("key", LOOKS_LIKE_KEYS)
def test_what_has_the_form_of_a_key_is_removed(key: str) -> None:
    assert Remover(()).text(f"it is {key}, and no more") == f"it is {REMOVED}, and no more"


@pytest.mark.parametrize(("text", "left"), IN_CONTEXT)
def test_what_stands_where_a_key_does_is_removed(text: str, left: str) -> None:
    assert Remover(()).text(text) == left


@pytest.mark.parametrize("text", NO_KEYS)
def test_what_is_no_key_stays(text: str) -> None:
    assert Remover(()).text(text) == text


FRAGMENTS = st.sampled_from(
    [
        *LOOKS_LIKE_KEYS,
        *(text for text, _ in IN_CONTEXT),
        *NO_KEYS,
        *(KEY, REMOVED, "Bearer ", "basic ", "authorization: ", "key=", "?", ": ", "\n", "x1"),
    ]
)


@given(st.lists(FRAGMENTS | st.text(max_size=5), max_size=8).map("".join))
def test_removing_twice_is_removing_once(text: str) -> None:
    """So that the request of a replayed run, which has holes already, has the same key."""
    remover = Remover([KEY])
    assert remover.text(remover.text(text)) == remover.text(text)


@settings(max_examples=30)
@given(PUBLIC[CompletionRequest])
def test_a_value_without_keys_is_the_same_object(request: CompletionRequest) -> None:
    assert Remover(["Zebra_crossing-7"]).value(request) is request


def words(key: str) -> str:
    return f"before {key} after"


def holding(key: str, in_address: str) -> Iterable[Block]:
    """Blocks with a key wherever a text may stand."""
    yield Text(words(key), [{"cited": words(key)}], extra={"more": [words(key)]})
    yield Thinking(words(key), words(key), words(key), extra={words(key): 1})
    yield ToolUse(words(key), words(key), {words(key): [{"a": words(key)}]}, extra={"a": words(key)})
    yield ToolUse("1", "t", {}, f'{{"a": "{words(key)}')
    yield ToolResult("1", words(key))
    yield ToolResult("1", [Text(words(key)), Document("text/plain", words(key).encode())])
    yield ServerToolUse("1", "t", {"a": words(key)}, extra={"a": words(key)})
    yield ServerToolResult("1", [{"a": words(key)}])
    yield Image("image/png", b"\x00\xff" + words(key).encode())
    yield Document("text/plain", url=f"https://x.example/{in_address}", title=words(key))
    yield Opaque("v", {"a": words(key)})


def test_a_known_key_is_removed_wherever_it_stands() -> None:
    request = CompletionRequest(
        [Message.user(holding(KEY, quote(KEY)))],
        tools=[ToolSpec("t", words(KEY), {"description": words(KEY)})],
        server_tools=[ServerTool("s", {"a": words(KEY)})],
        system=words(KEY),
        output_schema={"title": words(KEY)},
    )
    kept = Remover([KEY]).value(request)
    assert all(left.encode() not in everything(kept) for left in ("Zebra", quote(KEY, safe=""), "so on"))
    # Nothing but the key is gone.
    assert to_json(kept) == to_json(request_with(REMOVED))


def request_with(key: str) -> CompletionRequest:
    return CompletionRequest(
        [Message.user(holding(key, key))],
        tools=[ToolSpec("t", words(key), {"description": words(key)})],
        server_tools=[ServerTool("s", {"a": words(key)})],
        system=words(key),
        output_schema={"title": words(key)},
    )


def everything(request: CompletionRequest) -> bytes:
    held = [getattr(block, "data", None) or b"" for block in request.messages[0].content]
    inner = [part.data or b"" for block in request.messages[0].content if isinstance(block, ToolResult)
             for part in block.content if isinstance(part, Document)]  # fmt: skip
    return to_json(request).encode() + b"".join((*held, *inner))


def test_a_text_that_is_attached_as_bytes_is_looked_through() -> None:
    held = Document("text/plain", f"a {LOOKS_LIKE_KEYS[0]} b".encode())
    assert Remover(()).value(held).data == b"a [removed] b"
    picture = Image("image/png", f"a {LOOKS_LIKE_KEYS[0]} b".encode())
    assert Remover(()).value(picture) is picture


@settings(max_examples=30)
@given(ANY_BLOCK)
def test_what_a_vendor_wrote_for_itself_is_not_guessed_at(block: Block) -> None:
    """A signature that looks like a key is one all the same."""
    key = LOOKS_LIKE_KEYS[0]
    for one in (
        Thinking("", key),
        Thinking("", redacted=key),
        Text("", extra={"id": key}),
        Opaque("v", {"a": key}),
    ):
        assert Remover(()).value(one) is one
    assert Remover(()).value(block) == block


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("ANTHROPIC_API_KEY", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("AWS_SESSION_TOKEN", True),
        ("AWS_BEARER_TOKEN_BEDROCK", True),
        ("GITHUB_TOKEN", True),
        ("DB_PASSWORD", True),
        ("KEY", True),
        ("TOKENIZERS_PARALLELISM", False),
        ("SSL_KEY_FILE", False),
        ("GNOME_KEYRING_CONTROL", False),
        ("MONKEY", False),
        ("HOME", False),
    ],
)
def test_variables_that_hold_secrets_are_known_by_their_names(name: str, is_secret: bool) -> None:
    assert list(environment_secrets({name: " the value \n"})) == (["the value"] if is_secret else [])


def test_short_values_are_no_secrets() -> None:
    assert Remover(["EMPTY", "", "1234567"]).text("EMPTY 1234567") == "EMPTY 1234567"


def test_what_providers_were_given_is_known_also_inside_of_others() -> None:
    headers = {"Authorization": "Bearer given-by-hand", "x-title": "my own title"}
    inner = Anthropic("m", api_key="key-by-hand", headers=headers)
    assert set(provider_secrets(with_inner(Retry(inner)))) >= {"key-by-hand", "given-by-hand"}
    assert "title" not in " ".join(provider_secrets([inner]))
    assert list(provider_secrets([Scripted([])])) == []


class Sink:
    def __init__(self) -> None:
        self.text = ""

    async def send(self, delta: Delta) -> None:
        await self.send_all((delta,))

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        await trio.lowlevel.checkpoint()
        self.text += "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def in_file(file: Path) -> str:
    return file.read_text()


async def test_a_planted_key_is_never_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the request, nor in the answer, its pieces, or an error, nor divided among pieces."""
    monkeypatch.setenv("SOME_VENDORS_API_KEY", KEY)
    asked = CompletionRequest([Message.user(words(KEY))], system=words(LOOKS_LIKE_KEYS[1]))
    again = CompletionRequest([Message.user([ToolResult("1", words(KEY))])])
    half = len(LOOKS_LIKE_KEYS[2]) // 2
    cut = [
        "It is ",
        *(LOOKS_LIKE_KEYS[2][:half], LOOKS_LIKE_KEYS[2][half:]),
        *(
            ToolInputDelta("1", "t", part)
            for part in ('{"a":"Zebra_crossing', '-7 \'quoted\\" \\\\ and % so on"}')
        ),
    ]
    turns = [Streamed(cut), Overloaded(words(KEY)), f"{words(KEY)} {words(LOOKS_LIKE_KEYS[3])}"]
    file = tmp_path / "run.jsonl"
    async with record(Scripted(turns), file) as provider:
        answer = await provider.stream(asked, Sink())
        with pytest.raises(Overloaded):
            await provider.stream(again, Sink())
        await provider.complete(again)
    assert answer.message.tool_uses[0].input == {"a": KEY}
    written = in_file(file)
    for part in (
        "Zebra",
        "crossing",
        "so on",
        *LOOKS_LIKE_KEYS[1:4],
        LOOKS_LIKE_KEYS[2][:half],
        LOOKS_LIKE_KEYS[2][half:],
    ):
        assert part not in written
    # Where the key is not set, the answers are found all the same: the run got them with holes, and asks with these.
    monkeypatch.delenv("SOME_VENDORS_API_KEY")
    sink = Sink()
    holed = CompletionRequest([Message.user(words(REMOVED))], system=asked.system)
    async with replay(file) as player:
        removed = await player.stream(holed, sink)
    assert sink.text == removed.message.text
    assert removed.message.text == f"It is {REMOVED}"
    assert removed.message.tool_uses[0].input == {"a": REMOVED}


async def test_a_key_given_by_hand_is_not_in_the_file(tmp_path: Path) -> None:
    """It is read from a file by a tool, say."""

    class Echo(OpenAICompatible):
        async def complete(self, request: CompletionRequest) -> Completion:
            return Completion(Message.assistant(request.messages[-1].text), "end_turn")

    provider: Provider = Echo("m", base_url="http://127.0.0.1:9/v1", api_key="a-word-by-hand")
    file = tmp_path / "run.jsonl"
    async with record(provider, file) as recorder:
        await recorder.complete(CompletionRequest([Message.user("it is a-word-by-hand")]))
    assert "a-word" not in in_file(file)
