"""Writes the lists of providers in the README and in the documentation from the table that the code has.

``python docs/provider_tables.py`` puts them in order; a test looks whether they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from alloy_trio.providers import PROVIDERS, Preset

ROOT = Path(__file__).parent.parent
BEGIN = ".. providers: from here on written by docs/provider_tables.py\n"
END = ".. providers: up to here\n"


def key_of(preset: Preset) -> str:
    """Which variables hold the key, in words."""
    named = " or ".join(f"``{variable}``" for variable in preset.env_vars)
    return f"none on this machine; for https {named}" if preset.local else named or "none"


def names_of(preset: Preset) -> str:
    """What the command line calls it."""
    others = ", ".join(f"``{alias}``" for alias in preset.aliases)
    return f"``{preset.name}``" + (f" ({others})" if others else "")


def readme_list() -> Iterator[str]:
    """One line for each provider."""
    for preset in PROVIDERS:
        yield f"* ``{preset.factory.__name__}``, {names_of(preset)}: {preset.protocol}; key: {key_of(preset)}"


def table(*heads: str) -> Callable[[Iterator[tuple[str, ...]]], Iterator[str]]:
    """The lines of a list-table."""

    def lines(rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
        yield ".. list-table::"
        yield "   :header-rows: 1"
        yield ""
        for row in (heads, *rows):
            for number, cell in enumerate(row):
                yield f"   {' ' if number else '*'} - {cell}".rstrip()

    return lines


def reference_table() -> Iterator[str]:
    """Class, name, protocol, key and example model."""
    return table("Class", "Name for the command line", "Protocol", "Variable of the key", "Example model")(
        (
            f":class:`{preset.factory.__name__}`",
            names_of(preset),
            preset.protocol,
            key_of(preset),
            f"``{preset.example_model}``" if preset.example_model else "",
        )
        for preset in PROVIDERS
    )


def howto_table() -> Iterator[str]:
    """How each is written in a program and at a shell."""
    return table("In a program", "At a shell")(
        (
            f'``{preset.factory.__name__}(model="{preset.example_model or "…"}"'
            + (', base_url="http://localhost:8000/v1"' if preset.name == "openai-compatible" else "")
            + ")``",
            f"``--model {preset.name}/{preset.example_model or '…'}"
            + (" --base-url http://localhost:8000/v1" if preset.name == "openai-compatible" else "")
            + "``",
        )
        for preset in PROVIDERS
        if preset.name != "demo"
    )


PAGES: dict[Path, Callable[[], Iterator[str]]] = {
    ROOT / "README.rst": readme_list,
    ROOT / "docs" / "reference" / "providers.rst": reference_table,
    ROOT / "docs" / "howto" / "other_hosts.rst": howto_table,
}


def with_list(page: str, lines: Iterator[str]) -> str:
    """The page with what stands between its marks replaced."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no marks between which a list of providers could stand")
    return before + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + after


def main() -> None:
    """Write all pages."""
    for path, lines in PAGES.items():
        path.write_text(with_list(path.read_text(encoding="utf-8"), lines()), encoding="utf-8")


if __name__ == "__main__":
    main()
