"""A supervisor drawn in lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ._running import Owner

if TYPE_CHECKING:
    from ._engine import Engine


def drawn(engine: Engine) -> str:
    """The supervisor and everything below it, one line each."""
    return "\n".join([_title(engine), *_lines_below(engine)])


def _title(engine: Engine) -> str:
    return f"{engine.name} ({engine.rules.strategy})"


def _lines_below(engine: Engine) -> Iterator[str]:
    children = list(engine.policy.children.values())
    for place, child in enumerate(children, 1):
        branch, trunk = ("├─ ", "│  ") if place < len(children) else ("└─ ", "   ")
        record = engine.records.get(child.spec.name)
        below = (
            list(_nested(record.latest.nested)) if record is not None and record.latest is not None else []
        )
        # A child that is nothing but a supervisor is one line; others have those that they opened below them.
        alone = below[0] if child.spec.kind == "supervisor" and len(below) == 1 else None
        line = f"{child.spec.name if alone is None else _title(alone)}: {engine.policy.status(child)}"
        if child.restarts:
            line += f", restarted {child.restarts} time{'s' * (child.restarts > 1)}"
        yield branch + line
        if alone is not None:
            yield from (trunk + line for line in _lines_below(alone))
            continue
        for nested in below:
            yield f"{trunk}└─ {_title(nested)}"
            yield from (f"{trunk}   {line}" for line in _lines_below(nested))


def _nested(owners: list[Owner]) -> Iterator[Engine]:
    from ._engine import Engine

    for owner in owners:
        if isinstance(owner, Engine):
            yield owner
