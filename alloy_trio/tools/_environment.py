"""Which environment variables a command may see; pure.

Secrets are told by their names, and by one kind of value. So this keeps a key out of a log and out of the hands of a
program that has no use for it; it is no wall: outside of a sandbox, a command may read its caller's memory.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL")
"""A variable is a secret when one of these is anywhere in its name, in capitals or not."""

PARTS = frozenset({"AUTH", "AUTHORIZATION", "BEARER", "COOKIE", "DSN", "JWT", "PASS", "PAT", "PWD"})
"""And when one of these is a whole part of it, between underscores: ``SSH_AUTH_SOCK``, but not ``GIT_AUTHOR_NAME``."""

NAMES = frozenset({"KUBECONFIG", "NETRC", "PGPASSFILE"})
"""And these, which name files of credentials."""

NO_SECRETS = frozenset({"PWD", "OLDPWD"})

_PASSWORD_IN_ADDRESS = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def is_secret(name: str, value: str = "") -> bool:
    """Whether a variable is kept from commands: by its name, or as an address with a password in it.

    Args:
        name: the variable's.
        value: what it holds.
    """
    upper = name.upper()
    return (
        upper not in NO_SECRETS
        and (any(word in upper for word in WORDS) or not PARTS.isdisjoint(upper.split("_")) or upper in NAMES)
    ) or _PASSWORD_IN_ADDRESS.search(value) is not None


def without_secrets(environment: Mapping[str, str], shown: Collection[str] = ()) -> dict[str, str]:
    """An environment for a command.

    Args:
        environment: ours.
        shown: names of variables that it may see in any case.
    """
    return {name: value for name, value in environment.items() if name in shown or not is_secret(name, value)}
