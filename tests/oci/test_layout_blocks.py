"""Disk use of a layout: blocks may be shared with the store, files are not (no hard links)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.oci.artifact import Artifact, file_content
from snapproxy.oci.layout_write import write_layout
from snapproxy.oci.manifests import digest_of
from snapproxy.oci.places import LayoutPlace

MakeArtifact = Callable[..., Artifact]


async def test_blobs_are_never_hard_linked(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    source = tmp_path / "stored"
    source.write_bytes(b"content")
    artifact = make_artifact(b"content")
    digest = digest_of(b"content")
    content = file_content(artifact.contents[digest].descriptor, source)
    await write_layout(
        replace(artifact, contents=artifact.contents | {digest: content}), LayoutPlace(str(tmp_path / "out"))
    )
    copy = tmp_path / "out" / "blobs" / "sha256" / digest.removeprefix("sha256:")
    copy.write_bytes(b"edited!")
    assert source.read_bytes() == b"content"
    assert source.stat().st_nlink == 1


@pytest.fixture
def sharing_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with shared blocks (reflinks)."""
    folder, image = tmp_path / "btrfs", tmp_path / "btrfs.img"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True)
    made = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"cannot mount a file here, needs root and loop devices: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_blobs_share_their_blocks_where_the_file_system_can(
    make_artifact: MakeArtifact, sharing_disk: Path
) -> None:
    data = os.urandom(4 << 20)
    artifact, digest = make_artifact(data), digest_of(data)
    source = sharing_disk / "stored"
    source.write_bytes(data)
    content = file_content(artifact.contents[digest].descriptor, source)
    shared = replace(artifact, contents=artifact.contents | {digest: content})
    await write_layout(shared, LayoutPlace(str(sharing_disk / "out")))
    copy = sharing_disk / "out" / "blobs" / "sha256" / digest.removeprefix("sha256:")
    output = subprocess.run(["filefrag", "-v", copy], capture_output=True, text=True, check=True).stdout
    assert "shared" in output
    copy.write_bytes(b"edited")
    assert source.read_bytes() == data
