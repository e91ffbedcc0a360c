"""Files of a hostile root: links, special files, sizes, unreadable folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snapproxy.errors import ClientError
from snapproxy.jobs import root_files
from snapproxy.jobs.root_files import RootFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "root"
    (folder / "etc/apt").mkdir(parents=True)
    (folder / "etc/apt/sources.list").write_text("deb x\n")
    return folder


@pytest.fixture
def files(root: Path) -> Iterator[RootFolder]:
    with closing(RootFolder(root)) as files:
        yield files


def test_a_regular_file_and_a_missing_one(files: RootFolder) -> None:
    assert files.read("etc/apt/sources.list", 100) == b"deb x\n"
    assert files.read("etc/apt/none", 100) is None
    assert files.read("etc/apt/sources.list/below", 100) is None
    assert files.names("etc/apt") == ["sources.list"]
    assert files.names("etc/none") == files.names("etc/apt/sources.list") == []
    assert files.modified("etc/apt/sources.list") is not None
    assert not files.notes


@pytest.mark.parametrize("seconds", [-1, 1, 1 << 40])
def test_an_absurd_year_is_no_time_of_change(root: Path, files: RootFolder, seconds: int) -> None:
    os.utime(root / "etc/apt/sources.list", (0, seconds))
    assert files.modified("etc/apt/sources.list") is None


def test_a_link_is_never_followed(root: Path, tmp_path: Path, files: RootFolder) -> None:
    (root / "etc/apt/out").symlink_to(tmp_path / "secret")
    (root / "etc/apt/within").symlink_to("sources.list")
    (root / "var").symlink_to(tmp_path)
    (root / "usr").symlink_to("etc")
    for path in ("etc/apt/out", "etc/apt/within", "var/secret", "usr/apt/sources.list"):
        assert files.read(path, 100) is None, path
        assert files.modified(path) is None, path
    assert files.names("var") == files.names("usr") == []
    assert any("etc/apt/out" in note for note in files.notes)


@pytest.mark.parametrize("path", ["../secret", "etc/../../secret", "/etc/passwd", "etc//apt/sources.list"])
def test_a_path_does_not_leave_the_root(files: RootFolder, path: str) -> None:
    assert files.read(path, 1000) is None


def test_a_pipe_and_a_folder_are_not_read(root: Path, files: RootFolder) -> None:
    os.mkfifo(root / "etc/apt/pipe")
    assert files.read("etc/apt/pipe", 100) is None
    assert files.read("etc/apt", 100) is None
    assert len(files.notes) == 2


def test_the_size_is_limited(files: RootFolder) -> None:
    assert files.read("etc/apt/sources.list", 6) == b"deb x\n"
    assert files.read("etc/apt/sources.list", 5) is None
    assert "the limit is 5" in files.notes[0]


def test_the_number_of_names_is_limited(root: Path, files: RootFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_files, "MOST_NAMES", 3)
    for number in range(10):
        (root / "etc" / str(number)).touch()
    assert len(files.names("etc")) == 3


def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ClientError):
        RootFolder(tmp_path / "none")
