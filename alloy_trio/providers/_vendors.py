"""The vendors' classes: which wire is spoken with which host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Literal, Unpack

import attrs

from alloy_trio.values import ConfigurationError

from . import _hosts
from ._checked import parsed_url
from ._http import Host, HttpOptions, HttpProvider

if TYPE_CHECKING:
    from alloy_trio.wire import Codec, Dialect

OLLAMA_PORT = 11434
"""Where an Ollama server listens unless it was told otherwise."""


class Anthropic(HttpProvider):
    """Anthropic's models, over the Messages API.

    Args:
        model: like ``"claude-sonnet-4-6"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; the key's variable is ``ANTHROPIC_API_KEY``.
    """

    def __init__(self, model: str, **options: Unpack[HttpOptions]) -> None:
        from alloy_trio.wire import AnthropicCodec

        super().__init__(model, codec=AnthropicCodec(), host=_hosts.ANTHROPIC, **options)
        if self.max_tokens is None:
            # This wire wants a number, so one is sent.
            self.max_tokens = AnthropicCodec.default_max_tokens + self.thinking_budget


class OpenAI(HttpProvider):
    """OpenAI's models, over the Responses API.

    Args:
        model: like ``"gpt-5.4"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; the key's variable is ``OPENAI_API_KEY``.
    """

    def __init__(self, model: str, **options: Unpack[HttpOptions]) -> None:
        from alloy_trio.wire import ResponsesCodec

        super().__init__(model, codec=ResponsesCodec(), host=_hosts.OPENAI, **options)


class Gemini(HttpProvider):
    """Google's Gemini models, over generateContent.

    Args:
        model: like ``"gemini-3.5-flash"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; the key's variable is ``GEMINI_API_KEY``, else
            ``GOOGLE_API_KEY``.
    """

    def __init__(self, model: str, **options: Unpack[HttpOptions]) -> None:
        from alloy_trio.wire import GeminiCodec

        super().__init__(model, codec=GeminiCodec(), host=_hosts.GEMINI, **options)


class XAI(HttpProvider):
    """xAI's models, over the Responses API, which is the one that returns their reasoning.

    Args:
        model: like ``"grok-4.3"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; the key's variable is ``XAI_API_KEY``.
    """

    def __init__(self, model: str, **options: Unpack[HttpOptions]) -> None:
        from alloy_trio.wire import ResponsesCodec

        super().__init__(model, codec=ResponsesCodec(), host=_hosts.XAI, **options)


class _ChatHost(HttpProvider):
    """A host that speaks Chat Completions; its dialect has the host's name."""

    _row: ClassVar[Host]

    def __init__(self, model: str, **options: Unpack[HttpOptions]) -> None:
        from alloy_trio.wire import DIALECTS, ChatCodec

        super().__init__(model, codec=ChatCodec(DIALECTS[self._row.name]), host=self._row, **options)


class DeepSeek(_ChatHost):
    """DeepSeek's models, over Chat Completions.

    Args:
        model: like ``"deepseek-v4-flash"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; the key's variable is ``DEEPSEEK_API_KEY``.
    """

    _row = _hosts.DEEPSEEK


class Mistral(_ChatHost):
    """Mistral's models, over Chat Completions.

    Args:
        model: like ``"mistral-large-latest"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; the key's variable is ``MISTRAL_API_KEY``.
    """

    _row = _hosts.MISTRAL


class Groq(_ChatHost):
    """Open models at Groq, over Chat Completions.

    A call that Groq found to be malformed comes back as a failed call, for the model to mend.

    Args:
        model: like ``"openai/gpt-oss-120b"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; the key's variable is ``GROQ_API_KEY``.
    """

    _row = _hosts.GROQ


class Together(_ChatHost):
    """Open models at Together, over Chat Completions.

    Args:
        model: like ``"openai/gpt-oss-120b"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; the key's variable is ``TOGETHER_API_KEY``.
    """

    _row = _hosts.TOGETHER


class OpenRouter(_ChatHost):
    """Many vendors' models through OpenRouter, over Chat Completions; it says what each call cost.

    Args:
        model: vendor and model, like ``"anthropic/claude-sonnet-4.6"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; the key's variable is ``OPENROUTER_API_KEY``.
    """

    _row = _hosts.OPENROUTER


class AzureOpenAI(HttpProvider):
    """OpenAI's models on Azure, on the ``/openai/v1`` addresses, which need no ``api-version``.

    For Entra ID instead of a key give ``headers={"Authorization": "Bearer …"}``.

    Args:
        model: the name of the deployment.
        api: ``"chat"`` for Chat Completions, ``"responses"`` for the Responses API.
        options: see :class:`~alloy_trio.providers.HttpOptions`. ``base_url`` (variable
            ``AZURE_OPENAI_ENDPOINT``) is like ``"https://NAME.openai.azure.com"``; where it has no path,
            ``/openai/v1`` is added. The key's variable is ``AZURE_OPENAI_API_KEY``.
    """

    def __init__(
        self, model: str, *, api: Literal["chat", "responses"] = "chat", **options: Unpack[HttpOptions]
    ) -> None:
        from alloy_trio.wire import DIALECTS, ChatCodec, ResponsesCodec

        if api not in ("chat", "responses"):
            raise ConfigurationError(f"api={api!r} must be 'chat' or 'responses'")
        url = options.pop("base_url", None) or os.environ.get("AZURE_OPENAI_ENDPOINT")
        if not url:
            raise ConfigurationError(
                "azure needs the address of your resource: set the environment variable AZURE_OPENAI_ENDPOINT, or "
                "give base_url='https://NAME.openai.azure.com'"
            )
        if not parsed_url(url, "azure").path.strip("/"):
            url = url.rstrip("/") + "/openai/v1"
        codec: Codec = ChatCodec(DIALECTS["azure"]) if api == "chat" else ResponsesCodec()
        super().__init__(model, codec=codec, host=attrs.evolve(_hosts.AZURE, base_url=url), **options)


class Ollama(HttpProvider):
    """Models of an Ollama server, over its own protocol.

    Each request asks for a context window that holds it, so that the server cuts nothing off unseen; one that may
    not fit raises :exc:`~alloy_trio.ContextOverflow`.

    Args:
        model: like ``"qwen3"``; it must have been pulled.
        max_num_ctx: the largest window to ask for, in tokens. The server keeps memory for all of a window, so
            a small machine wants a smaller one; the model may have been made for less.
        options: see :class:`~alloy_trio.providers.HttpOptions`. ``base_url`` (variable ``OLLAMA_HOST``) is by
            default ``http://127.0.0.1:11434``. For ``https://ollama.com`` the key's variable is
            ``OLLAMA_API_KEY``; it is read for https addresses only. ``extra_body={"options": {…}}`` is merged with
            the options of the request.
    """

    def __init__(self, model: str, *, max_num_ctx: int | None = None, **options: Unpack[HttpOptions]) -> None:
        from alloy_trio.wire import OllamaCodec

        url = options.pop("base_url", None) or ollama_url(os.environ.get("OLLAMA_HOST", ""))
        host = attrs.evolve(_hosts.OLLAMA, base_url=url)
        if parsed_url(url, "ollama").scheme != "https":
            host = attrs.evolve(host, env_vars=())
        codec = OllamaCodec() if max_num_ctx is None else OllamaCodec(max_num_ctx)
        super().__init__(model, codec=codec, host=host, **options)


def ollama_url(host: str) -> str:
    """The address that an ``OLLAMA_HOST`` names: scheme and port may be left out, all of it too."""
    host = host.strip().strip("\"'")
    if not host:
        return _hosts.OLLAMA.base_url or ""
    bare = "://" not in host
    if host.startswith(":"):
        host = f"127.0.0.1{host}"
    parts = parsed_url(f"http://{host}" if bare else host, "ollama (OLLAMA_HOST)")
    name = parts.hostname or "127.0.0.1"
    if name in ("0.0.0.0", "::"):  # where a server listens on all addresses; a client takes the loopback one
        name = "127.0.0.1"
    if ":" in name:
        name = f"[{name}]"
    port = f":{parts.port or OLLAMA_PORT}" if bare or parts.port else ""
    return f"{parts.scheme}://{name}{port}{parts.path.rstrip('/')}"


class OpenAICompatible(HttpProvider):
    """Any server that speaks Chat Completions: vLLM, llama.cpp, LM Studio, a gateway.

    Args:
        model: the server's name for it.
        name: the provider's name in origins and errors.
        dialect: what the server wants and what it may leave out: the name of a host whose ways it has
            (``"openai"``, ``"mistral"``, ``"openrouter"``, …) or a ``Dialect`` of your own.
        chat_path: where completions are asked, below ``base_url``; default: the dialect's,
            ``"/chat/completions"``.
        options: see :class:`~alloy_trio.providers.HttpOptions`; ``base_url`` is required, and the key (variable
            ``OPENAI_COMPATIBLE_API_KEY``) is sent only if there is one.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str = _hosts.COMPATIBLE.name,
        dialect: str | Dialect = "compatible",
        chat_path: str | None = None,
        **options: Unpack[HttpOptions],
    ) -> None:
        from alloy_trio.wire import DIALECTS, ChatCodec

        if isinstance(dialect, str):
            if dialect not in DIALECTS:
                raise ConfigurationError(
                    f"there is no dialect {dialect!r}; there are {', '.join(DIALECTS)}, or give a Dialect"
                )
            dialect = DIALECTS[dialect]
        if chat_path is not None:
            dialect = attrs.evolve(dialect, chat_path=f"/{chat_path.lstrip('/')}")
        super().__init__(
            model, codec=ChatCodec(dialect), host=attrs.evolve(_hosts.COMPATIBLE, name=name), **options
        )
