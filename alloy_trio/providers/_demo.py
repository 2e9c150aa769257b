"""The model that is built in: a few rules instead of a neural network."""

from __future__ import annotations

from collections.abc import Sequence

from alloy_trio.values import Block, CompletionRequest

from ._local import LocalModel


class Demo(LocalModel):
    """A model for trying the engine: small rules, no key, no network.

    It understands a few kinds of English sentence, calls the tools that the run offers (``read``, ``bash``,
    ``write``, ``edit``) and answers from what they return, so it is right about any file. ``Read X and tell
    me the Y`` works for any file X and any key Y: a name, a dotted path, several of them. It says so when the
    file or the key is missing, when it is not offered the tool it needs, and what it is when it understands
    nothing.

    The answer depends on the request only. A token is a word.
    """

    def __init__(self) -> None:
        super().__init__("demo", "demo")

    async def answer(self, request: CompletionRequest) -> Sequence[Block]:
        """The calls that the last question needs; once they were made, what their results say."""
        # The rules are a few dozen patterns, which cost milliseconds; a run with another model need not pay.
        from ._demo_rules import answer

        return answer(request)
