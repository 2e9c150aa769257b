"""Docstrings: whichever way they are written, the words come to their parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.tools._docstrings import parse_docstring

GOOGLE = """Report the weather.

    It is the weather of now.

    Args:
        city: the city's name,
            as people write it
        unit (str, optional): degrees

    Returns:
        A sentence.
    """
SPHINX = """Report the weather.

    It is the weather of now.

    :param city: the city's name,
        as people write it
    :param str unit: degrees
    :type unit: str

    Returns:
        A sentence.
    """
NUMPY = """Report the weather.

    It is the weather of now.

    Parameters
    ----------
    city : str
        the city's name,
        as people write it
    unit : str, optional
        degrees

    Returns
    -------
    A sentence.
    """


@pytest.mark.parametrize("docstring", [GOOGLE, SPHINX, NUMPY], ids=["google", "sphinx", "numpy"])
def test_each_way_of_writing_gives_the_same_words(docstring: str) -> None:
    description, words = parse_docstring(docstring)
    assert words == {"city": "the city's name, as people write it", "unit": "degrees"}
    assert description.startswith("Report the weather.\n\nIt is the weather of now.")
    assert "A sentence." in description
    assert "city" not in description


def test_no_docstring_is_an_empty_description() -> None:
    assert parse_docstring(None) == ("", {})


def test_a_colon_in_the_words_belongs_to_the_words() -> None:
    assert parse_docstring("Do.\n\nArgs:\n    mode: one of: a, b\n        note: more")[1] == {
        "mode": "one of: a, b note: more"
    }


names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
sentences = st.text("abc .,(", min_size=1, max_size=30).map(lambda text: " ".join(text.split())).filter(bool)


@given(st.dictionaries(names, sentences, max_size=4), sentences)
def test_what_is_written_as_google_does_is_read_back(words: dict[str, str], summary: str) -> None:
    lines = "".join(f"    {name}: {text}\n" for name, text in words.items())
    description, found = parse_docstring(f"{summary}\n\nArgs:\n{lines}" if words else summary)
    assert (description, found) == (summary, words)


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    description, _ = parse_docstring(text)
    assert isinstance(description, str)
