"""The table of providers, from which the command line, its help, the README and the reference are made."""

from __future__ import annotations

from typing import Any

import attrs

from alloy_trio._abc import Provider
from alloy_trio.values import ConfigurationError

from . import _hosts
from ._bedrock import Bedrock
from ._demo import Demo
from ._vendors import (
    XAI,
    Anthropic,
    AzureOpenAI,
    DeepSeek,
    Gemini,
    Groq,
    Mistral,
    Ollama,
    OpenAI,
    OpenAICompatible,
    OpenRouter,
    Together,
)


@attrs.frozen(kw_only=True)
class Preset:
    """A row of the table.

    Args:
        name: what the command line calls it.
        factory: the class.
        env_vars: the environment variables that may hold the key, the first that is set does; empty where
            there is no key.
        example_model: used when no model is named, and in examples; empty where only the user can know one.
        protocol: what is spoken.
        aliases: further names.
        local: a server on the user's machine, which is found by asking whether it runs, not by a key.
    """

    name: str
    factory: type[Provider]
    env_vars: tuple[str, ...]
    example_model: str
    protocol: str
    aliases: tuple[str, ...] = ()
    local: bool = False

    @property
    def env_var(self) -> str | None:
        """The variable that holds the key, by its first name; None where there is no key."""
        return self.env_vars[0] if self.env_vars else None


PROVIDERS: tuple[Preset, ...] = (
    Preset(
        name="anthropic",
        factory=Anthropic,
        env_vars=_hosts.ANTHROPIC.env_vars,
        example_model="claude-sonnet-4-6",
        protocol="Messages",
    ),
    Preset(
        name="openai",
        factory=OpenAI,
        env_vars=_hosts.OPENAI.env_vars,
        example_model="gpt-5.4",
        protocol="Responses",
    ),
    Preset(
        name="gemini",
        factory=Gemini,
        env_vars=_hosts.GEMINI.env_vars,
        example_model="gemini-3.5-flash",
        protocol="generateContent",
        aliases=("google",),
    ),
    Preset(
        name="xai",
        factory=XAI,
        env_vars=_hosts.XAI.env_vars,
        example_model="grok-4.3",
        protocol="Responses",
    ),
    Preset(
        name="deepseek",
        factory=DeepSeek,
        env_vars=_hosts.DEEPSEEK.env_vars,
        example_model="deepseek-v4-flash",
        protocol="Chat Completions",
    ),
    Preset(
        name="mistral",
        factory=Mistral,
        env_vars=_hosts.MISTRAL.env_vars,
        example_model="mistral-large-latest",
        protocol="Chat Completions",
    ),
    Preset(
        name="groq",
        factory=Groq,
        env_vars=_hosts.GROQ.env_vars,
        example_model="openai/gpt-oss-120b",
        protocol="Chat Completions",
    ),
    Preset(
        name="together",
        factory=Together,
        env_vars=_hosts.TOGETHER.env_vars,
        example_model="openai/gpt-oss-120b",
        protocol="Chat Completions",
    ),
    Preset(
        name="openrouter",
        factory=OpenRouter,
        env_vars=_hosts.OPENROUTER.env_vars,
        example_model="anthropic/claude-sonnet-4.6",
        protocol="Chat Completions",
    ),
    Preset(
        name="azure",
        factory=AzureOpenAI,
        env_vars=_hosts.AZURE.env_vars,
        example_model="",
        protocol="Chat Completions or Responses",
    ),
    Preset(
        name="bedrock",
        factory=Bedrock,
        env_vars=_hosts.BEDROCK.env_vars,
        example_model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        protocol="Converse",
    ),
    Preset(
        name="ollama",
        factory=Ollama,
        env_vars=_hosts.OLLAMA.env_vars,
        example_model="qwen3",
        protocol="Ollama's own",
        local=True,
    ),
    Preset(
        name="openai-compatible",
        factory=OpenAICompatible,
        env_vars=_hosts.COMPATIBLE.env_vars,
        example_model="",
        protocol="Chat Completions",
    ),
    Preset(name="demo", factory=Demo, env_vars=(), example_model="demo", protocol="none, built in"),
)
"""In the order in which the command line looks for a key."""


def provider_from_name(name: str, model: str | None = None, **options: Any) -> Provider:
    """Make a provider by name.

    Args:
        name: like ``"anthropic"``, or provider and model as in ``"anthropic/claude-sonnet-4-6"``.
        model: the model's name; default: the one in ``name``, else the provider's example model.
        options: further keywords of the provider's class.

    Raises:
        ConfigurationError: there is no such provider, or it needs a model or base_url.
    """
    provider_name, _, model_in_name = name.partition("/")
    model = model or model_in_name or None
    for preset in PROVIDERS:
        if provider_name in (preset.name, *preset.aliases):
            break
    else:
        import difflib

        names = [name for preset in PROVIDERS for name in (preset.name, *preset.aliases)]
        close = difflib.get_close_matches(provider_name, names, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigurationError(
            f"there is no provider {provider_name!r}; {hint}There are {', '.join(names)}"
        )
    if preset.factory is Demo:
        return Demo()
    if not (model or preset.example_model):
        raise ConfigurationError(f"{preset.name} needs a model: give model=, or write {preset.name}/MODEL")
    factory: Any = preset.factory
    provider: Provider = factory(model or preset.example_model, **options)
    return provider
