"""How the documentation is built. Nitpicky, and ``nox -s docs`` makes every warning fatal."""

from __future__ import annotations

import importlib
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes

from alloy_trio.tools import Tool

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

FACADES = (
    "alloy_trio",
    "alloy_trio.abc",
    "alloy_trio.providers",
    "alloy_trio.supervision",
    "alloy_trio.testing",
    "alloy_trio.tools",
    "alloy_trio.wire",
)

project = "alloy_trio"
author = "The alloy_trio developers"
project_copyright = "2026, The alloy_trio developers"
release = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"][
    "version"
]
version = release

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "newsfragments"]
html_theme = "furo"
html_title = f"alloy_trio {release}"
default_role = "literal"

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 90
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Cancellation", "Ordering", "Backpressure"]

# A build must not need the network, so other projects' inventories are not fetched: their names, and those of
# the standard library, stay unlinked. Names of alloy_trio have to lead somewhere.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(alloy_trio\..*\.)?Ts?"),  # type variables
    (
        r"py:.*",
        r"(attrs?|collections|contextlib|decimal|datetime|httpx|hypothesis|logging|os|pathlib|pytest|ssl|trio|types|typing)\..*",
    ),
    (
        r"py:.*",
        r"(Any|BaseException|Decimal|Exception|None|Path|bool|bytes|dict|float|int|list|object|str|tuple|type)",
    ),
]


@cache
def public_names() -> dict[str, str]:
    """From where an object is defined, and from its bare name, to the name that its façade exports."""
    names: dict[str, str] = {}
    for facade in reversed(FACADES):
        module = importlib.import_module(facade)
        for name in module.__all__:
            thing = getattr(module, name)
            names[name] = names[f"{getattr(thing, '__module__', facade)}.{name}"] = f"{facade}.{name}"
    return names


def resolve_by_facade(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contents: nodes.TextElement
) -> nodes.reference | None:
    """Lead a reference to a private module's name, or to a bare one, to the entry of its façade."""
    if node.get("refdomain") != "py":
        return None
    target = public_names().get(node["reftarget"])
    if target is None:
        return None
    domain = env.domains.python_domain
    found: Any = domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contents)
    return found  # type: ignore[no-any-return]


def is_private(cls: type) -> bool:
    """Whether readers of the documentation have no page of a class."""
    return cls.__module__.startswith("alloy_trio") and cls.__name__ not in public_names()


def show_public_bases(app: Sphinx, name: str, obj: object, options: object, bases: list[type]) -> None:
    """Leave out the bases that are private, and ABC, which says nothing."""
    bases[:] = [base for base in bases if not is_private(base) and base.__name__ != "ABC"] or [object]


def describe_tool(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Show of a built-in tool what the model is shown."""
    if isinstance(obj, Tool):
        lines[:] = [*obj.description.splitlines(), ""]
        for parameter, schema in obj.input_schema["properties"].items():
            lines.append(f":param {parameter}: {schema.get('description', '')}")


def setup(app: Sphinx) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("missing-reference", resolve_by_facade)
    app.connect("autodoc-process-bases", show_public_bases)
    app.connect(
        "autodoc-process-docstring", describe_tool, priority=900
    )  # after napoleon, which reads data otherwise
