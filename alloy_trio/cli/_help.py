"""The part of ``alloy --help`` that teaches, made from the table of providers."""

from __future__ import annotations

from alloy_trio.providers import PROVIDERS, Preset

_EXAMPLES = """\
examples:
  alloy -p "Read pyproject.toml and tell me the version" --provider demo
  git diff | alloy -p "Is there a bug in this change?" --tools read
  alloy -p "What does this project do?" --model anthropic/claude-sonnet-4-6
  alloy -p "Hello" --provider openai-compatible --base-url http://localhost:8000/v1 --model NAME
  alloy -p "Find the slowest test" --json | jq -rj 'select(.event == "text_delta").payload'
  alloy -p "..." --record run.jsonl       and later, without keys: alloy -p "..." --replay run.jsonl
  alloy                                   a conversation; /help lists its commands
"""

_STATUSES = """\
exit status:
  0 completed   1 failed   2 wrong usage   3 stopped by a limit, or cut   130 interrupted, by Ctrl-C
  The answer goes to standard output, as far as it came; everything else to standard error.
"""


def epilog() -> str:
    """Examples, providers with their environment variables, exit statuses."""
    named = {" or ".join((preset.name, *preset.aliases)): preset for preset in PROVIDERS}
    wide = max(map(len, named))
    rows = [
        f"  {names:<{wide}}  {_key(preset):<{28}}  {preset.example_model}".rstrip()
        for names, preset in named.items()
    ]
    table = "\n".join(("providers, the variable that each reads its key from, and a model:", *rows))
    return f"{_EXAMPLES}\n{table}\n\n{_STATUSES}"


def _key(preset: Preset) -> str:
    variables = " or ".join(preset.env_vars) or "needs no key"
    return f"none, or {variables}" if preset.local else variables
