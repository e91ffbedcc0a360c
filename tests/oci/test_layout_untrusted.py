"""Untrusted layouts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.oci.artifact import Artifact
from snapproxy.oci.layout import open_layout
from snapproxy.oci.layout_write import write_layout
from snapproxy.oci.manifests import EMPTY_CONFIG, Descriptor, ImageIndex, digest_of
from snapproxy.oci.places import LayoutPlace, TarPlace
from tests.fakes.layouts import blob_path, pour, read_back

MakeArtifact = Callable[..., Artifact]


@pytest.fixture
async def layout(make_artifact: MakeArtifact, tmp_path: Path) -> Path:
    await write_layout(make_artifact(b"content"), LayoutPlace(str(tmp_path / "out"), "v1"))
    return tmp_path / "out"


@pytest.mark.parametrize("data", [b"CONTENT", b"content and more", b"cont", None])
async def test_a_missing_or_wrong_blob_is_an_error(layout: Path, data: bytes | None) -> None:
    blob = blob_path(layout, b"content")
    if data is None:
        blob.unlink()
    else:
        blob.write_bytes(data)
    with pytest.raises(ArchiveDataError, match="missing" if data is None else "damaged"):
        await read_back(LayoutPlace(str(layout)))
    tar = layout.parent / "out.tar"
    subprocess.run(["tar", "-C", layout, "-cf", tar, "."], check=True)
    with pytest.raises(ArchiveDataError, match="missing" if data is None else "damaged"):
        await read_back(TarPlace(str(tar)))


async def test_a_wrong_blob_is_not_returned_to_its_end(layout: Path) -> None:
    """The last piece is held back, so the returned bytes are incomplete."""
    blob_path(layout, b"content").write_bytes(b"CONTENT")
    got = bytearray()
    async with open_layout(LayoutPlace(str(layout))) as opened:
        with pytest.raises(ArchiveDataError):
            await pour(opened.blob(Descriptor("a/b", digest_of(b"content"), 7)), got)
    assert not got


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
async def test_only_regular_files_are_read(layout: Path, kind: str) -> None:
    blob = blob_path(layout, b"content")
    blob.rename(layout / "elsewhere")
    if kind == "link":
        blob.symlink_to(layout / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(blob)
    else:
        blob.mkdir()
    with pytest.raises(StorageError):
        await read_back(LayoutPlace(str(layout)))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("oci-layout", None),
        ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}'),
        ("oci-layout", b"{}"),
        ("oci-layout", b" " * 5000),
        ("index.json", None),
        ("index.json", b"{}"),
        ("index.json", b" " * (5 << 20)),
        ("index.json", b'{"schemaVersion":3,"manifests":[]}'),
    ],
)
async def test_an_invalid_layout_is_refused(layout: Path, name: str, data: bytes | None) -> None:
    (layout / name).unlink()
    if data is not None:
        (layout / name).write_bytes(data)
    with pytest.raises(ArchiveDataError):
        await read_back(LayoutPlace(str(layout)))


async def test_a_manifest_over_4_mib_is_not_read(layout: Path) -> None:
    data = b" " * (5 << 20)
    blob_path(layout, data).write_bytes(data)
    (layout / "index.json").write_bytes(
        ImageIndex((Descriptor(EMPTY_CONFIG.media_type, digest_of(data), len(data)),)).document().data
    )
    with pytest.raises(ArchiveDataError, match="damaged"):
        await read_back(LayoutPlace(str(layout)))


async def test_a_place_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="The tar file does not exist"):
        await read_back(TarPlace(str(tmp_path / "no.tar")))
    with pytest.raises(ArchiveDataError, match="not an image layout"):
        await read_back(LayoutPlace(str(tmp_path / "no")))
