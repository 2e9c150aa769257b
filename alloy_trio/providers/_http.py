"""A codec and a connection make a provider."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict

import attrs
import trio

from alloy_trio._abc import DeltaSink, Provider, whole_deltas
from alloy_trio.values import (
    Completion,
    CompletionRequest,
    ConfigurationError,
    Delta,
    RemoteError,
    StreamTruncated,
)
from alloy_trio.wire import (
    Codec,
    Decoder,
    ThinkingOption,
    WireRequest,
    WireSettings,
    fault_from_response,
    request_id_of,
    scrub,
)

from ._allowances import headers_arrived
from ._checked import checked_header, checked_mapping, checked_names, checked_number, checked_url

if TYPE_CHECKING:
    import httpx

    from ._transport import Response, Transport

CONNECT_TIMEOUT = 10.0
"""Seconds to connect. A host that needs longer is down or unreachable."""

STREAM_SILENCE = 300.0
"""Seconds without a byte on a stream. Reasoning models were seen silent for minutes, hung sessions for hours."""

WHOLE_SILENCE = 600.0
"""Seconds without a byte when the whole answer comes at once; the vendors' SDKs wait as long."""

TAIL_SECONDS = 1.0
"""How long the end of the HTTP message may take after the answer's terminal event; reading it makes the connection
reusable, waiting for it is worth no more."""

MAX_ERROR_BYTES = 256 * 1024
"""How much of an error body is read. Arbitrary; recorded ones are under 10 kB."""

ERROR_SECONDS = 10.0
"""How long an error body may take. The status says the most; a body that hangs must not hold it back."""

SECRET_LENGTH = 8
"""Shorter keys are dummies like "EMPTY", and taking such words out of a message would only garble it."""


class HttpOptions(TypedDict, total=False):
    """The keywords that all HTTP providers share.

    * ``api_key``: str; default: the provider's environment variable.
    * ``base_url``: str, as the vendor's own SDK wants it.
    * ``headers``: sent with each request, beside the provider's own and over them.
    * ``max_tokens``: int, cap of the output.
    * ``temperature``: float.
    * ``thinking``: an effort like ``"low"``, a budget in tokens, or the vendor's own object.
    * ``extra_body``: merged over the request's top level, last.
    * ``connect_timeout``: seconds to connect.
    * ``read_timeout``: seconds of silence, not of the whole answer; default 300 on streams, else 600.
    * ``client``: an ``httpx.AsyncClient`` of the caller's, used as it is and not closed.
    """

    api_key: str | None
    base_url: str | None
    headers: Mapping[str, str]
    max_tokens: int | None
    temperature: float | None
    thinking: ThinkingOption
    extra_body: Mapping[str, Any]
    connect_timeout: float
    read_timeout: float | None
    client: httpx.AsyncClient | None


@attrs.frozen(kw_only=True)
class Host:
    """What a preset knows of a vendor's host.

    Args:
        name: the provider's name, in origins and errors.
        base_url: where the vendor answers; None when the user has to say.
        env_vars: the environment variables that may hold the key; the first that is set does.
        auth: makes the header that carries the key.
        key_required: whether the vendor's own host answers without a key.
    """

    name: str
    base_url: str | None
    env_vars: tuple[str, ...]
    auth: Callable[[str], tuple[str, str]]
    key_required: bool = True


def bearer(key: str) -> tuple[str, str]:
    """The usual ``Authorization: Bearer`` header."""
    return "authorization", f"Bearer {key}"


@attrs.define(eq=False)
class _Session:
    """A provider's connections within one ``trio.run``."""

    transport: Transport
    headers: dict[str, str]
    secrets: tuple[str, ...]
    users: int = 1


class HttpProvider(Provider):
    """A model behind a wire format over HTTP; the vendors' classes are presets of it.

    Args:
        model: the model's name.
        codec: the wire format.
        host: the vendor's side.
        options: see :class:`HttpOptions`.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    def __init__(
        self,
        model: str,
        *,
        codec: Codec,
        host: Host,
        api_key: str | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        thinking: ThinkingOption = None,
        extra_body: Mapping[str, Any] | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        if not model or type(model) is not str:
            raise ConfigurationError(f"model={model!r} must be the name of a model")
        checked_number(max_tokens, "max_tokens", whole=True)
        checked_number(temperature, "temperature")
        checked_number(connect_timeout, "connect_timeout")
        checked_number(read_timeout, "read_timeout")
        if client is not None and not hasattr(client, "build_request"):
            raise ConfigurationError(f"client is {type(client).__name__}; give an httpx.AsyncClient")
        self.name = host.name
        self.model = model
        self.max_tokens = max_tokens
        self.thinking_budget = _thinking_budget(thinking)
        self.base_url = checked_url(base_url or host.base_url, host.name)
        self._codec = codec
        self._host = host
        self._api_key = api_key
        self._custom_url = base_url is not None
        self._headers = checked_names(headers)
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._client = client
        self._settings = WireSettings(
            provider=host.name,
            model=model,
            max_tokens=max_tokens,
            temperature=temperature,
            thinking=thinking,
            extra_body=checked_mapping(extra_body, "extra_body"),
        )
        # One entry for each trio.run in which the object is entered; each run touches only its own.
        self._sessions: dict[trio.lowlevel.TrioToken, _Session] = {}

    def __repr__(self) -> str:
        # Neither key nor headers: a repr ends up in logs.
        return f"{type(self).__name__}(model={self.model!r}, base_url={self.base_url!r})"

    async def __aenter__(self) -> Self:
        await trio.lowlevel.checkpoint()
        token = trio.lowlevel.current_trio_token()
        session = self._sessions.get(token)
        if session is not None:
            session.users += 1
        else:
            from ._transport import Transport

            key = self._key()
            headers = self._all_headers(key)
            transport = Transport(self.base_url, connect_timeout=self._connect_timeout, client=self._client)
            self._sessions[token] = _Session(transport, headers, self._secrets(key))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        token = trio.lowlevel.current_trio_token()
        session = self._sessions[token]
        session.users -= 1
        if session.users == 0:
            del self._sessions[token]
            await session.transport.aclose()

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask for the whole answer at once; see :meth:`alloy_trio.abc.Provider.complete`."""
        return await self._ask(request, None)

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        """Ask for the answer's pieces; see :meth:`alloy_trio.abc.Provider.stream`."""
        return await self._ask(request, deltas)

    async def _ask(self, request: CompletionRequest, deltas: DeltaSink | None) -> Completion:
        session = self._sessions.get(trio.lowlevel.current_trio_token())
        if session is None:
            raise ConfigurationError(f"{self!r} is not entered; use it inside `async with provider:`")
        wire = self._encoded(request, stream=deltas is not None)
        silence = self._read_timeout or (WHOLE_SILENCE if deltas is None else STREAM_SILENCE)
        decoder = self._codec.decoder_for(wire, self._settings)
        url = self.base_url + wire.path
        headers = await self._authorised(url, _merged(wire, session.headers), wire.body)
        try:
            async with session.transport.exchange(url, headers, wire.body, read_timeout=silence) as response:
                headers_arrived(response.headers)
                if response.status != 200:
                    return await self._refused(response)
                decoder.request_id = request_id_of(response.headers)
                return await _receive(response, decoder, deltas)
        except RemoteError as error:
            error.provider = error.provider or self.name
            error.usage = decoder.usage
            # Vendors quote the key that they refuse.
            error.message = scrub(error.message, (*session.secrets, *_secrets_in(headers)))
            error.args = (error.message,)
            raise

    async def _authorised(self, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        """The headers to send; for hosts that want each request signed."""
        return headers

    def _encoded(self, request: CompletionRequest, *, stream: bool) -> WireRequest:
        try:
            return self._codec.encode(request, self._settings, stream=stream)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"the request to {self.name} cannot be written as JSON: {error}; look at extra_body, at tools' "
                "schemas and at what tools were called with"
            ) from error

    async def _refused(self, response: Response) -> Completion:
        body = await response.read(MAX_ERROR_BYTES, seconds=ERROR_SECONDS)
        completion = self._codec.completion_from_error(self._settings, response.status, body)
        if completion is not None:
            return completion
        raise fault_from_response(
            response.status, response.headers, body, provider=self.name, now=time.time()
        )

    def _key(self) -> str:
        """The key to send, if there is one; credentials in ``headers`` take the environment's place."""
        set_keys = filter(
            None, map(os.environ.get, () if self._brings_credentials() else self._host.env_vars)
        )
        return checked_header(self._api_key or next(set_keys, ""), f"the API key of {self.name}")

    def _secrets(self, key: str) -> tuple[str, ...]:
        """What may be quoted back and must not be shown: the key, and what the user put into headers."""
        words = (word for value in self._headers.values() for word in (value, *value.split()))
        return tuple(word for word in (key, *words) if len(word) >= SECRET_LENGTH)

    def _brings_credentials(self) -> bool:
        key_headers = {"authorization", self._host.auth("")[0]}
        return any(name.lower() in key_headers for name in self._headers)

    def _all_headers(self, key: str) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if key:
            name, value = self._host.auth(key)
            headers[name] = value
        elif self._host.key_required and not self._custom_url and not self._brings_credentials():
            raise ConfigurationError(
                f"{self.name} needs an API key: set the environment variable "
                f"{' or '.join(self._host.env_vars)}, or give api_key="
            )
        for name, value in self._headers.items():
            headers[name.lower()] = checked_header(value, f"the header {name}")
        return headers


async def _receive(response: Response, decoder: Decoder, deltas: DeltaSink | None) -> Completion:
    broken: StreamTruncated | None = None
    with trio.CancelScope() as tail:
        try:
            while decoder.failure is None and (chunk := await response.receive()):
                await _hand_over(decoder.receive(chunk), deltas)
                if decoder.terminated:
                    tail.deadline = min(tail.deadline, trio.current_time() + TAIL_SECONDS)
        except StreamTruncated as error:
            broken = error
    await _hand_over(decoder.receive_end(), deltas)
    try:
        # Some servers break off instead of ending the HTTP message: the codec knows whether it has the answer.
        completion = decoder.finish()
    except StreamTruncated:
        if broken is not None:
            raise broken from None
        raise
    if not decoder.streamed:
        # The server answered at once though a stream was asked for; the pieces add up to the answer all the same.
        await _hand_over(whole_deltas(completion), deltas)
    return completion


async def _hand_over(pieces: list[Delta], deltas: DeltaSink | None) -> None:
    if pieces and deltas is not None:
        await deltas.send_all(pieces)


def _thinking_budget(thinking: ThinkingOption) -> int:
    """The tokens that reasoning may take, where they are given as a number; else 0."""
    if isinstance(thinking, Mapping):
        # Anthropic's and Bedrock's word, Gemini's, OpenRouter's.
        named = (thinking.get(name) for name in ("budget_tokens", "thinkingBudget", "max_tokens"))
        thinking = next((budget for budget in named if budget is not None), None)
    return max(thinking, 0) if isinstance(thinking, int) and not isinstance(thinking, bool) else 0


def _secrets_in(headers: Mapping[str, str]) -> Iterator[str]:
    """What was sent to say who asks; a vendor may quote it back."""
    for name, value in headers.items():
        if name in ("authorization", "x-amz-security-token"):
            yield from (word for word in value.split() if len(word) >= SECRET_LENGTH)


def _merged(wire: WireRequest, headers: Mapping[str, str]) -> dict[str, str]:
    """The codec's headers under the user's; lists of beta features are joined."""
    merged = dict(wire.headers)
    for name, value in headers.items():
        merged[name] = f"{merged[name]},{value}" if name.endswith("-beta") and name in merged else value
    return merged
