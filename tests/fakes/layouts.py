"""Helpers for image layouts: written to any target, read back completely, and blobs whose source breaks."""

from __future__ import annotations

import json
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from snapproxy.oci.artifact import Artifact, BlobContent, Opened
from snapproxy.oci.layout import open_layout
from snapproxy.oci.layout_write import write_layout, write_tar
from snapproxy.oci.manifests import Manifest, digest_of
from snapproxy.oci.places import LayoutPlace, TarPlace


async def read_back(place: LayoutPlace | TarPlace, version: str = "") -> dict[str, bytes]:
    """Return the root's bytes, and those of every blob."""
    async with open_layout(place) as layout:
        root = await layout.resolve(version)
        manifest = root.read()
        assert isinstance(manifest, Manifest)
        found = {root.digest: root.data}
        for each in manifest.blobs:
            found[each.digest] = b"".join([piece async for piece in layout.blob(each)])
        return found


async def write(artifact: Artifact, place: LayoutPlace | TarPlace) -> None:
    await (write_tar(artifact, place) if isinstance(place, TarPlace) else write_layout(artifact, place))


def place_in(folder: Path, *, is_tar: bool) -> LayoutPlace | TarPlace:
    return (TarPlace if is_tar else LayoutPlace)(str(folder / "out"))


async def pour(pieces: AsyncIterator[bytes], into: bytearray) -> None:
    async for piece in pieces:
        into += piece


def tree(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def failing(content: BlobContent, error: BaseException) -> BlobContent:
    """Return the same blob with a source that breaks after its first bytes."""

    class Breaking:
        def fileno(self) -> int | None:
            return None

        async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
            yield b"f"
            raise error

        def close(self) -> None:
            pass

    async def opening() -> Opened:
        return Breaking()

    return replace(content, open=opening)


def blob_path(layout: Path, data: bytes) -> Path:
    return layout / "blobs" / "sha256" / digest_of(data).removeprefix("sha256:")


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpack the only layer of an image."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "oci", filter="data")
    blobs = folder / "oci/blobs"

    def blob(descriptor: dict[str, str]) -> Path:
        return blobs / descriptor["digest"].replace(":", "/")

    (root,) = json.loads((folder / "oci/index.json").read_bytes())["manifests"]
    (layer,) = json.loads(blob(root).read_bytes())["layers"]
    with tarfile.open(blob(layer)) as tar:
        tar.extractall(folder / "layer", filter="data")
    return folder / "layer"
