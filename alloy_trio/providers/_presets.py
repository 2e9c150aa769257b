"""The vendors: which wire, which host, which key."""

from __future__ import annotations

from typing import Any, Unpack

import attrs

from alloy_trio._abc import Provider
from alloy_trio.values import ConfigurationError

from ._demo import Demo
from ._http import Host, HttpOptions, HttpProvider, bearer

_ANTHROPIC = Host(
    name="anthropic",
    base_url="https://api.anthropic.com",
    env_var="ANTHROPIC_API_KEY",
    auth=lambda key: ("x-api-key", key),
)
_OPENAI = Host(name="openai", base_url="https://api.openai.com/v1", env_var="OPENAI_API_KEY", auth=bearer)
_COMPATIBLE = Host(
    name="openai-compatible",
    base_url=None,
    env_var="OPENAI_COMPATIBLE_API_KEY",
    auth=bearer,
    key_required=False,
)


class Anthropic(HttpProvider):
    """Anthropic's models, over the Messages API.

    Args:
        model: like ``"claude-sonnet-4-6"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; the key's variable is ``ANTHROPIC_API_KEY``.
    """

    def __init__(self, model: str, **options: Unpack[HttpOptions]) -> None:
        from alloy_trio.wire import AnthropicCodec

        super().__init__(model, codec=AnthropicCodec(), host=_ANTHROPIC, **options)


class OpenAI(HttpProvider):
    """OpenAI's models, over the Responses API.

    Args:
        model: like ``"gpt-5.4"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; the key's variable is ``OPENAI_API_KEY``.
    """

    def __init__(self, model: str, **options: Unpack[HttpOptions]) -> None:
        from alloy_trio.wire import ResponsesCodec

        super().__init__(model, codec=ResponsesCodec(), host=_OPENAI, **options)


class OpenAICompatible(HttpProvider):
    """Any server that speaks Chat Completions: vLLM, llama.cpp, LM Studio, a gateway.

    Args:
        model: the server's name for it.
        name: the provider's name in origins and errors.
        chat_path: where completions are asked, below ``base_url``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; ``base_url`` is required, and the key (variable
            ``OPENAI_COMPATIBLE_API_KEY``) is sent only if there is one.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str = _COMPATIBLE.name,
        chat_path: str = "/chat/completions",
        **options: Unpack[HttpOptions],
    ) -> None:
        from alloy_trio.wire import COMPATIBLE, ChatCodec

        dialect = attrs.evolve(COMPATIBLE, chat_path=chat_path)
        super().__init__(
            model, codec=ChatCodec(dialect), host=attrs.evolve(_COMPATIBLE, name=name), **options
        )


@attrs.frozen(kw_only=True)
class Preset:
    """A row of the table that the command line, its help and the docs are made from.

    Args:
        name: what the command line calls it.
        factory: the class.
        env_var: the environment variable of the key; None where there is no key.
        example_model: used when no model is named, and in examples.
        protocol: what is spoken.
    """

    name: str
    factory: type[Provider]
    env_var: str | None
    example_model: str
    protocol: str


PROVIDERS: tuple[Preset, ...] = (
    Preset(
        name="anthropic",
        factory=Anthropic,
        env_var=_ANTHROPIC.env_var,
        example_model="claude-sonnet-4-6",
        protocol="Messages",
    ),
    Preset(
        name="openai", factory=OpenAI, env_var=_OPENAI.env_var, example_model="gpt-5.4", protocol="Responses"
    ),
    Preset(
        name="openai-compatible",
        factory=OpenAICompatible,
        env_var=_COMPATIBLE.env_var,
        example_model="",
        protocol="Chat Completions",
    ),
    Preset(name="demo", factory=Demo, env_var=None, example_model="demo", protocol="none, built in"),
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
        if preset.name == provider_name:
            break
    else:
        import difflib

        names = [preset.name for preset in PROVIDERS]
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
