"""The many names of a model lead to it, and what the user knows better completes what is known."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio import ConfigurationError, ModelInfo, Prices
from alloy_trio.models import check_overrides, model_info
from alloy_trio.models._names import names_of


def input_price(provider: str, model: str) -> Decimal | None:
    info = model_info(provider, model)
    return info.prices[0].input if info is not None and info.prices else None


@pytest.mark.parametrize(
    ("provider", "name", "plain"),
    [
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("anthropic", "Claude-Sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("anthropic", "anthropic/claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("anthropic", "claude-haiku-4-5-latest", "claude-haiku-4-5"),
        ("openai", "gpt-4.1-2025-04-14", "gpt-4.1"),
        ("openai", "gpt-4.1-20250414", "gpt-4.1"),
        ("openai", "gpt-5.4-2027-01-31", "gpt-5.4"),
        ("openai", "gpt-5.4-latest", "gpt-5.4"),
        ("openai", "openai/gpt-5.4", "gpt-5.4"),
        ("azure", "gpt-4o-2024-08-06", "gpt-4o"),
        ("gemini", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("google", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("xai", "x-ai/grok-4.3", "grok-4.3"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        ("bedrock", "eu.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("openrouter", "anthropic/claude-sonnet-4.6:nitro", "anthropic/claude-sonnet-4.6"),
        ("openrouter", "anthropic/claude-sonnet-4.6:floor", "anthropic/claude-sonnet-4.6"),
    ],
)  # fmt: skip
def test_a_name_with_something_around_it_is_the_same_model(provider: str, name: str, plain: str) -> None:
    info = model_info(provider, name)
    assert info is not None and info.prices
    assert info == model_info(provider, plain)


def test_a_snapshot_that_has_a_price_of_its_own_keeps_it() -> None:
    assert input_price("openai", "gpt-4o-2024-05-13") == 500
    assert input_price("openai", "gpt-4o-2024-11-20") == input_price("openai", "gpt-4o") == 250


def test_a_region_may_have_prices_of_its_own() -> None:
    everywhere, here = (f"{region}.anthropic.claude-sonnet-4-5-20250929-v1:0" for region in ("global", "us"))
    assert (input_price("bedrock", everywhere), input_price("bedrock", here)) == (300, 330)


def test_a_free_variant_costs_nothing_and_has_the_limits_of_its_model() -> None:
    for name in ("google/gemma-3-12b-it:free", "deepseek/deepseek-r1:free"):
        info = model_info("openrouter", name)
        assert info is not None and info.context_window
        assert [(one.input, one.output) for one in info.prices] == [(0, 0)]


def test_a_gateway_that_does_not_list_a_model_asks_what_its_vendor_asks() -> None:
    assert model_info("openrouter", "anthropic/claude-sonnet-4-6") == model_info(
        "anthropic", "claude-sonnet-4-6"
    )


def test_a_host_of_ones_own_has_no_prices_whatever_its_models_are_called() -> None:
    assert model_info("openai-compatible", "gpt-5.4") is None
    assert model_info("vllm", "anthropic/claude-sonnet-4-6") is None
    assert model_info("groq", "anthropic/claude-sonnet-4-6") is None
    assert model_info("demo", "demo") is None


def test_azure_offers_the_models_of_others_at_their_prices() -> None:
    assert model_info("azure", "gpt-5.4") == model_info("openai", "gpt-5.4")


@given(st.text(max_size=40), st.text(max_size=60))
def test_any_two_texts_can_be_looked_up(provider: str, model: str) -> None:
    info = model_info(provider, model)
    assert info is None or isinstance(info, ModelInfo)


@given(st.text(max_size=60))
def test_names_get_shorter_and_never_repeat(model: str) -> None:
    names = list(names_of(model))
    assert names[0] == model.strip().lower()
    assert len(set(names)) == len(names)
    assert len(names) < 20


# What the user knows better.


def test_a_number_is_the_context_window_and_leaves_the_prices_as_they_are() -> None:
    known = model_info("anthropic", "claude-sonnet-4-6")
    info = model_info("anthropic", "claude-sonnet-4-6", {"claude-sonnet-4-6": 900_000})
    assert known is not None and info is not None
    assert info.context_window == 900_000 and info.prices == known.prices


def test_prices_of_ones_own_leave_the_window_as_it_is() -> None:
    mine = ModelInfo(prices=Prices(input=1, output=2))
    known = model_info("anthropic", "claude-sonnet-4-6")
    info = model_info("anthropic", "claude-sonnet-4-6", {"claude-sonnet-4-6": mine})
    assert known is not None and info is not None
    assert info.context_window == known.context_window and info.prices == mine.prices


def test_an_override_makes_an_unknown_model_known() -> None:
    assert model_info("vllm", "mine", {"mine": 8192}) == ModelInfo(context_window=8192)


@pytest.mark.parametrize(
    "answered",
    ["mine", "MINE", "mine-20260101", "mine-2026-01-01", "mine@20260101", "mine-latest", "us.acme.mine-v1:0"],
)
def test_an_override_counts_for_dated_and_regional_names_too(answered: str) -> None:
    overrides = {"mine": 8192, "acme.mine": 8192}
    assert model_info("vllm", answered, overrides) == ModelInfo(context_window=8192)


def test_an_override_of_a_dated_name_counts_for_that_date_only() -> None:
    overrides = {"mine-20260101": 1, "mine": 2}
    windows = [
        info.context_window
        for name in ("mine-20260101", "mine-20260202", "mine")
        if (info := model_info("vllm", name, overrides))
    ]
    assert windows == [1, 2, 2]


def test_suffix_patterns_match_the_whole_rest_of_a_name() -> None:
    overrides = {"mine": ModelInfo(context_window=8192, suffix_patterns=(r"-r\d+", "-fast"))}
    found = [
        name
        for name in (
            "mine",
            "mine-r1",
            "mine-R22",
            "mine-fast",
            "mine-fast-r1",
            "mine-faster",
            "mi",
            "not-mine-fast",
        )
        if model_info("vllm", name, overrides)
    ]
    assert found == ["mine", "mine-r1", "mine-R22", "mine-fast"]


def test_of_two_overrides_by_suffix_the_longer_name_counts() -> None:
    overrides = {
        "mine": ModelInfo(context_window=1, suffix_patterns=(".*",)),
        "mine-big": ModelInfo(context_window=2, suffix_patterns=(".*",)),
    }
    big, small = model_info("v", "mine-big-7", overrides), model_info("v", "mine-small", overrides)
    assert big is not None and big.context_window == 2
    assert small is not None and small.context_window == 1


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([("m", 1)], "model_metadata_overrides got list; write {'model': 900_000}"),
        (
            {"m": 0},
            "model_metadata_overrides['m'] is 0; write its context window as a whole number of tokens",
        ),
        ({"m": True}, "model_metadata_overrides['m'] is True;"),
        ({"m": "900k"}, "or ModelInfo(context_window=…)"),
        ({"m": {"context_window": 5}}, "or ModelInfo(context_window=…)"),
        ({5: 5}, "has the key 5; write the model's name"),
        ({" ": 5}, "has the key ' '; write the model's name"),
    ],
)
def test_an_override_that_cannot_be_says_which_and_what_to_write(given: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_overrides(given)
    assert text in str(caught.value)
