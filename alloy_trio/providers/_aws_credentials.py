"""Whose requests to Amazon's services these are: the environment, else the profile files.

The vendor's own clients look further (roles, single sign-on, helper programs, the machine they run on). A
profile that asks for one of these is refused with the command that turns it into keys, rather than signed
for with the wrong identity.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import attrs
import trio

from alloy_trio.values import ConfigurationError
from alloy_trio.wire import AwsCredentials, sign

REFRESH_SECONDS = 300.0
"""How long credentials are used before they are looked up again. Tools that renew temporary ones rewrite the
profile file; the vendor takes old ones for a few minutes longer than it says."""

_ELSEWHERE = ("role_arn", "web_identity_token_file", "sso_session", "sso_start_url")
"""What makes a profile speak for somebody else than its keys."""

_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")

_DOMAINS = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isof-", "csp.hci.ic.gov"),
)
"""Partitions with a domain of their own, by how their regions begin; as botocore's endpoints have them."""

_Profiles = dict[str, dict[str, str]]


@attrs.frozen(kw_only=True)
class AwsIdentity:
    """Who asks, and where.

    Args:
        credentials: who signs.
        region: like ``"us-east-1"``.
    """

    credentials: AwsCredentials
    region: str


async def find_identity(*, region: str | None = None, profile: str | None = None) -> AwsIdentity:
    """Look up credentials and region.

    Credentials are ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN``, unless a profile
    is given; else those of the profile (``AWS_PROFILE``, else ``default``). Profiles are in ``~/.aws/credentials``
    and ``~/.aws/config``, or in the files that ``AWS_SHARED_CREDENTIALS_FILE`` and ``AWS_CONFIG_FILE`` name; they
    are read in a worker thread, and only if something is missing without them.

    Args:
        region: the region, when the caller knows it; else see :func:`find_region`.
        profile: the profile to use, before the environment's keys.

    Raises:
        ConfigurationError: something is missing, or a file cannot be read; says what to do.

    *Cancellation*: a checkpoint in any case; a file that is being read is left to its thread.
    """
    await trio.lowlevel.checkpoint()
    region = known_region(region)
    credentials = None if profile else _from_environment(os.environ)
    if region and credentials:
        return AwsIdentity(credentials=credentials, region=region)
    chosen = await _choose(profile)
    return AwsIdentity(credentials=credentials or chosen.credentials(), region=region or chosen.region())


async def find_region(*, region: str | None = None, profile: str | None = None) -> str:
    """The region: the given one, ``AWS_REGION`` or ``AWS_DEFAULT_REGION``, else the profile's.

    Raises and cancels as :func:`find_identity`.
    """
    await trio.lowlevel.checkpoint()
    region = known_region(region)
    return region if region else (await _choose(profile)).region()


class AwsSigner:
    """Signs requests, with credentials that are looked up when the first one comes and then now and again.

    Args:
        region, profile: see :func:`find_identity`.
        service: the service's name for signing.
    """

    def __init__(
        self, *, region: str | None = None, profile: str | None = None, service: str = "bedrock"
    ) -> None:
        self._region = region
        self._profile = profile
        self._service = service
        # Replaced whole, never changed: tasks of several runs may meet here.
        self._found: tuple[float, AwsIdentity] | None = None

    async def identity(self, *, now: float) -> AwsIdentity:
        """Who signs; ``now`` is the time in seconds since the epoch. Raises and cancels as :func:`find_identity`."""
        found = self._found
        if found is not None and 0 <= now - found[0] < REFRESH_SECONDS:
            await trio.lowlevel.checkpoint()
            return found[1]
        identity = await find_identity(region=self._region, profile=self._profile)
        self._found = (now, identity)
        return identity

    async def signed_headers(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> dict[str, str]:
        """All headers to send, the signature among them.

        Args:
            method: the HTTP method.
            url: the whole address as it is sent.
            headers: those of the request, with lower-case names.
            body: the body.
            now: seconds since the epoch.

        Raises:
            ConfigurationError: see :func:`find_identity`.
        """
        identity = await self.identity(now=now)
        added = sign(
            method, url, headers, body,
            credentials=identity.credentials, region=identity.region, service=self._service, now=now,
        )  # fmt: skip
        return {**headers, **added}


def bedrock_url(region: str) -> str:
    """Where Bedrock answers in a region.

    Raises:
        ConfigurationError: it is not the name of a region.
    """
    checked_region(region)
    domain = next((domain for start, domain in _DOMAINS if region.startswith(start)), "amazonaws.com")
    return f"https://bedrock-runtime.{region}.{domain}"


def checked_region(region: str) -> str:
    """The region, which becomes part of a host's name.

    Raises:
        ConfigurationError: it is not the name of one.
    """
    if not _REGION.fullmatch(region):
        raise ConfigurationError(f"region={region!r} is not the name of a region; write it like 'us-east-1'")
    return region


def _from_environment(environ: Mapping[str, str]) -> AwsCredentials | None:
    ident = environ.get("AWS_ACCESS_KEY_ID", "").strip()
    secret = environ.get("AWS_SECRET_ACCESS_KEY", "").strip()
    if not ident and not secret:
        return None
    if not ident or not secret:
        there, missing = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
        if not ident:
            there, missing = missing, there
        raise ConfigurationError(
            f"{there} is set and {missing} is not; set both, or neither to use a profile"
        )
    token = environ.get("AWS_SESSION_TOKEN", "").strip() or environ.get("AWS_SECURITY_TOKEN", "").strip()
    return _checked(ident, secret, token, "the environment")


def _checked(ident: str, secret: str, token: str, where: str) -> AwsCredentials:
    # Here, because the HTTP library's own complaint about a header would quote it.
    if not all(text.isascii() and text.isprintable() and " " not in text for text in (ident, secret, token)):
        raise ConfigurationError(
            f"the credentials in {where} have characters that no credentials have; check how they were copied"
        )
    return AwsCredentials(access_key_id=ident, secret_access_key=secret, session_token=token or None)


@attrs.frozen
class _Profile:
    """A profile as the files have it."""

    name: str
    keys: Mapping[str, str] = attrs.field(repr=False)  # in the credentials file
    config: Mapping[str, str] = attrs.field(repr=False)  # in the configuration file
    config_file: Path

    def region(self) -> str:
        region = self.config.get("region") or self.keys.get("region")
        if not region:
            raise ConfigurationError(
                "Bedrock needs a region: give region=, set AWS_REGION, or set `region` in the profile "
                f"{self.name!r} of {self.config_file}"
            )
        return checked_region(region)

    def credentials(self) -> AwsCredentials:
        self._refuse_others()
        # Keys of one file only: an id from one and a secret from the other do not belong together.
        for source in (self.keys, self.config):
            ident, secret = source.get("aws_access_key_id", ""), source.get("aws_secret_access_key", "")
            if ident and secret:
                token = source.get("aws_session_token") or source.get("aws_security_token") or ""
                return _checked(ident, secret, token, f"the profile {self.name!r}")
            if ident or secret:
                missing = "aws_secret_access_key" if ident else "aws_access_key_id"
                raise ConfigurationError(
                    f"the profile {self.name!r} has no {missing}; add it beside the other"
                )
        raise ConfigurationError(
            "Bedrock needs credentials: set AWS_BEARER_TOKEN_BEDROCK or give api_key=, or set AWS_ACCESS_KEY_ID "
            f"and AWS_SECRET_ACCESS_KEY, or put keys into the profile {self.name!r} with `aws configure`"
        )

    def _refuse_others(self) -> None:
        both = {**self.config, **self.keys}
        wish = next((field for field in _ELSEWHERE if both.get(field)), None)
        if wish is None and both.get("credential_process") and not both.get("aws_access_key_id"):
            wish = "credential_process"
        if wish is not None:
            raise ConfigurationError(
                f"the profile {self.name!r} gets its credentials by {wish}, which is not supported here; run "
                f'`eval "$(aws configure export-credentials --profile {self.name} --format env)"` first, or use '
                "a Bedrock API key (api_key=, AWS_BEARER_TOKEN_BEDROCK)"
            )


async def _choose(profile: str | None) -> _Profile:
    """The profile that is meant; an empty one when none was asked for and there is no default."""
    asked = profile or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    name = asked or "default"
    files = _files()
    keys, config = await trio.to_thread.run_sync(_read_files, files, abandon_on_cancel=True)
    if asked and name not in keys and name not in config:
        raise ConfigurationError(
            f"the profile {name!r} ({'profile=' if profile else 'AWS_PROFILE'}) is neither in {files[0]} nor in "
            f"{files[1]}; check its name, or add it with `aws configure --profile {name}`"
        )
    return _Profile(name, keys.get(name, {}), config.get(name, {}), files[1])


def known_region(region: str | None = None) -> str | None:
    """The region, as far as no file has to be read for it: the given one, or the environment's.

    Raises:
        ConfigurationError: it is not the name of a region.
    """
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return checked_region(region) if region else None


def _files() -> tuple[Path, Path]:
    """Where the credentials and the configuration are."""
    named = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
        os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
    )
    return Path(os.path.expanduser(named[0])), Path(os.path.expanduser(named[1]))


def _read_files(files: tuple[Path, Path]) -> tuple[_Profiles, _Profiles]:
    keys, sections = _read(files[0]), _read(files[1])
    config = {
        name.removeprefix("profile").strip().strip("'\""): values
        for name, values in sections.items()
        if name == "default" or name.startswith(("profile ", "profile\t"))
    }
    return keys, config


def _read(path: Path) -> _Profiles:
    """The sections of a file; none when it does not exist."""
    import configparser  # rarely needed, and not free to import

    parser = configparser.RawConfigParser(strict=False, default_section="")
    what: str | None = None
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        what = type(exc).__name__
    except configparser.MissingSectionHeaderError as exc:
        what = f"line {exc.lineno} stands outside every [section]"
    except configparser.ParsingError as exc:
        what = f"line {exc.errors[0][0]} is not `name = value`"
    if what is not None:
        # Not in the words of the original, and no chain to it: that holds lines of the file, which may be secret.
        raise ConfigurationError(f"{path} cannot be read: {what}; check the file")
    return {name: {key: value.strip() for key, value in parser.items(name)} for name in parser.sections()}
