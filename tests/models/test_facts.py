"""The files of facts: what is in them, and that they are read late and quickly."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

import alloy_trio
from alloy_trio.models import ModelInfo, Prices, model_info
from alloy_trio.models._facts import Facts, has_facts
from alloy_trio.providers import PROVIDERS

FACTS = Path(alloy_trio.__file__).parent / "models" / "facts"
FILES = sorted(FACTS.glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_file_names_its_source_and_day_and_every_row_is_a_model(path: Path) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["source"].startswith("genai-prices ")
    assert date.fromisoformat(data["date"]) <= datetime.now(UTC).date()
    assert all((FACTS / f"{name}.json").is_file() for name in data["fallback"])
    fields = {"id", "match", "context_window", "max_output_tokens", "prices", "capabilities", "deprecated"}
    for row in data["models"]:
        assert row.keys() <= fields, row
        for way in row.get("match", ()):
            assert all(pattern[0] in "=^$*~" for pattern in ([way] if isinstance(way, str) else way)), row
        info = ModelInfo(
            context_window=row.get("context_window"),
            max_output_tokens=row.get("max_output_tokens"),
            prices=[Prices(**prices) for prices in row.get("prices", ())],
        )
        if info.context_window and info.max_output_tokens:
            assert info.max_output_tokens <= info.context_window, row
        # The first list is what counts where none holds, so it has to be one for calls of every size.
        assert not info.prices or info.prices[0].above_tokens is None


def test_the_example_models_of_the_vendors_are_known_with_window_and_price() -> None:
    """All but those whose models are the user's own, on a host or in a deployment of theirs."""
    vendors = {preset.name: preset.example_model for preset in PROVIDERS if preset.example_model}
    known = {
        name: model_info(name, model) for name, model in vendors.items() if name not in ("ollama", "demo")
    }
    assert [name for name, info in known.items() if info is None or not info.prices] == []
    assert [name for name, info in known.items() if info is None or not info.context_window] == []


def test_a_name_of_a_provider_never_becomes_a_path() -> None:
    for name in ("../facts/openai", "openai.json", "/etc/passwd", "openai\0", "", " ", "ｏpenai", "o" * 500):
        assert not has_facts(name)
    assert has_facts("openai") and has_facts("OpenAI ")


def test_the_first_row_that_matches_is_the_one_whatever_matches_it() -> None:
    rows = [
        {"id": "a-pro", "match": ["^a-pro", ["*mini", "$x"]]},
        {"id": "a", "match": ["=a", "~^a-\\d+$", "^a"]},
        {"id": "B"},
        {"id": "late", "match": ["=b", "*late"]},
    ]
    facts = Facts({"source": "s 1", "date": "2026-11-20", "fallback": [], "models": rows})
    expected = {"a": "a", "a-12": "a", "a-pro-1": "a-pro", "a-mini-x": "a-pro", "b": "B", "too-late": "late"}
    assert {name: (facts.find(name) or {})["id"] for name in expected} == expected
    assert facts.find("c") is None


def run_fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_a_run_of_an_unknown_model_loads_no_facts_and_makes_no_class_for_them() -> None:
    code = """
        import sys, trio, alloy_trio
        from alloy_trio import Completion, Message, Usage
        from alloy_trio.abc import Provider

        class Own(Provider):
            name, model = "own", "own-1"
            async def complete(self, request):
                return Completion(Message.assistant("x"), "end_turn", Usage(input_tokens=5), "own-1")

        result = trio.run(lambda: alloy_trio.run("?", provider=Own()))
        assert result.usage.input_tokens == 5
        print(sorted(name for name in sys.modules if name.startswith("alloy_trio.models.")))
    """
    assert run_fresh(code) == "['alloy_trio.models._cost', 'alloy_trio.models._facts']"


def test_no_file_is_opened_before_the_first_answer_came_and_then_only_the_providers_own() -> None:
    code = """
        import sys, trio, alloy_trio
        from alloy_trio import Completion, Message, Usage
        from alloy_trio.abc import Provider

        opened = []
        def watch(event, args):
            if event == "open" and str(args[0]).endswith(".json"):
                opened.append(str(args[0]).replace("\\\\", "/").rpartition("/")[2])
        import alloy_trio.loop
        sys.addaudithook(watch)

        class Known(Provider):
            name, model = "anthropic", "claude-sonnet-4-6"
            async def complete(self, request):
                opened.append("answer")
                return Completion(Message.assistant("x"), "end_turn", Usage(input_tokens=1000), self.model)

        result = trio.run(lambda: alloy_trio.run("?", provider=Known()))
        print(opened, result.usage.cost_cents)
    """
    assert run_fresh(code) == "['answer', 'anthropic.json'] 0.3"
