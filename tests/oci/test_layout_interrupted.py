"""Interrupted exports, a full disk, a damaged source: no incomplete file has the final name."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.oci.artifact import Artifact, bytes_content
from snapproxy.oci.manifests import digest_of
from tests.fakes.layouts import failing, place_in, write

MakeArtifact = Callable[..., Artifact]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KeyboardInterrupt(), StorageError("gone"), OSError(5, "I/O")]
)
@pytest.mark.parametrize("is_tar", [False, True])
@pytest.mark.parametrize("number", range(4))
async def test_an_interrupted_export_leaves_nothing(
    make_artifact: MakeArtifact, tmp_path: Path, error: BaseException, is_tar: bool, number: int
) -> None:
    artifact = make_artifact(b"first", b"second", b"third")
    contents = dict(artifact.contents)
    digest = sorted(contents)[number]
    contents[digest] = failing(contents[digest], error)
    broken = replace(artifact, contents=contents)
    expected = StorageError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        await write(broken, place_in(tmp_path, is_tar=is_tar))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
@pytest.mark.parametrize("is_tar", [False, True])
async def test_a_full_disk_leaves_nothing(make_artifact: MakeArtifact, small_disk: Path, is_tar: bool) -> None:
    artifact = make_artifact(b"small", os.urandom(2 << 20))
    with pytest.raises(StorageError, match="cannot be written") as full:
        await write(artifact, place_in(small_disk, is_tar=is_tar))
    assert "No space left" in full.value.why
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("is_tar", [False, True])
@pytest.mark.parametrize("data", [b"SECOND", b"seco", b""])
async def test_a_damaged_source_is_detected(
    make_artifact: MakeArtifact, tmp_path: Path, is_tar: bool, data: bytes
) -> None:
    artifact = make_artifact(b"first", b"second")
    digest = digest_of(b"second")
    wrong = replace(
        artifact, contents=artifact.contents | {digest: bytes_content(artifact.contents[digest].descriptor, data)}
    )
    with pytest.raises(ArchiveDataError, match="damaged"):
        await write(wrong, place_in(tmp_path, is_tar=is_tar))
    assert list(tmp_path.iterdir()) == []
