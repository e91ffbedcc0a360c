"""Atomic writing: the old content or the new one, and no hidden file is left behind."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from snapproxy.base.atomic_files import hidden_file, hidden_folder, write_file


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_file_is_created_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["lock"]


def test_a_file_that_cannot_be_flushed_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    write_file(path, b"one")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == ["lock"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EACCES])
def test_a_folder_that_cannot_be_flushed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    flush = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    write_file(tmp_path / "lock", b"one")
    assert (tmp_path / "lock").read_bytes() == b"one"


async def break_file(path: Path) -> None:
    async with hidden_file(path) as file:
        file.write(b"half")
        raise ValueError("broken")


async def break_folder(path: Path) -> None:
    async with hidden_folder(path) as folder:
        write_file(folder / "file", b"half")
        raise ValueError("broken")


@pytest.mark.parametrize("write", [break_file, break_folder])
async def test_a_block_that_raises_leaves_nothing(tmp_path: Path, write: Callable[[Path], Awaitable[None]]) -> None:
    with pytest.raises(ValueError, match="broken"):
        await write(tmp_path / "name")
    assert names(tmp_path) == []


async def test_a_folder_appears_whole_and_replaces_only_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    async with hidden_folder(path) as folder:
        write_file(folder / "file", b"data")
        assert names(path) == []
    assert names(path) == ["file"]
    with pytest.raises(OSError) as refused:  # noqa: PT011 # the code is compared
        async with hidden_folder(path):
            pass
    assert refused.value.errno in {errno.ENOTEMPTY, errno.EEXIST}
    assert names(tmp_path) == ["folder"]
