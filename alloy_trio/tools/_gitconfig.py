"""Which keys of a git configuration name a program; pure.

Facts are those of ``git help config``. Keys of the commands that never run here count, too: a repository that is
trusted with nothing needs no exceptions, and the next version of git may run more of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BOOLEANS = frozenset(("", "true", "false", "yes", "no", "on", "off", "0", "1"))

_NAMES_A_PROGRAM = re.compile(
    r"""
    core\.(fsmonitor | pager | editor | sshcommand | gitproxy | askpass | alternaterefscommand)
    | (sequence\.editor | diff\.external | interactive\.difffilter | imap\.tunnel | uploadpack\.packobjectshook)
    | pager\..*
    | (diff | merge | filter | trailer | tar | hook | difftool | mergetool | guitool | browser | man)\..*
      \.(command | cmd | path | textconv | driver | clean | smudge | process)
    | (help | web | instaweb)\.(browser | httpd)
    | credential\.(.*\.)?helper
    | gpg\.(.*\.)?(program | defaultkeycommand)
    | remote\..*\.(uploadpack | receivepack | vcs)
    | sendemail\.(.*\.)?(tocmd | cccmd | headercmd | sendmailcmd)
    # What future versions may add.
    | .*(command | cmd | program)
    """,
    re.VERBOSE | re.DOTALL,
)


def entries(listing: str) -> Iterator[tuple[str, str, str]]:
    """Read what ``git config --list --show-scope -z`` says: scope, key and value, which is empty for a bare key.

    Raises:
        ValueError: it is not of that form.
    """
    if not listing:
        return
    fields = listing.split("\0")
    if fields.pop() or len(fields) % 2:
        raise ValueError("the listing ends in the middle")
    for scope, entry in zip(fields[::2], fields[1::2], strict=True):
        key, _, value = entry.partition("\n")
        if not scope.isalpha() or "." not in key:
            raise ValueError("the listing holds something else")
        yield scope, key, value


def names_program(key: str, value: str) -> bool:
    """Whether git would, for one command or another, run what is the value of a key.

    Args:
        key: as git lists it: section and variable in small letters.
        value: as it stands in the file.
    """
    section, _, rest = key.partition(".")
    subsection, _, variable = rest.rpartition(".")
    # Letters of a subsection may be large; what surrounds it never is.
    plain = f"{section}.{subsection}.{variable}" if subsection else f"{section}.{variable}"
    value = value.strip()
    if section == "alias" or (section == "submodule" and variable == "update"):
        return value.startswith("!")
    if section == "remote" and variable in ("url", "pushurl"):
        return value.startswith("ext::")
    if section == "url":
        return subsection.startswith("ext::")
    if section == "pager" or plain == "core.fsmonitor":
        return value.lower() not in _BOOLEANS
    if plain == "core.pager":
        return value not in ("", "cat")
    return bool(value) and _NAMES_A_PROGRAM.fullmatch(plain) is not None
