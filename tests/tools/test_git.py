"""Git in repositories that mean no good: each attack fires in plain git, and never in the restricted tool."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from alloy_trio.tools import ToolContext, ToolError, bash
from alloy_trio.tools._gitconfig import entries, names_program

from .lines import run_line

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the attacks were tried on Linux only"),
]

ASKED = (
    "git status",
    "git status -sb",
    "git diff",
    "git diff HEAD~1 --stat",
    "git log",
    "git log -p -m",
    "git log --oneline -5 -- a.txt",
)
"""What a model asks; none of it may run what a repository names."""


def git(directory: Path, *arguments: str, text: str = "", terminal: bool = False, check: bool = True) -> str:
    """Plain git, with nobody's configuration but the repository's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "n",
        "GIT_AUTHOR_EMAIL": "e@example.com",
        "GIT_COMMITTER_NAME": "n",
        "GIT_COMMITTER_EMAIL": "e@example.com",
        "GIT_TERMINAL_PROMPT": "0",
        "TERM": "xterm",
    }
    for name in ("EDITOR", "VISUAL", "PAGER", "SSH_ASKPASS"):
        environment.pop(name, None)
    command = ["git", "-c", "init.defaultBranch=main", *arguments]
    if terminal:
        leader, follower = pty.openpty()
        try:
            subprocess.run(
                command,
                cwd=directory,
                env=environment,
                stdin=follower,
                stdout=follower,
                stderr=follower,
                timeout=60,
            )
        finally:
            os.close(leader)
            os.close(follower)
        return ""
    done = subprocess.run(
        command, cwd=directory, env=environment, input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


@attrs.frozen
class Place:
    """A repository in its allowed directory, and a canary outside of it."""

    top: Path

    @property
    def root(self) -> Path:
        return self.top / "root"

    @property
    def canary(self) -> str:
        return str(self.top / "canary.sh")

    @property
    def fired(self) -> bool:
        return (self.top / "fired").exists()

    def forget(self) -> None:
        (self.top / "fired").unlink(missing_ok=True)

    def git(self, *arguments: str, **options: object) -> str:
        return git(self.root, *arguments, **options)  # type: ignore[arg-type]

    def config(self, *pairs: str) -> None:
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.git("config", key, value.replace("CANARY", self.canary))

    def attributes(self, text: str) -> None:
        (self.root / ".git" / "info" / "attributes").write_text(text)

    def touch(self) -> None:
        """Make git look into the file again, and have something to write into its index."""
        os.utime(self.root / "a.txt", (1_000_000_000, 1_000_000_000))

    def change(self) -> None:
        (self.root / "a.txt").write_text("changed\n")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("template")
    root = top / "root"
    root.mkdir()
    git(root, "init")
    for number, text in enumerate(("first\n", "first\nsecond\n")):
        (root / "a.txt").write_text(text)
        git(root, "add", "a.txt")
        git(root, "commit", "-m", f"commit {number}")
    return top


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Place:
    top = tmp_path / "top"
    shutil.copytree(template, top, symlinks=True)
    canary = top / "canary.sh"
    canary.write_text(f'#!/bin/sh\necho "$0 $*" >> {top}/fired\nexit 1\n')
    canary.chmod(0o755)
    (top / "secret").write_text("UNIQUE-SECRET\n")
    return Place(top)


async def ask(command: str, context: ToolContext) -> str:
    done = await run_line(command, context)
    return done.text + done.errors.decode()


Attack = tuple[Callable[[Place], object], Callable[[Place], object]]
"""What prepares the repository, and the plain command that runs the canary."""


def key(*pairs: str, attributes: str = "", change: bool = True) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        place.config(*pairs)
        if attributes:
            place.attributes(attributes)
        (place.change if change else place.touch)()

    return prepare


def plain(*arguments: str, **options: object) -> Callable[[Place], str]:
    return lambda place: place.git(*arguments, check=False, **options)


def hook(directory: str, *pairs: str) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        hooks = place.root / directory
        hooks.mkdir(exist_ok=True)
        shutil.copy(place.canary, hooks / "post-index-change")
        place.config(*pairs)
        place.touch()

    return prepare


def included(*pairs: str) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        (place.top / "more").write_text(f"[core]\n\tfsmonitor = {place.canary}\n")
        (place.root / ".git" / "more").write_text(f"[core]\n\tfsmonitor = {place.canary}\n")
        place.config(*(value.replace("TOP", str(place.top)) for value in pairs))

    return prepare


def worktree_config(place: Place) -> None:
    place.config("extensions.worktreeConfig", "true")
    (place.root / ".git" / "config.worktree").write_text(f"[core]\n\tfsmonitor = {place.canary}\n")


def partial_clone(url: str, *pairs: str) -> Callable[[Place], None]:
    """A repository that lacks a file of its history, and says where to get it."""

    def prepare(place: Place) -> None:
        blob = place.git("rev-parse", "HEAD~1:a.txt")
        (place.root / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
        place.config(
            *("core.repositoryFormatVersion", "1", "extensions.partialClone", "origin"),
            *("remote.origin.promisor", "true", "remote.origin.url", url, *pairs),
        )

    return prepare


def signed(armor: str, *pairs: str) -> Callable[[Place], None]:
    """A commit with something that looks like a signature."""

    def prepare(place: Place) -> None:
        head, _, message = place.git("cat-file", "commit", "HEAD").partition("\n\n")
        lines = [f"-----BEGIN {armor}-----", "", "abcd", f"-----END {armor}-----"]
        signature = "gpgsig " + "\n ".join(lines)
        made = place.git(
            "hash-object", "-t", "commit", "-w", "--stdin", text=f"{head}\n{signature}\n\n{message}\n"
        )
        place.git("reset", "-q", "--hard", made)
        place.config(*pairs)

    return prepare


def merged(place: Place) -> None:
    for branch in ("one", "two"):
        place.git("checkout", "-q", "-b", branch, "main")
        (place.root / "a.txt").write_text(f"{branch}\n")
        place.git("commit", "-qam", branch)
    place.git("merge", "-q", "-s", "ours", "one")
    place.config("merge.evil.driver", "CANARY", "log.diffMerges", "remerge")
    place.attributes("*.txt merge=evil\n")


def nested(place: Place) -> None:
    """A repository inside of the repository, which git looks into as a submodule."""
    inner = place.root / "inner"
    inner.mkdir()
    git(inner, "init")
    (inner / "b.txt").write_text("b\n")
    git(inner, "add", "b.txt")
    git(inner, "commit", "-m", "inner")
    place.git("add", "inner")
    place.git("commit", "-m", "with inner")
    git(inner, "config", "core.fsmonitor", place.canary)


def alternate_refs(place: Place) -> None:
    shutil.copytree(place.root / ".git", place.root / "other.git")
    (place.root / ".git" / "objects" / "info" / "alternates").write_text(f"{place.root}/other.git/objects\n")
    place.config("core.alternateRefsCommand", "CANARY")


def gitdir_file(place: Place) -> None:
    place.config("core.fsmonitor", "CANARY", "core.worktree", str(place.root))
    (place.root / ".git").rename(place.root / "store")
    (place.root / ".git").write_text("gitdir: store\n")


def commondir(place: Place) -> None:
    place.config("core.fsmonitor", "CANARY")
    (place.root / ".git").rename(place.root / "store")
    linked = place.root / ".git"
    linked.mkdir()
    for name in ("HEAD", "index"):
        shutil.copy(place.root / "store" / name, linked / name)
    (linked / "commondir").write_text("../store\n")


ATTACKS: dict[str, Attack] = {
    "core.fsmonitor": (key("core.fsmonitor", "CANARY"), plain("status")),
    "fsmonitor with version": (
        key("core.fsmonitor", "CANARY", "core.fsmonitorHookVersion", "2"),
        plain("diff"),
    ),
    "diff.external": (key("diff.external", "CANARY"), plain("diff")),
    "diff driver": (key("diff.evil.command", "CANARY", attributes="* diff=evil\n"), plain("diff")),
    "textconv in diff": (key("diff.evil.textconv", "CANARY", attributes="* diff=evil\n"), plain("diff")),
    "textconv in log": (key("diff.evil.textconv", "CANARY", attributes="* diff=evil\n"), plain("log", "-p")),
    "driver of a built-in name": (
        key("diff.python.textconv", "CANARY", attributes="* diff=python\n"),
        plain("diff"),
    ),
    "filter clean in status": (
        key("filter.evil.clean", "CANARY", attributes="* filter=evil\n", change=False),
        plain("status"),
    ),
    "filter clean in diff": (
        key("filter.evil.clean", "CANARY", attributes="* filter=evil\n"),
        plain("diff"),
    ),
    "filter of an odd name": (
        key("filter.a=b.c.clean", "CANARY", attributes="* filter=a=b.c\n"),
        plain("diff"),
    ),
    "filter process": (
        key("filter.evil.process", "CANARY", attributes="* filter=evil\n"),
        plain("diff"),
    ),
    "filter smudge": (
        key("filter.evil.smudge", "CANARY", attributes="* filter=evil\n"),
        plain("checkout", "--", "a.txt"),
    ),
    "hook": (hook(".git/hooks"), plain("status")),
    "core.hooksPath": (hook("scripts", "core.hooksPath", "scripts"), plain("status")),
    "core.pager": (key("core.pager", "CANARY"), plain("log", terminal=True)),
    "pager.log": (key("pager.log", "CANARY"), plain("log", terminal=True)),
    "pager.status": (key("pager.status", "CANARY"), plain("status", terminal=True)),
    "gpg.program": (
        signed("PGP SIGNATURE", "gpg.program", "CANARY", "log.showSignature", "true"),
        plain("log"),
    ),
    "gpg.openpgp.program": (
        signed("PGP SIGNATURE", "gpg.openpgp.program", "CANARY", "log.showSignature", "true"),
        plain("log"),
    ),
    "gpg.x509.program": (
        signed("SIGNED MESSAGE", "gpg.x509.program", "CANARY", "log.showSignature", "true"),
        plain("log"),
    ),
    "gpg.ssh.program": (
        signed(
            *("SSH SIGNATURE", "gpg.ssh.program", "CANARY", "log.showSignature", "true"),
            *("gpg.ssh.allowedSignersFile", "/dev/null"),
        ),
        plain("log"),
    ),
    "format with a signature": (
        signed("PGP SIGNATURE", "gpg.program", "CANARY", "format.pretty", "mine", "pretty.mine", "%G?"),
        plain("log"),
    ),
    "alias": (key("alias.st", "!CANARY"), plain("st")),
    "include.path": (included("include.path", "more"), plain("status")),
    "include.path outside": (included("include.path", "TOP/more"), plain("status")),
    "includeIf": (included("includeIf.gitdir:**.path", "more"), plain("status")),
    "worktree configuration": (worktree_config, plain("status")),
    "uploadpack of a partial clone": (
        partial_clone(".", "remote.origin.uploadpack", "CANARY"),
        plain("log", "-p"),
    ),
    "ext:: of a partial clone": (
        partial_clone("ext::CANARY", "protocol.ext.allow", "always"),
        plain("log", "-p"),
    ),
    "core.sshCommand of a partial clone": (
        partial_clone("ssh://example.invalid/x", "core.sshCommand", "CANARY"),
        plain("log", "-p"),
    ),
    "core.gitProxy of a partial clone": (
        partial_clone("git://example.invalid/x", "core.gitProxy", "CANARY"),
        plain("log", "-p"),
    ),
    "remote helper of a partial clone": (
        partial_clone(
            "x", "remote.origin.vcs", "ext", "remote.origin.url", "CANARY", "protocol.ext.allow", "always"
        ),
        plain("log", "-p"),
    ),
    "credential.helper": (
        key("credential.helper", "CANARY"),
        plain("credential", "fill", text="url=https://example.invalid\n\n"),
    ),
    "core.askPass": (
        key("core.askPass", "CANARY"),
        plain("credential", "fill", text="url=https://example.invalid\n\n"),
    ),
    "core.editor": (key("core.editor", "CANARY"), plain("commit", "--amend")),
    "sequence.editor": (key("sequence.editor", "CANARY", change=False), plain("rebase", "-i", "HEAD~1")),
    "merge driver": (merged, plain("log", "-p", "-m")),
    "difftool": (
        key("difftool.evil.cmd", "CANARY"),
        plain("difftool", "-y", "-t", "evil"),
    ),
    "trailer": (
        key("trailer.x.key", "X", "trailer.x.command", "CANARY"),
        plain("interpret-trailers", "--trailer", "x=1", text="a\n"),
    ),
    "archive": (key("tar.evil.command", "CANARY"), plain("archive", "--format=evil", "HEAD")),
    "submodule": (nested, plain("status")),
    "-C into another repository": (nested, plain("-C", "inner", "status")),
    "core.alternateRefsCommand": (alternate_refs, plain("log", "--alternate-refs")),
    ".git that is a file": (gitdir_file, plain("status")),
    "commondir": (commondir, plain("status")),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_fires_in_plain_git_and_not_here(attack: str, place: Place) -> None:
    prepare, fire = ATTACKS[attack]
    prepare(place)
    before = place.top / "before"
    shutil.copytree(place.root, before, symlinks=True)
    fire(place)
    assert place.fired, "the attack shows nothing: plain git did not run it"
    place.forget()
    shutil.rmtree(place.root)
    before.rename(place.root)
    place.touch()
    index = place.root / ".git" / "index"
    written = index.read_bytes() if index.exists() else b""
    context = ToolContext.at(place.root)
    asked = (*ASKED, "git -C inner status", "git -C . status")
    for command in asked:
        with suppress(ToolError):
            await ask(command, context)
        assert not place.fired, (command, (place.top / "fired").read_text())
    # The tool itself, too, with all that is around it.
    with suppress(ToolError):
        assert bash.fn is not None
        await bash.fn("git status && git diff && git log -p", context)
    assert not place.fired
    assert (index.read_bytes() if index.exists() else b"") == written, "git wrote into the repository"


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        (("core.fsmonitor", "./x"), "core.fsmonitor"),
        (("diff.external", "x"), "diff.external"),
        (("filter.a.clean", "x"), "filter.a.clean"),
        (("filter.Large.process", "x"), "filter.Large.process"),
        (("diff.a.textconv", "x"), "diff.a.textconv"),
        (("core.sshCommand", "x"), "core.sshcommand"),
        (("credential.https://example.com.helper", "x"), "credential.https://example.com.helper"),
        (("alias.l", "!x"), "alias.l"),
        (("remote.origin.url", "ext::x"), "remote.origin.url"),
    ],
)
async def test_a_refusal_names_the_key(pairs: tuple[str, str], named: str, place: Place) -> None:
    place.config(*pairs)
    with pytest.raises(ToolError, match=r"names a program.*: ") as caught:
        await ask("git status", ToolContext.at(place.root))
    assert f": {named}." in str(caught.value)


async def test_a_repository_with_ordinary_configuration_works(place: Place) -> None:
    place.config(
        *(
            "user.name",
            "A. Person",
            "user.email",
            "a@example.com",
            "remote.origin.url",
            "https://example.com/x.git",
        ),
        *("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*", "branch.main.remote", "origin"),
        *("branch.main.merge", "refs/heads/main", "pull.rebase", "true", "push.default", "current"),
        *(
            "core.autocrlf",
            "input",
            "core.ignorecase",
            "false",
            "core.fsmonitor",
            "true",
            "color.ui",
            "always",
        ),
        *(
            "alias.st",
            "status",
            "pager.log",
            "false",
            "diff.renames",
            "copies",
            "diff.algorithm",
            "histogram",
        ),
        *("gc.auto", "0", "log.date", "iso", "merge.tool", "vimdiff", "core.hooksPath", ".husky"),
        *("submodule.recurse", "true", "commit.gpgsign", "true", "lfs.repositoryformatversion", "0"),
    )
    place.change()
    context = ToolContext.at(place.root)
    assert "modified:   a.txt" in await ask("git status", context)
    assert "+changed" in await ask("git diff", context)
    assert await ask("git log --format=%s", context) == "commit 1\ncommit 0\n"
    assert not (place.root / ".git" / "fsmonitor--daemon.ipc").exists()


async def test_nothing_of_the_users_or_the_systems_configuration_is_used(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = place.top / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f"[core]\n\tfsmonitor = {place.canary}\n[diff]\n\texternal = {place.canary}\n"
    )
    monkeypatch.setenv("HOME", str(home))
    for name in ("GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_SSH_COMMAND", "GIT_EDITOR"):
        monkeypatch.setenv(name, place.canary)
    monkeypatch.setenv("GIT_DIR", str(place.top / "nowhere"))
    monkeypatch.setenv("GIT_TRACE", str(place.top / "trace"))
    place.change()
    for command in ASKED:
        assert "fatal" not in await ask(command, ToolContext.at(place.root))
    assert not place.fired
    assert not (place.top / "trace").exists()


async def test_what_a_partial_clone_lacks_is_fetched_from_nowhere(place: Place) -> None:
    shutil.copytree(place.root, place.top / "origin")
    git(place.top / "origin", "config", "uploadpack.allowAnySHA1InWant", "true")
    partial_clone("../origin")(place)
    before = {path: path.read_bytes() for path in (place.root / ".git").rglob("*") if path.is_file()}
    output = await ask("git log -p", ToolContext.at(place.root))
    assert "fatal" in output
    assert "+first" not in output
    assert {path: path.read_bytes() for path in (place.root / ".git").rglob("*") if path.is_file()} == before
    assert "+first" in place.git("log", "-p"), "plain git fetches it"


class TestContainment:
    async def refusal(self, place: Place, command: str = "git status", match: str = "is not inside") -> None:
        with pytest.raises(ToolError, match=match) as caught:
            await ask(command, ToolContext.at(place.root))
        assert "UNIQUE-SECRET" not in str(caught.value)

    async def test_a_repository_around_the_allowed_directory_is_not_used(self, place: Place) -> None:
        (place.root / "sub").mkdir()
        assert "not a git repository" in await ask("git log", ToolContext.at(place.root / "sub"))

    async def test_a_repository_elsewhere_is_not_used(self, place: Place) -> None:
        (place.root / ".git").rename(place.top / "elsewhere")
        (place.root / ".git").write_text("gitdir: ../elsewhere\n")
        assert "commit 1" in place.git("log")
        await self.refusal(place)

    async def test_a_link_to_a_repository_elsewhere_is_not_used(self, place: Place) -> None:
        (place.root / ".git").rename(place.top / "elsewhere")
        (place.root / ".git").symlink_to("../elsewhere")
        assert "commit 1" in place.git("log")
        await self.refusal(place)

    async def test_a_common_directory_elsewhere_is_not_used(self, place: Place) -> None:
        commondir(place)
        (place.root / "store").rename(place.top / "store")
        (place.root / ".git" / "commondir").write_text("../../store\n")
        assert "commit 1" in place.git("log")
        await self.refusal(place)

    async def test_a_work_tree_elsewhere_is_not_used(self, place: Place) -> None:
        place.config("core.worktree", str(place.top))
        assert "secret" in place.git("status")
        await self.refusal(place)

    async def test_objects_of_a_repository_elsewhere_are_not_shown(self, place: Place) -> None:
        other = place.top / "other"
        shutil.copytree(place.root, other)
        (other / "s").write_text("UNIQUE-SECRET\n")
        git(other, "add", "s")
        git(other, "commit", "-m", "secret")
        secret = git(other, "rev-parse", "HEAD")
        alternates = place.root / ".git" / "objects" / "info" / "alternates"
        for text in (f"{other}/.git/objects\n", "# comment\n\n../../../other/.git/objects\n"):
            alternates.write_text(text)
            assert "UNIQUE-SECRET" in place.git("log", "-p", secret)
            await self.refusal(place, f"git log -p {secret}")
        alternates.write_text('"odd"\n')
        await self.refusal(place, match="odd name")
        alternates.write_text("x" * 200_000)
        await self.refusal(place, match="more than 100000 characters")
        alternates.unlink()
        middle = place.root / "middle" / "info"
        middle.mkdir(parents=True)
        (middle / "alternates").write_text(f"{other}/.git/objects\n")
        alternates.write_text("../../middle\n")
        assert "UNIQUE-SECRET" in place.git("log", "-p", secret)
        await self.refusal(place, f"git log -p {secret}")

    async def test_alternates_inside_work(self, place: Place) -> None:
        alternate_refs(place)
        place.git("config", "--unset", "core.alternateRefsCommand")
        assert "commit 1" in await ask("git log", ToolContext.at(place.root))

    async def test_a_link_in_the_repositorys_own_directory_shows_nothing_from_outside(
        self, place: Place
    ) -> None:
        inside = place.root / ".git"
        state = inside / "rebase-merge"
        state.mkdir()
        for name in ("onto", "head-name", "git-rebase-todo", "interactive"):
            (state / name).write_text("x\n")
        (state / "done").symlink_to(place.top / "secret")
        assert "UNIQUE-SECRET" in place.git("status")
        await self.refusal(place)
        shutil.rmtree(state)
        (place.top / "state").mkdir()
        (place.root / "way").symlink_to(place.top / "state")
        state.symlink_to("../way")
        await self.refusal(place)
        state.unlink()
        (inside / "packed-refs").symlink_to(place.top / "secret")
        await self.refusal(place)

    async def test_a_directory_behind_a_link_is_looked_through_too(self, place: Place) -> None:
        state = place.root / "state"
        state.mkdir()
        (state / "done").symlink_to(place.top / "secret")
        (place.root / ".git" / "rebase-merge").symlink_to("../state")
        await self.refusal(place)

    async def test_a_name_that_is_no_text_hides_no_directory(self, place: Place) -> None:
        hidden = os.fsencode(place.root) + b"/\xff"
        os.rename(place.root / ".git", hidden)
        (place.root / ".git").write_bytes(b"gitdir: " + hidden)
        os.mkdir(hidden + b"/rebase-merge")
        for name in (b"onto", b"head-name", b"git-rebase-todo", b"interactive"):
            os.symlink("../HEAD", hidden + b"/rebase-merge/" + name)
        os.symlink(os.fsencode(place.top / "secret"), hidden + b"/rebase-merge/done")
        assert "UNIQUE-SECRET" in place.git("status")
        await self.refusal(place)
        with pytest.raises(ToolError, match="half of a surrogate pair"):
            assert bash.fn is not None
            await bash.fn("git status", ToolContext.at(place.root))

    async def test_odd_names_and_values_are_no_reason_to_refuse(self, place: Place) -> None:
        place.config("user.name", "a\\x00b\nc")
        odd = place.root.with_name("wo\\rk\tä")
        place.root.rename(odd)
        assert bash.fn is not None
        assert "commit 1" in await bash.fn("git log", ToolContext.at(odd))
        git(odd, "config", "user.name", "a\x1bb")
        assert "commit 1" in await bash.fn("git log", ToolContext.at(odd))
        with (odd / ".git" / "config").open("ab") as file:
            file.write(b'[filter "\xff\x1b"]\nclean = x\n')
        with pytest.raises(
            ToolError, match="names a program, which git could be made to run: filter"
        ) as caught:
            await bash.fn("git log", ToolContext.at(odd))
        str(caught.value).encode()

    async def test_links_inside_and_hooks_from_outside_are_ordinary(self, place: Place) -> None:
        inside = place.root / ".git"
        (inside / "description").unlink(missing_ok=True)
        (inside / "description").symlink_to("HEAD")
        (inside / "loop").symlink_to(".")
        (inside / "hooks" / "pre-push").symlink_to(place.canary)
        assert "commit 1" in await ask("git log", ToolContext.at(place.root))

    async def test_a_pipe_in_the_repository_holds_nobody_up(self, place: Place) -> None:
        (place.root / ".git" / "packed-refs").unlink(missing_ok=True)
        os.mkfifo(place.root / ".git" / "packed-refs")
        await self.refusal(place, match="device or pipe")

    async def test_a_repository_without_files_among_the_files_is_none(self, place: Place) -> None:
        """Files that a model wrote may look like a repository; only .git is one, and there nothing is written."""
        bare = place.root / "notes"
        shutil.copytree(place.root / ".git", bare)
        git(bare, "config", "core.fsmonitor", place.canary)
        git(bare, "config", "core.worktree", str(place.root))
        git(bare, "status", check=False)
        assert place.fired
        place.forget()
        for command in ASKED:
            output = await ask(command, ToolContext.at(bare, [place.root]))
            assert "fatal" in output or "Not a git repository" in output
        await self.refusal(place, "git -C notes status", match="another repository")
        assert not place.fired

    async def test_too_many_files_of_its_own_are_refused(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("alloy_trio.tools._git.MAX_ENTRIES", 5)
        await self.refusal(place, match="more than 5 files of its own")

    async def test_another_directory_of_the_same_repository_is_used(self, place: Place) -> None:
        sub = place.root / "sub"
        sub.mkdir()
        (sub / "b.txt").write_text("b\n")
        context = ToolContext.at(place.root)
        assert await ask("git -C sub status --porcelain .", context) == "?? sub/\n"
        assert await ask("git -C sub --no-pager log -1 --format=%s -- ../a.txt", context) == "commit 1\n"
        assert await ask(f"git -C {place.root} log -1 --format=%s", context) == "commit 1\n"
        for line in ("git -C .. status", "git -C sub log -- ../../secret", f"git -C {place.top} log"):
            await self.refusal(place, line, match="outside of what may be touched")
        (sub / ".git").mkdir()
        await self.refusal(place, "git -C sub status", match="another repository")
        inner = ToolContext.at(sub, [sub, place.root])
        with pytest.raises(ToolError, match="another repository"):
            await ask("git -C .. log", inner)


class TestKeys:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("core.fsmonitor", "x"),
            ("core.pager", "less"),
            ("pager.x", "less"),
            ("core.editor", "vim"),
            ("sequence.editor", "vim"),
            ("diff.x.y.command", "z"),
            ("merge.x.driver", "z"),
            ("mergetool.x.cmd", "z"),
            ("mergetool.x.path", "z"),
            ("guitool.x.cmd", "z"),
            ("browser.x.path", "z"),
            ("man.x.cmd", "z"),
            ("web.browser", "z"),
            ("instaweb.httpd", "z"),
            ("remote.x.receivepack", "z"),
            ("remote.x.pushurl", "ext::z"),
            ("url.ext::z.insteadof", "http"),
            ("submodule.x.update", "!z"),
            ("gpg.ssh.defaultkeycommand", "z"),
            ("hook.x.command", "z"),
            ("sendemail.tocmd", "z"),
            ("imap.tunnel", "z"),
            ("interactive.difffilter", "z"),
            ("uploadpack.packobjectshook", "z"),
            ("something.new.command", "z"),
        ],
    )
    def test_what_names_a_program(self, name: str, value: str) -> None:
        assert names_program(name, value)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("core.fsmonitor", "TRUE"),
            ("core.fsmonitor", ""),
            ("core.pager", "cat"),
            ("pager.log", "off"),
            ("diff.external", ""),
            ("filter.lfs.required", "true"),
            ("alias.st", "status -sb"),
            ("submodule.x.update", "rebase"),
            ("remote.origin.url", "git@example.com:x.git"),
            ("branch.command.remote", "origin"),
            ("branch.a.program.merge", "x"),
            ("diff.x.xfuncname", "^a"),
            ("user.name", "command"),
        ],
    )
    def test_what_names_none(self, name: str, value: str) -> None:
        assert not names_program(name, value)

    def test_a_listing_is_read_and_anything_else_refused(self) -> None:
        assert list(entries("")) == []
        assert list(entries("local\0a.b.C.d\nx\ny\0command\0e.f\0")) == [
            ("local", "a.b.C.d", "x\ny"),
            ("command", "e.f", ""),
        ]
        for wrong in (
            "fatal: no",
            "local\0",
            "local\0a.b\nc",
            "warning: x\0a.b\nc\0",
            "local\0ab\nc\0",
            "\0",
        ):
            with pytest.raises(ValueError, match="listing"):
                list(entries(wrong))
