"""How much context an Ollama server has to be asked for, and whether it cut the input all the same. Pure.

Theory of operation
    Ollama loads a model with a context of ``options.num_ctx`` tokens, by default a small one. A prompt that is
    longer is cut, and the answer comes with status 200 as if nothing had happened (ollama#4967). So every
    request names a window that holds it:

    1. The input is counted *from above*, from the bytes that are sent (:func:`measure`).
    2. Room for the answer is added, and the sum rounded up to 8192 times a power of two: another window means
       that the server loads the model again, which takes seconds, so windows are few (:func:`plan`).
    3. An input that may be over the largest window raises ContextOverflow, and nothing is sent.
    4. ``num_predict`` is what the window has left. Without it older servers push the beginning of the input
       out while the answer grows.
    5. ``truncate`` and ``shift`` are false: servers since 0.12.6 then answer 400 where they would have cut
       (a model's own context may be smaller than the window). Older ones ignore both.
    6. ``prompt_eval_count`` of the answer is looked at (:func:`was_cut`).
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from alloy_trio.values import ContextOverflow

MAX_NUM_CTX = 131_072
"""The largest window asked for unless the user says otherwise: what most of today's local models were trained
for. It also bounds the memory that a request can take."""

STEP = 8_192
"""The smallest window."""

TEMPLATE_TOKENS = 512
"""What a model's template adds once: its own system prompt, how to call tools. Seen up to 250. What it adds to
each message is less than the JSON around it, which is counted."""

IMAGE_TOKENS = 4_096
"""For one picture. Models were seen to take 256 (Gemma 3) to about 3,000 (Mistral Small); none says before."""

ANSWER_TOKENS = 4_096
"""Room for the answer when no ``max_tokens`` says how much. Arbitrary; what the steps round up comes to it."""

LEAST_ANSWER_TOKENS = 256
"""A window with less room for the answer than this, or than ``max_tokens``, is taken for full."""

_CHEAP = b" abcdefghijklmnopqrstuvwxyz"


@attrs.frozen
class Measure:
    """How many tokens a part of a request is.

    Args:
        most: it is not more than this.
        least: it is not less than this, whatever the tokenizer: the number of its words.
    """

    most: int
    least: int


@attrs.frozen(kw_only=True)
class Window:
    """What a request asks for, and what its answer is judged by.

    Args:
        num_ctx: tokens of context.
        num_predict: tokens of the answer.
        least_input: the input has at least so many tokens.
    """

    num_ctx: int
    num_predict: int
    least_input: int


def measure(text: bytes, images: int = 0) -> Measure:
    """Count the tokens of a part of a request's JSON from both sides.

    From above: lower-case letters and spaces are two to a token, every other byte (digits, punctuation,
    capitals, each byte beyond ASCII) is a token of its own. Tokenizers do better on all of it: prose and code come
    to about half of the count, digits and encoded data near to it.

    Args:
        text: as it is sent, without the pictures.
        images: how many pictures stand in it.
    """
    dear = len(text.translate(None, _CHEAP))
    most = dear + (len(text) - dear + 1) // 2
    return Measure(most + images * IMAGE_TOKENS, len(text.split()))


def plan(
    parts: Iterable[Measure], *, max_tokens: int | None, max_num_ctx: int, fixed: int | None, provider: str
) -> Window:
    """The window for a request.

    Args:
        parts: everything that is input.
        max_tokens: cap of the answer, if there is one.
        max_num_ctx: the largest window to ask for.
        fixed: a window that the user chose; then it is this one.
        provider: for the error.

    Raises:
        ContextOverflow: the input may not fit.
    """
    most, least = TEMPLATE_TOKENS, 0
    for part in parts:
        most += part.most
        least += part.least
    room = ANSWER_TOKENS if max_tokens is None else max_tokens
    limit = fixed or max_num_ctx
    if most + min(room, LEAST_ANSWER_TOKENS) > limit:
        raise ContextOverflow(
            f"the request may be {most} tokens long, counted from above, which does not fit into the window of "
            f"{limit}; it was not sent, because the server would cut it off unseen. Shorten the conversation, or, "
            "if the model and the machine's memory allow, give Ollama(max_num_ctx=…)",
            provider=provider,
        )
    num_ctx = fixed or STEP
    if not fixed:
        while num_ctx < most + room:
            num_ctx *= 2
        num_ctx = min(num_ctx, limit)
    left = num_ctx - most
    return Window(
        num_ctx=num_ctx, num_predict=left if max_tokens is None else min(left, max_tokens), least_input=least
    )


def was_cut(prompt_tokens: int, window: Window) -> bool:
    """Whether the number of tokens that the server says to have read shows that it did not read all.

    * The whole window was read: there is always room for the answer in it, so the input was cut to fit.
    * Fewer tokens were read than the input has words, and just as many as a cut leaves of a model's own
      context (a multiple of 1024): all of it, or a half and two more (2050 of 4096 and 32770 of 65536 were
      seen). Fewer alone shows nothing: old servers do not count what they had in their cache.
    """
    if prompt_tokens >= window.num_ctx:
        return True
    return 1000 < prompt_tokens < window.least_input and (prompt_tokens + 1) % 1024 <= 4
