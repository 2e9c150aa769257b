"""The many names of one model: dates, versions, regions, vendors and variants around what it is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

FREE = ":free"
"""OpenRouter's mark of a model that costs nothing."""

_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
_PATH = re.compile(r"^.*(?:^models/|/models/|^arn:.*/)")  # models/… of Gemini and Vertex, Bedrock's ARNs
_VARIANT = re.compile(r":(?:free|nitro|floor|online|exacto)$")  # OpenRouter's ways to route to the same model
_REGION = re.compile(r"^(?:us|us-gov|eu|apac|au|ca|jp|sa|me|global)\.(?=[a-z0-9]+\.)")
_VERSION = re.compile(r"-v\d+(?::\d+(?::\d+k)?)?$")
_DATED = re.compile(r"(?:[-@]20\d{6}|-20\d\d-\d\d-\d\d|[-@]latest|@default)$")


def _dashed(name: str) -> str:
    return _COMPACT_DATE.sub(r"-\1-\2-\3", name)


_STEPS: tuple[Callable[[str], str], ...] = (
    lambda name: _PATH.sub("", name),
    lambda name: _VARIANT.sub("", name),
    lambda name: _REGION.sub("", name),
    lambda name: _VERSION.sub("", name),
    lambda name: _DATED.sub("", name),
)


def names_of(model: str) -> Iterator[str]:
    """A model's name in small letters, then what it is without what stands around it, most exact first.

    What is exact has to be asked for first: a snapshot may have another price than its model has now.
    """
    name = model.strip().lower()
    yield name
    if (dashed := _dashed(name)) != name:
        yield dashed
    for step in _STEPS:
        plainer = step(name)
        if plainer and plainer != name:
            name = plainer
            yield name
            if (dashed := _dashed(name)) != name:
                yield dashed
