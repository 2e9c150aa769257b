"""The private directory: what is put into it stays in it, whatever is done to its place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from alloy_trio.tools._private import PrivateDirectory


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrivateDirectory:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return PrivateDirectory()


def put(private: PrivateDirectory, content: bytes = b"x") -> Path:
    with private.create("bash") as file:
        file.write(content)
    return Path(file.name)


def test_nobody_else_may_read_it_and_it_goes_with_all_that_is_in_it(private: PrivateDirectory) -> None:
    before = sorted(os.listdir("/dev/fd"))
    first, second = put(private, b"one"), put(private, b"two")
    assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")
    assert first.parent == private.path and private.holds(first) and not private.holds(first.parent)
    assert first.stat().st_mode & 0o777 == 0o600 and first.parent.stat().st_mode & 0o777 == 0o700
    private.close()
    private.close()
    assert not first.parent.exists()
    assert sorted(os.listdir("/dev/fd")) == before
    with pytest.raises(ValueError, match="has been removed"):
        private.create("bash")


def test_a_link_in_its_place_leads_nothing_elsewhere(private: PrivateDirectory, tmp_path: Path) -> None:
    place = put(private).parent
    (tmp_path / "other").mkdir()
    place.rename(tmp_path / "moved")
    place.symlink_to(tmp_path / "other")
    put(private)
    assert sorted(path.name for path in (tmp_path / "moved").iterdir()) == ["bash-1.txt", "bash-2.txt"]
    private.close()
    assert list((tmp_path / "other").iterdir()) == [], "nor is anything removed there"


def test_one_that_somebody_has_removed_takes_nothing_more(private: PrivateDirectory) -> None:
    shutil.rmtree(put(private).parent)
    with pytest.raises(FileNotFoundError):
        private.create("bash")
    private.close()
