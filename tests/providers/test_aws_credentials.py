"""Whose requests to Amazon's services these are."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
import trio.testing

from alloy_trio.providers import _aws_credentials
from alloy_trio.providers._aws_credentials import (
    REFRESH_SECONDS,
    AwsIdentity,
    AwsSigner,
    bedrock_url,
    find_identity,
    find_region,
    known_region,
)
from alloy_trio.values import ConfigurationError
from alloy_trio.wire._sigv4 import AwsCredentials, sign

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "env-secret"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without anything in it, and an environment that says nothing."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    return tmp_path


def write(home: Path, *, credentials: str | None = None, config: str | None = None) -> None:
    for name, text in (("credentials", credentials), ("config", config)):
        if text is not None:
            (home / ".aws" / name).write_text(text, encoding="utf-8")


def set_env(monkeypatch: pytest.MonkeyPatch, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def identity(ident: str, secret: str, region: str, token: str | None = None) -> AwsIdentity:
    credentials = AwsCredentials(access_key_id=ident, secret_access_key=secret, session_token=token)
    return AwsIdentity(credentials=credentials, region=region)


# ---- where they are found


async def test_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, {**KEYS, "AWS_SESSION_TOKEN": "tok", "AWS_REGION": "eu-west-1"})

    def never(_: object) -> object:
        raise AssertionError("a file was read")

    monkeypatch.setattr(_aws_credentials, "_read_files", never)
    assert await find_identity() == identity("AKIDENV", "env-secret", "eu-west-1", "tok")


async def test_a_profile_of_the_files_is_used_without_the_environment(home: Path) -> None:
    write(
        home,
        credentials="[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = file=se;cr#et\n",
        config="[default]\nregion = us-west-2\noutput = json\n",
    )
    assert await find_identity() == identity("AKIDFILE", "file=se;cr#et", "us-west-2")


async def test_the_named_profile_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        home,
        credentials=(
            "[default]\naws_access_key_id=A\naws_secret_access_key=a\n"
            "[work]\naws_access_key_id=B\naws_secret_access_key=b\naws_session_token=t\n"
        ),
        config="[default]\nregion=us-east-1\n[profile work]\nregion=eu-north-1\n[profile home]\nregion=eu-west-3\n"
        "aws_access_key_id=C\naws_secret_access_key=c\n",
    )
    assert await find_identity() == identity("A", "a", "us-east-1")
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert await find_identity() == identity("B", "b", "eu-north-1", "t")
    assert await find_identity(profile="home") == identity("C", "c", "eu-west-3")
    assert await find_region() == "eu-north-1"
    # Keys of the environment go before a profile of the environment, and a profile of the code before both.
    set_env(monkeypatch, KEYS)
    assert await find_identity() == identity("AKIDENV", "env-secret", "eu-north-1")
    assert await find_identity(profile="home") == identity("C", "c", "eu-west-3")


async def test_the_region_is_taken_from_the_nearest_place(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_env(monkeypatch, KEYS)
    write(home, config="[default]\nregion=us-east-1\n")
    assert (await find_identity()).region == await find_region() == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
    assert (await find_identity()).region == await find_region() == "us-east-2"
    monkeypatch.setenv("AWS_REGION", "us-west-1")
    assert (await find_identity()).region == await find_region() == "us-west-1"
    assert (await find_identity(region="eu-west-1")).region == "eu-west-1"
    assert await find_region(region="eu-west-1") == "eu-west-1"


async def test_the_files_may_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text("[p]\naws_access_key_id=A\naws_secret_access_key=a\n")
    (tmp_path / "conf").write_text("[profile p]\nregion=us-east-1\n")
    set_env(
        monkeypatch,
        {
            "AWS_SHARED_CREDENTIALS_FILE": "~/keys",
            "AWS_CONFIG_FILE": str(tmp_path / "conf"),
            "AWS_PROFILE": "p",
        },
    )
    assert await find_identity() == identity("A", "a", "us-east-1")


async def test_odd_files_are_read_as_the_vendors_client_reads_them(home: Path) -> None:
    write(
        home,
        credentials="\ufeff# a comment\n[default]\naws_access_key_id = A\naws_secret_access_key = a%(x)s\n; more\n",
        config='[default]\ns3 =\n    max_concurrent_requests = 20\nregion = us-east-1\nregion = us-east-2\n'
        '[profile "with space"]\nregion = eu-west-1\n[sso-session x]\nsso_region = us-east-1\n',
    )  # fmt: skip
    assert await find_identity() == identity("A", "a%(x)s", "us-east-2")
    assert await find_region(profile="with space") == "eu-west-1"


async def test_the_vendors_own_client_finds_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = pytest.importorskip("botocore.session", reason="the vendor's client is not installed")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    write(
        home,
        credentials="[a]\naws_access_key_id=A1\naws_secret_access_key=a1\n[b]\naws_access_key_id=B1\n"
        "aws_secret_access_key=b1\naws_session_token=t\n",
        config="[profile a]\nregion=us-east-1\n[profile b]\nregion=eu-west-1\n[profile c]\nregion=eu-west-2\n"
        "aws_access_key_id=C1\naws_secret_access_key=c1\n",
    )
    for name in ("a", "b", "c"):
        theirs = session.Session(profile=name)
        found = theirs.get_credentials().get_frozen_credentials()
        ours = await find_identity(profile=name)
        assert ours == identity(
            found.access_key, found.secret_key, theirs.get_config_variable("region"), found.token
        )


# ---- what is missing or wrong


async def refused(**options: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await find_identity(**options)
    text = "".join(traceback.format_exception(caught.value))
    assert "s3cr3t" not in text
    return str(caught.value)


async def test_without_credentials_the_ways_to_give_them_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    words = await refused()
    assert "AWS_BEARER_TOKEN_BEDROCK" in words and "AWS_ACCESS_KEY_ID" in words and "'default'" in words


async def test_without_a_region_the_ways_to_give_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, KEYS)
    assert "region=" in await refused()
    with pytest.raises(ConfigurationError, match="AWS_REGION"):
        await find_region()


@pytest.mark.parametrize("name", KEYS)
async def test_half_of_a_key_is_a_mistake(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv(name, "s3cr3t")
    assert "is not; set both" in await refused()
    monkeypatch.delenv(name)
    write(home, credentials=f"[default]\n{name.lower()} = s3cr3t\n")
    assert "'default' has no aws_" in await refused()


async def test_halves_of_two_files_make_no_whole(home: Path) -> None:
    write(
        home,
        credentials="[default]\naws_access_key_id=A\n",
        config="[default]\nregion=us-east-1\naws_secret_access_key=s3cr3t\n",
    )
    assert "has no aws_secret_access_key" in await refused()


async def test_a_profile_that_is_not_there_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, credentials="[default]\naws_access_key_id=A\naws_secret_access_key=s3cr3t\n")
    assert "'work' (profile=)" in await refused(profile="work")
    monkeypatch.setenv("AWS_PROFILE", "home")
    words = await refused()
    assert "'home' (AWS_PROFILE)" in words and str(home / ".aws" / "config") in words


@pytest.mark.parametrize(
    "wish",
    [
        "role_arn = arn:aws:iam::1:role/x\nsource_profile = default",
        "sso_session = x",
        "sso_start_url = https://x",
        "web_identity_token_file = /x\nrole_arn = y",
        "credential_process = /bin/x",
    ],
)
async def test_a_profile_that_gets_its_keys_elsewhere_is_not_taken_for_another(home: Path, wish: str) -> None:
    keys = "" if "process" in wish else "aws_access_key_id=A\naws_secret_access_key=s3cr3t\n"
    write(
        home,
        credentials=f"[work]\n{keys}" if keys else None,
        config=f"[profile work]\nregion=us-east-1\n{wish}\n",
    )
    words = await refused(profile="work")
    assert "export-credentials --profile work" in words
    assert any(name in words for name in wish.replace(" =", "").split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("aws_secret_access_key = s3cr3t\n", "line 1 stands outside"),
        ("[default]\ns3cr3t\n", "line 2 is not"),
        ("[default]\na=b\ns3cr3t\n", "line 3 is not"),
        (b"[default]\naws_secret_access_key = s3cr3t\xff\n", "UnicodeDecodeError"),
    ],
)
async def test_a_file_that_cannot_be_read_is_named_without_its_words(
    home: Path, text: str | bytes, says: str
) -> None:
    path = home / ".aws" / "credentials"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    words = await refused(region="us-east-1")
    assert says in words and str(path) in words


async def test_a_directory_in_place_of_a_file_is_named(home: Path) -> None:
    (home / ".aws" / "credentials").mkdir()
    assert "IsADirectoryError" in await refused(region="us-east-1")


async def test_credentials_that_no_header_can_carry_are_refused_before(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        home,
        credentials="[default]\naws_access_key_id=A\naws_secret_access_key=x\naws_session_token=s3cr3t\n  more\n",
    )
    assert "the profile 'default'" in await refused(region="us-east-1")
    set_env(monkeypatch, {**KEYS, "AWS_SESSION_TOKEN": "s3cr3t\u00e9"})
    assert "the environment" in await refused(region="us-east-1")


@pytest.mark.parametrize(
    "region", ["x", "evil.example/", "us-east-1.evil.example", "US-EAST-1", "us east", "-a-b"]
)
async def test_what_is_no_region_becomes_no_host(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="us-east-1"):
        bedrock_url(region)
    set_env(monkeypatch, KEYS)
    assert "name of a region" in await refused(region=region)
    monkeypatch.setenv("AWS_REGION", region)
    assert "name of a region" in await refused()


def test_where_bedrock_answers() -> None:
    assert bedrock_url("us-east-1") == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert bedrock_url("us-gov-west-1") == "https://bedrock-runtime.us-gov-west-1.amazonaws.com"
    assert bedrock_url("cn-north-1") == "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"


# ---- what else is promised


async def test_files_are_read_in_another_thread_and_every_look_up_is_a_checkpoint(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, credentials="[default]\naws_access_key_id=A\naws_secret_access_key=a\n")
    threads: list[int] = []
    original = _aws_credentials._read_files

    def noting(files: tuple[Path, Path]) -> object:
        threads.append(threading.get_ident())
        return original(files)

    monkeypatch.setattr(_aws_credentials, "_read_files", noting)
    with trio.testing.assert_checkpoints():
        await find_identity(region="us-east-1")
    assert len(threads) == 1 and threads[0] != threading.get_ident()
    set_env(monkeypatch, KEYS)
    with trio.testing.assert_checkpoints():
        await find_identity(region="us-east-1")
    with trio.testing.assert_checkpoints():
        await find_region(region="us-east-1")
    assert len(threads) == 1


async def test_no_secret_shows(home: Path) -> None:
    write(
        home,
        credentials="[default]\naws_access_key_id=A\naws_secret_access_key=s3cr3t\naws_session_token=t0k3n\n",
    )
    found = await find_identity(region="us-east-1")
    profile = await _aws_credentials._choose(None)
    signer = AwsSigner(region="us-east-1")
    await signer.identity(now=0.0)
    for value in (found, profile, signer, vars(signer)):
        assert "s3cr3t" not in repr(value) and "t0k3n" not in repr(value)


def test_the_region_is_known_without_files_where_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert known_region() is None
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert known_region() == "us-east-1"
    assert known_region("eu-west-1") == "eu-west-1"


async def test_a_request_is_signed_with_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, {**KEYS, "AWS_SESSION_TOKEN": "tok"})
    headers = {"content-type": "application/json", "accept": "a"}
    url = bedrock_url("us-east-1") + "/model/m%3A0/converse"
    signed = await AwsSigner(region="us-east-1").signed_headers("POST", url, headers, b"{}", now=1e9)
    credentials = AwsCredentials(access_key_id="AKIDENV", secret_access_key="env-secret", session_token="tok")
    expected = sign(
        "POST", url, headers, b"{}", credentials=credentials, region="us-east-1", service="bedrock", now=1e9
    )
    assert signed == {**headers, **expected}
    assert signed["x-amz-security-token"] == "tok"


async def test_credentials_are_looked_up_again_now_and_then(home: Path) -> None:
    def put(ident: str) -> None:
        write(home, credentials=f"[default]\naws_access_key_id={ident}\naws_secret_access_key=a\n")

    signer = AwsSigner(region="us-east-1")

    async def who(now: float) -> str:
        with trio.testing.assert_checkpoints():
            return (await signer.identity(now=now)).credentials.access_key_id

    put("OLD")
    assert await who(1000.0) == "OLD"
    put("NEW")
    assert await who(1000.0 + REFRESH_SECONDS - 1) == "OLD"
    assert await who(1000.0 + REFRESH_SECONDS) == "NEW"
    put("THIRD")
    assert await who(5.0) == "THIRD"  # the clock was set back


async def test_a_look_up_that_fails_is_tried_again_by_the_next_request(home: Path) -> None:
    signer = AwsSigner(region="us-east-1")
    with pytest.raises(ConfigurationError):
        await signer.identity(now=1.0)
    write(home, credentials="[default]\naws_access_key_id=A\naws_secret_access_key=a\n")
    assert (await signer.identity(now=1.0)).credentials.access_key_id == "A"
