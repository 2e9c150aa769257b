"""Answering what is published on topics."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import trio

from alloy_trio._broadcast import Broadcast
from alloy_trio.values import AgentClosed, Lagged, Message

if TYPE_CHECKING:
    from ._core import Core

_logger = logging.getLogger("alloy_trio.agents")


async def answer(
    agent: Core, broadcast: Broadcast, topics: tuple[str, ...], *, task_status: trio.TaskStatus[None]
) -> None:
    """Make each message a request, one after the other, until the agent ends.

    A request that fails harms no other. Messages that could not be kept while it was busy are told in a warning.
    """
    async with broadcast.subscribe(*topics) as messages:
        task_status.started()
        while True:
            try:
                message = await messages.__anext__()
            except Lagged as lagged:
                _logger.warning("the agent %s was too busy for its topics: %s", agent.id, lagged)
                continue
            except StopAsyncIteration:
                return
            try:
                await agent.answer(prompt_of(message.value))
            except (AgentClosed, trio.Cancelled) as error:
                _logger.warning(
                    "a message on %s was not answered: the agent %s ended", message.topic, agent.id
                )
                if isinstance(error, trio.Cancelled):
                    raise
            except Exception:  # border: a request run for a handle
                _logger.exception("a message on %s was not answered", message.topic)


def prompt_of(value: Any) -> str | Message:
    """What was published, as a prompt: text and Messages as they are, anything else as JSON.

    Raises:
        TypeError: JSON cannot hold it.
    """
    return value if isinstance(value, str | Message) else json.dumps(value, ensure_ascii=False)
