"""``--record`` and ``--replay``: what is said to a model is written down, or is answered from what was."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from alloy_trio.values import ConfigurationError

from ._settings import Settings

if TYPE_CHECKING:
    from alloy_trio.abc import Provider


def taped(settings: Settings, find: Callable[[], Provider]) -> Provider:
    """The provider that records, that replays, or that does both.

    Args:
        settings: with at least one of the two options.
        find: finds the provider that is asked; not called where nobody is.

    Raises:
        ConfigurationError: the recording cannot be read or has nothing of whom the settings name.
    """
    from alloy_trio.providers import record, replay

    if settings.replay is None:
        # That the file is not there yet was checked; after /model there may be something in it.
        return record(find(), settings.record or "", mode="append")
    if settings.record is not None:
        return replay(settings.replay, update=find())
    return replay(settings.replay, provider=_wanted(settings.provider, settings.model))


def replayed_model(name: str, file: str) -> Provider:
    """Another provider of a recording, for ``/model``.

    Raises:
        ConfigurationError: the recording has nothing of it.
    """
    from alloy_trio.providers import replay

    return replay(file, provider=_wanted(None, name))


def recorded_ms(file: str) -> int:
    """When the first exchange of a recording was, in milliseconds since the epoch; 0 where it has none."""
    try:
        with open(file, encoding="utf-8") as lines:
            return int(json.loads(lines.readline() or '{"at_ms":0}')["at_ms"])
    except OSError as error:
        raise ConfigurationError(f"the recording {file} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError):
        return 0  # it is no recording: who replays it says so


def _wanted(provider: str | None, model: str | None) -> str | None:
    if provider is None:
        return model
    from alloy_trio.providers import PROVIDERS

    name = next((preset.name for preset in PROVIDERS if provider in preset.aliases), provider)
    return name if model is None else f"{name}/{model}"
