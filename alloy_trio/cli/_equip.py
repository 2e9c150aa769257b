"""The provider and the tools that the settings name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from alloy_trio.values import ConfigurationError

from ._settings import Settings

if TYPE_CHECKING:
    from alloy_trio.abc import Provider
    from alloy_trio.tools import Tool


def choose_provider(settings: Settings) -> Provider:
    """The provider of the settings, or the first whose key is in the environment.

    Raises:
        ConfigurationError: there is none of that name, it lacks something, or no key is set.
    """
    from alloy_trio.providers import PROVIDERS, provider_from_name

    options: dict[str, Any] = {} if settings.base_url is None else {"base_url": settings.base_url}
    if settings.provider is not None:
        return provider_from_name(settings.provider, settings.model, **options)
    if settings.model is not None and "/" in settings.model:
        return provider_from_name(settings.model, **options)
    if settings.base_url is not None:
        names = ", ".join(preset.name for preset in PROVIDERS if preset.env_var is not None)
        raise ConfigurationError(
            f"--base-url does not say what is spoken there; add --provider, one of {names}"
        )
    for preset in PROVIDERS:
        # One without a model of its own cannot be used unasked: it has no address either.
        if preset.env_var is not None and preset.example_model and os.environ.get(preset.env_var):
            return provider_from_name(preset.name, settings.model)
    variables = [
        preset.env_var for preset in PROVIDERS if preset.env_var is not None and preset.example_model
    ]
    raise ConfigurationError(
        f"there is no model to ask: set {' or '.join(variables)}, name a server of your own with --provider "
        "openai-compatible --base-url URL --model NAME, or try the built-in model with --provider demo"
    )


def another_model(name: str, current: Provider, settings: Settings) -> Provider:
    """The provider for a model that was named in mid-conversation: provider/model, a provider, or a model.

    Raises:
        ConfigurationError: there is no such provider, or it lacks something.
    """
    from alloy_trio.providers import PROVIDERS, provider_from_name

    known = {preset.name: preset for preset in PROVIDERS}
    options: dict[str, Any] = {} if settings.base_url is None else {"base_url": settings.base_url}
    first = name.partition("/")[0]
    if first in known:
        # An address that was given belongs to the provider that it was given for.
        return provider_from_name(name, **(options if first == current.name else {}))
    if current.name in known and known[current.name].env_var is not None:
        return provider_from_name(current.name, name, **options)
    # The built-in one has no other models, so a provider must have been meant.
    return provider_from_name(name)


def choose_tools(settings: Settings) -> tuple[Tool, ...]:
    """The tools of the settings."""
    import alloy_trio.tools

    return tuple(
        alloy_trio.tools.bash_tool(restricted=False)
        if name == "bash" and settings.bash == "full"
        else getattr(alloy_trio.tools, name)
        for name in settings.tools
    )
