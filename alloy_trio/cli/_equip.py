"""The provider and the tools that the settings name."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from alloy_trio.values import ConfigurationError

from ._settings import MEMORIES, Settings

if TYPE_CHECKING:
    from alloy_trio.abc import Provider
    from alloy_trio.providers import Preset
    from alloy_trio.tools import Tool

LOCAL_SECONDS = 0.5
"""How long a server on this machine may take to say that it runs; it takes a few milliseconds."""

MAX_LISTED_BYTES = 4 * 1024 * 1024
"""How much of its list of models is read. Arbitrary; a model takes about 500 bytes."""


def choose_provider(settings: Settings) -> Provider:
    """The provider of the settings, the first whose key is in the environment, an Ollama that runs, or a recording.

    Raises:
        ConfigurationError: there is none of that name, it lacks something, or none can be found.
    """
    if settings.record is None and settings.replay is None:
        return _find_provider(settings)
    from ._taping import taped

    return taped(settings, lambda: _find_provider(settings))


def _find_provider(settings: Settings) -> Provider:
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
    # One without a model of its own cannot be used unasked: it has no address either.
    usable = [preset for preset in PROVIDERS if preset.env_vars and preset.example_model]
    for preset in usable:
        if not preset.local and any(map(os.environ.get, preset.env_vars)):
            return provider_from_name(preset.name, settings.model)
    for preset in usable:
        if preset.local:
            provider = provider_from_name(preset.name, settings.model)
            installed = _ollama_models(provider)
            if installed is not None:
                # Its example may not have been pulled; what was pulled last is the likeliest to be wanted.
                model = settings.model or next(iter(installed), None)
                return provider_from_name(preset.name, model)
    variables = [variable for preset in usable if not preset.local for variable in preset.env_vars]
    raise ConfigurationError(
        f"there is no model to ask: set {', '.join(variables[:-1])} or {variables[-1]}, start Ollama, name a server "
        "of your own with --provider openai-compatible --base-url URL --model NAME, or try the built-in model "
        "with --provider demo"
    )


def _ollama_models(provider: Provider) -> list[str] | None:
    """The models that an Ollama server can talk with, the one pulled last first; None when no server runs."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection
    from urllib.parse import urlsplit

    url = urlsplit(getattr(provider, "base_url", ""))
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=LOCAL_SECONDS)
    try:
        connection.request("GET", f"{url.path}/api/tags")
        listed = json.loads(connection.getresponse().read(MAX_LISTED_BYTES))["models"]
        names = [str(model["name"]) for model in listed]
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return None  # nothing listens there, or it is something else
    finally:
        connection.close()
    return [name for name in names if "embed" not in name]


def another_model(name: str, current: Provider, settings: Settings) -> Provider:
    """The provider for a model that was named in mid-conversation: provider/model, a provider, or a model.

    Where the models of the present provider have slashes in their names, a name with a slash is one of them, also
    ``openai/gpt-oss-120b``. Only its own name before it goes away: ``groq/openai/gpt-oss-120b``.

    Raises:
        ConfigurationError: there is no such provider, or it lacks something.
    """
    if settings.record is None and settings.replay is None:
        return _another_model(name, current, settings)
    from ._taping import replayed_model, taped

    if settings.replay is not None and settings.record is None:
        return replayed_model(name, settings.replay)
    return taped(settings, lambda: _another_model(name, current, settings))


def _another_model(name: str, current: Provider, settings: Settings) -> Provider:
    from alloy_trio.providers import PROVIDERS, provider_from_name

    known = {name: preset for preset in PROVIDERS for name in (preset.name, *preset.aliases)}
    options: dict[str, Any] = {} if settings.base_url is None else {"base_url": settings.base_url}
    first, slash, _ = name.partition("/")
    present = known.get(current.name)
    if first in known and not (slash and _has_slashed_models(present) and known[first] is not present):
        # An address that was given belongs to the provider that it was given for.
        return provider_from_name(name, **(options if known[first].name == current.name else {}))
    if present is not None and present.env_var is not None:
        return provider_from_name(current.name, name, **options)
    # The built-in one has no other models, so a provider must have been meant.
    return provider_from_name(name)


def _has_slashed_models(preset: Preset | None) -> bool:
    # A server of one's own may call its models anything.
    return preset is not None and ("/" in preset.example_model or preset.name == "openai-compatible")


def choose_tools(settings: Settings) -> tuple[Tool, ...]:
    """The tools of the settings.

    Raises:
        ConfigurationError: the sandbox was asked for, and this machine has none; or the memory has no place.
    """
    return tuple(_tool(name, settings) for name in settings.tools)


def _tool(name: str, settings: Settings) -> Tool:
    from alloy_trio import tools

    if name == "memory":
        # One scope, and not one for each conversation: what was noted in one is of use in the next.
        store = tools.DirectoryStore(os.path.join(settings.directory, MEMORIES))
        return tools.memory_tool(store=store, scope="default")
    if name == "bash" and settings.bash != "restricted":
        return tools.bash_tool(restricted=False, sandbox="bwrap" if settings.bash == "sandbox" else None)
    found: Tool = getattr(tools, name)
    return found
