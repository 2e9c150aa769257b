"""What a question asks of the demo model: a handful of rules about English, no more."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import attrs

Kind: TypeAlias = Literal["look_up", "count", "list", "search", "run", "write", "replace", "unclear"]


@attrs.frozen(kw_only=True)
class Wish:
    """A question that was understood, or not.

    Args:
        kind: what is to be done.
        files: the files or directories that it is about, as they were written.
        keys: what is asked about them; empty for their whole content.
        words: the pattern, command or texts.
        given: text that came with the question, after a blank line.
    """

    kind: Kind
    files: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    given: str = ""


_QUOTED = r"\"[^\"]+\"|'[^']+'|`[^`]+`"
_FILE = rf"(?:{_QUOTED}|[^\s,;\"'`]+)"
_PLEASE = r"^\s*(?:(?:please|now|then|could you|can you|would you)\s+)*"
_IN_FILE = rf"(?:in|of|under|at|from|to|into)\s+(?:the\s+|my\s+)?(?:file\s+|directory\s+|folder\s+)?({_FILE})"

_RUN = re.compile(rf"{_PLEASE}(?:run|execute)\s+(?:the\s+)?(?:command\s+)?(.+?)\s*$", re.I | re.S)
_LS = re.compile(rf"{_PLEASE}(?:ls|dir)(?:\s+(-\w+))?(?:\s+({_FILE}))?\s*[.?!]*$", re.I)
_LIST = re.compile(
    rf"{_PLEASE}(?:list|show|which|what|name)\s+(?:me\s+)?(?:are\s+)?(?:all\s+)?(?:of\s+)?(?:the\s+)?"
    rf"(?:files?|directory|folder|entries)\b(?:(?!\band\b).)*?(?:\b{_IN_FILE})?\s*[.?!]*$",
    re.I,
)
_SEARCH = re.compile(
    rf"{_PLEASE}(?:(?:grep|search)(?:\s+for)?|(?:find|look\s+for)(?=\s+[\"'`]))\s+"
    rf"({_QUOTED}|.+?)\s+(?:in\s+)?(?:the\s+)?(?:file\s+)?({_FILE})\s*[.?!]*$",
    re.I,
)
_SEARCH_IN = re.compile(
    rf"{_PLEASE}(?:search\s+({_FILE})\s+for|which\s+lines\s+(?:of|in)\s+({_FILE})\s+(?:contain|have|mention))\s+"
    rf"({_QUOTED}|.+?)\s*[.?!]*$",
    re.I,
)
_WRITE = re.compile(rf"{_PLEASE}(?:write|put|save)\s+({_QUOTED}|.+?)\s+{_IN_FILE}\s*[.?!]*$", re.I | re.S)
_REPLACE = re.compile(
    rf"{_PLEASE}(?:replace|change)\s+({_FILE})\s+(?:with|by|to)\s+({_FILE})\s+{_IN_FILE}\s*[.?!]*$", re.I
)
_COUNT = re.compile(
    r"\bhow\s+many\s+(lines|words|characters)\b"
    r"|\b(?:count|number\s+of)\s+(?:the\s+)?(lines|words|characters)",
    re.I,
)

_TOKEN = re.compile(rf"{_QUOTED}|,|&|[^\s,]+")
_ARTICLES = frozenset(
    ("the", "my", "this", "our", "your", "file", "files", "both", "a", "an", "me", "contents", "content")
)
_READS = frozenset(
    (
        "read",
        "open",
        "load",
        "parse",
        "cat",
        "check",
        "view",
        "use",
        "show",
        "print",
        "summarise",
        "summarize",
    )
)
_PLACES = frozenset(("in", "inside", "within", "from", "at", "of", "into", "file", "files"))
_NAMING = frozenset(("read", "open", "cat", "load", "parse", "file"))
_EXTENSION = re.compile(r"^[\w.+@~-]*\.[A-Za-z]\w{0,9}$")
_BARE_NAMES = re.compile(r"^(?:[A-Z]{5,}|Makefile|Dockerfile|Gemfile|Procfile|Rakefile|\.[A-Za-z][\w.-]+)$")

_ASKING = re.compile(
    r"\b(?:tell\s+(?:me|us)|give\s+(?:me|us)|show\s+me|report|say|return|output|extract|look\s+up|"
    r"what(?:['\u2019]s|\s+is|\s+are|\s+was)?|which|who(?:['\u2019]s|\s+is)?|when\s+is|where\s+is)\s+(.+)$",
    re.I | re.S,
)
_ASKING_FAINTLY = re.compile(
    r"\b(?:and|about|read|print|show|get|find|fetch|answer|know)\s+(.+)$", re.I | re.S
)
_ABOUT_ME = re.compile(r"\b(?:who|what)\s+(?:are|can|do)\s+you\b|\bcan\s+you\s+do\b", re.I)
_LEADING = re.compile(
    r"^(?:(?:the|its|a|an|their|this|that|what|which|value|values|of|current|exact|me|us|is|are|about|also|then|"
    r"tell|give|show|print|report|say|and|please|under|key|called)\s+)+",
    re.I,
)
_TRAILING = re.compile(
    r"(?:\s+(?:please|is|are|was|says?|there|inside|does|do|has|have|declares?|uses?|specify|contains?|defines?|sets?|"
    r"it|in|from|of|to|for|me|at|that|written|found|given|stated|as|and|file|then))+$",
    re.I,
)
_EVERYTHING = re.compile(
    r"^(?:(?:its|the|all|whole)\s+)*(?:contents?|text|it|them|everything|all|summary|files?|says?|what)?$",
    re.I,
)


def understand(prompt: str) -> Wish:
    """Read a question; text after the first blank line is not part of it but what it may be about."""
    question, _, given = prompt.strip().partition("\n\n")
    return _errand(question) or _reading(question, given)


def _errand(question: str) -> Wish | None:
    if match := _LS.match(question):
        return Wish(kind="list", files=(_bare(match[2] or "."),), words=(match[1],) if match[1] else ())
    if match := _LIST.match(question):
        return Wish(kind="list", files=(_bare(match[1] or "."),))
    if match := _SEARCH_IN.match(question):
        return Wish(kind="search", files=(_bare(match[1] or match[2]),), words=(_bare(match[3]),))
    if match := _SEARCH.match(question):
        return Wish(kind="search", files=(_bare(match[2]),), words=(_bare(match[1]),))
    if match := _RUN.match(question):
        return Wish(kind="run", words=(_bare(match[1]),))
    if match := _REPLACE.match(question):
        return Wish(kind="replace", files=(_bare(match[3]),), words=(_bare(match[1]), _bare(match[2])))
    if match := _WRITE.match(question):
        return Wish(kind="write", files=(_bare(match[2]),), words=(_bare(match[1]),))
    return None


def _reading(question: str, given: str) -> Wish:
    tokens = _TOKEN.findall(question)
    positions = _files(tokens)
    files = tuple(dict.fromkeys(_bare(tokens[position]) for position in positions))
    rest = _without(tokens, positions)
    if match := _COUNT.search(question):
        return Wish(kind="count", files=files, words=((match[1] or match[2]).lower(),), given=given)
    sentences = re.split(r"[.?!;:](?:\s+|$)", rest)
    asked = [match[1] for sentence in sentences if (match := _ASKING.search(sentence))]
    if not asked:
        asked = [match[1] for sentence in sentences if (match := _ASKING_FAINTLY.search(sentence))]
    keys = tuple(dict.fromkeys(key for words in asked for key in _keys(words)))
    if not files and (not keys or _ABOUT_ME.search(question)):
        return Wish(kind="unclear", given=given)
    return Wish(kind="look_up", files=files, keys=keys, given=given)


def _files(tokens: list[str]) -> list[int]:
    found: list[int] = []
    for position, token in enumerate(tokens):
        before = _before(tokens, position)
        named = (before in _READS and not found) or before in _PLACES or position == 0
        listed = before in ("and", "or", ",", "&") and bool(found) and not _asks(tokens, found[-1], position)
        if (named or listed) and (_like_a_file(token) or (_is_quoted(token) and named and position > 0)):
            found.append(position)
    return found or _unlikely_files(tokens)


def _unlikely_files(tokens: list[str]) -> list[int]:
    """Names that do not look like a file's, where the sentence says that they are one."""
    words = [token.lower() for token in tokens]
    like = [at for at, token in enumerate(tokens) if _like_a_file(token) and not _is_quoted(token)]
    if like:
        return like[:1]
    for position in range(len(tokens) - 1, 0, -1):
        if words[position].strip(".?!") in _ARTICLES | {"it", "them", "that", "there", "and"}:
            continue
        before = _before(tokens, position)
        last = position == len(tokens) - 1
        if last and before in ("in", "inside", "from", "file"):
            return [position]
        if before in _NAMING and (last or words[position + 1] in ("and", ",", "then")):
            return [position]
    return []


def _before(tokens: list[str], position: int) -> str:
    """The word before a token, articles left out; ``file`` counts as a place."""
    while position > 0:
        position -= 1
        word = tokens[position].lower().strip(".?!:;")
        if word in ("file", "files"):
            return word
        if word not in _ARTICLES:
            return word
    return ""


def _asks(tokens: list[str], start: int, end: int) -> bool:
    asking = ("tell", "what", "give", "show", "report", "say")
    return any(token.lower() in asking for token in tokens[start:end])


def _like_a_file(token: str) -> bool:
    name = _bare(token)
    if re.match(r"^\w+://", name):
        return False
    return ("/" in name and len(name) > 1) or bool(_EXTENSION.match(name) or _BARE_NAMES.match(name))


def _is_quoted(token: str) -> bool:
    return len(token) > 2 and token[0] in "\"'`" and token[-1] == token[0]


def _bare(token: str) -> str:
    token = token.strip()
    if _is_quoted(token.rstrip(".?!:;,")):
        return token.rstrip(".?!:;,")[1:-1]
    return token if token in (".", "..") else token.rstrip("?!:;,").removesuffix(".") or token


def _without(tokens: list[str], positions: list[int]) -> str:
    """The question without its files and the words that lead to them."""
    left = list(tokens)
    for position in positions:
        ending = left[position][-1] if left[position][-1] in ".?!:;" else ""
        left[position] = ending
        before = position - 1
        while before >= 0 and left[before].lower() in _ARTICLES | _PLACES | {""}:
            left[before] = ""
            before -= 1
    words = " ".join(word for word in left if word)
    return re.sub(r"\s+([.?!:;,])", r"\1", words)


def _keys(words: str) -> list[str]:
    found = []
    for part in re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+|\s*&\s*|\s+or\s+|\s+as\s+well\s+as\s+", f" {words}"):
        key = _LEADING.sub("", f"{part.strip()} ").strip()
        key = _TRAILING.sub("", f" {key}").strip().strip("\"'`.?!:;,")
        key = re.sub(r"['\u2019]s\s+", " ", key)
        if key and not _EVERYTHING.match(key) and key.lower() not in _READS:
            found.append(key)
    return found
