"""Which variables are kept from commands."""

from __future__ import annotations

import pytest

from alloy_trio.providers import PROVIDERS
from alloy_trio.tools._environment import is_secret, without_secrets


@pytest.mark.parametrize("name", sorted({name for preset in PROVIDERS for name in preset.env_vars}))
def test_every_variable_that_a_provider_reads_its_key_from_is_a_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SHARED_CREDENTIALS_FILE"),
        *(
            "GITHUB_TOKEN",
            "GH_PAT",
            "github_token",
            "NPM_CONFIG__AUTH",
            "SSH_AUTH_SOCK",
            "DB_PASS",
            "MYSQL_PWD",
        ),
        *("PGPASSWORD", "PGPASSFILE", "SENTRY_DSN", "SESSION_COOKIE", "KUBECONFIG", "GPG_PASSPHRASE"),
    ],
)
def test_other_secrets_are_known_by_their_names(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "PWD", "OLDPWD", "LANG", "TERM", "VIRTUAL_ENV", "EDITOR", "COMPASS", "PATTERN"),
        *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "XAUTHORITY", "AWS_REGION", "OLLAMA_HOST", "PYTHONPATH"),
    ],
)
def test_what_programs_need_is_no_secret(name: str) -> None:
    assert not is_secret(name, "/some/value:with@signs")


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("postgres://me:hunter2@db/x", True),
        ("redis://:hunter2@cache:6379", True),
        ("http://proxy:3128", False),
        ("git@github.com:me/x.git", False),
        ("https://me@host/x", False),
        ("https://host/a:b@c", False),
    ],
)
def test_an_address_with_a_password_is_one_whatever_its_name(value: str, secret: bool) -> None:
    assert is_secret("DATABASE_URL", value) is secret


def test_what_is_named_is_shown() -> None:
    ours = {"A_KEY": "1", "B_KEY": "2", "C": "3", "D": "x://a:b@c"}
    assert without_secrets(ours) == {"C": "3"}
    assert without_secrets(ours, {"B_KEY", "D", "MISSING"}) == {"B_KEY": "2", "C": "3", "D": "x://a:b@c"}
