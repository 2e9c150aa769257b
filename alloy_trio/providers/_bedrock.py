"""Amazon Bedrock: a host for each region, and requests that are signed where no bearer token is given."""

from __future__ import annotations

import time
from typing import Self, Unpack

from . import _hosts
from ._http import HttpOptions, HttpProvider


class Bedrock(HttpProvider):
    """Models on Amazon Bedrock, over Converse.

    With ``api_key`` or ``AWS_BEARER_TOKEN_BEDROCK`` the key is sent as a bearer token. Otherwise requests are signed
    (Signature Version 4) with ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, or with the keys of a profile.

    Args:
        model: an id, an inference profile or an ARN, like ``"us.anthropic.claude-sonnet-4-5-20250929-v1:0"``.
        region: like ``"us-east-1"``; default: ``AWS_REGION``, ``AWS_DEFAULT_REGION``, else the profile's.
        profile: a profile of the AWS files; default: ``AWS_PROFILE``, else ``default``.
        options: see :class:`~alloy_trio.providers.HttpOptions`.

    Raises:
        ConfigurationError: the region is none; on entry, there is no region or there are no credentials.
    """

    def __init__(
        self,
        model: str,
        *,
        region: str | None = None,
        profile: str | None = None,
        **options: Unpack[HttpOptions],
    ) -> None:
        # Here and below: whoever asks another provider need not load what looks for credentials.
        from alloy_trio.wire import BedrockCodec

        from ._aws_credentials import AwsSigner, bedrock_url, known_region

        known = known_region(region)
        self._awaits_region = not options.get("base_url") and known is None
        if not options.get("base_url"):
            options["base_url"] = bedrock_url(known or "us-east-1")
        super().__init__(model, codec=BedrockCodec(), host=_hosts.BEDROCK, **options)
        if self._awaits_region:
            self.base_url = ""  # the region is in a file, which is read on entry
        self._profile = profile
        self._signer = AwsSigner(region=known, profile=profile)

    async def __aenter__(self) -> Self:
        if self._awaits_region:
            from ._aws_credentials import AwsSigner, bedrock_url, find_region

            region = await find_region(profile=self._profile)
            self.base_url = bedrock_url(region)
            self._signer = AwsSigner(region=region, profile=self._profile)
            self._awaits_region = False
        if not self._key() and not self._brings_credentials():
            # Here already, like a missing key of any other provider.
            await self._signer.identity(now=time.time())
        return await super().__aenter__()

    async def _authorised(self, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        if "authorization" in headers:
            return headers
        return await self._signer.signed_headers("POST", url, headers, body, now=time.time())
