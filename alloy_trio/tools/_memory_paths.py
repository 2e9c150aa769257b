"""The paths of the memory tool: what a model may write, and how files and directories lie under them; pure.

A path is a name for a text, and not yet one of any file system. So it is held to what every file system, and
every other store, keeps apart: no name that a system reads its own way, and no two names that some system would
take for one. Then a memory moves from store to store, and no path leads out of one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from alloy_trio.values import ToolError

ROOT = "/memories"

MAX_NAMES = 10
"""Names in one path; arbitrary, deeper than anybody sorts notes."""

MAX_NAME_BYTES = 200
"""Of one name: below the 255 of the common file systems, so that a store can add to it."""

_REFUSED = '\\:*?"<>|'
"""Characters with a meaning of their own in the paths of some system."""


def inside(path: str) -> str:
    """A path as a model wrote it, without ``/memories/``; empty for the root itself.

    Raises:
        ToolError: it is not below the root, or not a path that every store can hold.
    """
    if path.rstrip("/") == ROOT:
        return ""
    if not path.startswith(f"{ROOT}/"):
        raise ToolError(f"{_shown(path)} is not below {ROOT}; write a path like {ROOT}/notes.md")
    names = path[len(ROOT) + 1 :].removesuffix("/").split("/")
    if len(names) > MAX_NAMES:
        raise ToolError(f"{_shown(path)} has {len(names)} names, and may have {MAX_NAMES}; put it less deep")
    for name in names:
        why = _wrong(name)
        if why:
            raise ToolError(f"{_shown(path)} cannot be a path of the memory: {why}")
    return "/".join(names)


def _wrong(name: str) -> str:
    if not name:
        return "one of its names is empty"
    if name.startswith("."):
        return f"a name may not begin with a dot, as {_shown(name)} does"
    if name.endswith((" ", ".")) or name.startswith(" "):
        return f"{_shown(name)} ends in a space or a dot, or begins with a space"
    odd = next((each for each in name if each in _REFUSED or not (each == " " or each.isprintable())), None)
    if odd is not None:
        return f"{_shown(name)} holds the character U+{ord(odd):04X}; use letters, digits, spaces, - and _"
    if not unicodedata.is_normalized("NFKC", name):
        normal = unicodedata.normalize("NFKC", name)
        return f"{_shown(name)} holds letters in an unusual form; the usual one is {_shown(normal)}"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"a name of {len(name.encode())} bytes is too long; it may have {MAX_NAME_BYTES}"
    return ""


def outside(path: str) -> str:
    """A path of a store as a model reads it."""
    return f"{ROOT}/{path}" if path else ROOT


def below(path: str, files: Iterable[str]) -> list[str]:
    """The files under a directory, or all; in order."""
    return sorted(each for each in files if not path or each.startswith(f"{path}/"))


def clash(path: str, files: Iterable[str]) -> str | None:
    """Why no new file can have this path beside the others; None if it can."""
    new = path.split("/")
    for each in files:
        old = each.split("/")
        for index, (left, right) in enumerate(zip(new, old, strict=False)):
            if left != right:
                if _folded(left) == _folded(right):
                    return f"there is {outside('/'.join(old[: index + 1]))}, which some systems cannot tell from it"
                break
        else:
            if len(new) == len(old):
                return (
                    "there is a file with this path already; change it by str_replace or insert, or delete it"
                )
            if len(new) > len(old):
                return f"{outside(each)} is a file, and so no directory"
            return f"it is a directory, with {outside(each)} in it"
    return None


def _folded(name: str) -> str:
    # Folding can take a name out of the normal form: U+0390 and U+1FD3 are one letter.
    return unicodedata.normalize("NFC", name.casefold())


def listing(path: str, files: Mapping[str, int]) -> list[tuple[int, str]]:
    """Sizes and paths of a directory and of what lies up to two levels below it; a directory ends in ``/``."""
    inner = below(path, files)
    depth = len(path.split("/")) if path else 0
    sizes: dict[str, int] = {}
    for each in inner:
        names = each.split("/")
        for end in range(depth + 1, min(len(names), depth + 2) + 1):
            key = "/".join(names[:end]) + ("/" if end < len(names) else "")
            sizes[key] = sizes.get(key, 0) + files[each]
    whole = (sum(files[each] for each in inner), outside(path))
    return [whole, *((size, outside(key)) for key, size in sizes.items())]


def human(size: int) -> str:
    """A size in bytes as a listing shows it: ``812``, ``1.5K``, ``3.0M``."""
    if size < 1024:
        return str(size)
    return f"{size / 1024:.1f}K" if size < 1024 * 1024 else f"{size / 1024 / 1024:.1f}M"


def _shown(text: str) -> str:
    return (
        ascii(text if len(text) <= 100 else f"{text[:100]}...")
        if not text.isprintable()
        else repr(text[:100])
    )
