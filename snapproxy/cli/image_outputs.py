"""Compare image layouts by content: their configurations and layers, and the files in layers that differ.

The tar around a layout, the order of its members and the annotations of its top-level index (BuildKit writes the time
of the build there) do not belong to an image and are not compared.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zstandard

from snapproxy.errors import SnapproxyError
from snapproxy.formats.canonical_json import canonical
from snapproxy.oci.artifact import OpenFile
from snapproxy.oci.layout import INDEX_FILE, MARK, ImageLayout, open_layout
from snapproxy.oci.manifests import Descriptor, Manifest, digest_of
from snapproxy.oci.places import LayoutPlace, TarPlace

IMAGE = "image"
"""The part that is the digest of the only manifest."""

FILES_MOST = 20
"""Maximum number of files of one layer that are listed as different."""

_DEPTH = 3
_PIECE = 1 << 20
_SHORT = 12
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b"


async def image_parts(output: Path) -> Mapping[str, str] | None:
    """Return the digest (hex) of each part of an image layout in a folder or a tar, None for another output."""
    place = _place(output)
    if place is None:
        return None
    try:
        async with open_layout(place) as layout:
            return {name: each.hex for name, each in (await _parts_of(layout)).items()}
    except (SnapproxyError, OSError):
        return None


async def layer_differences(one: Path, other: Path, part: str) -> list[tuple[str, ...]]:
    """Return a row for each file that differs in a layer of two layouts: kind, name, state before, state after.

    There are no rows if a layout lacks the layer, or it cannot be read as a tar.
    """
    before, after = [await _layer_files(each, part) for each in (one, other)]
    if before is None or after is None:
        return []
    changed = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    if not changed:
        return [("changed", f"{part}: the same files in another order or compression", "", "")]
    rows = [_row(f"{part}: {name}", before.get(name, ()), after.get(name, ())) for name in changed[:FILES_MOST]]
    more = len(changed) - FILES_MOST
    return rows + ([("changed", f"{part}: {more} more files", "", "")] if more > 0 else [])


def _place(output: Path) -> LayoutPlace | TarPlace | None:
    if output.is_dir():
        return LayoutPlace(str(output)) if (output / MARK).is_file() and (output / INDEX_FILE).is_file() else None
    return TarPlace(str(output)) if output.is_file() else None


async def _parts_of(layout: ImageLayout) -> dict[str, Descriptor]:
    """Return the descriptor of each part of a layout by its name."""
    listed = (await layout.index()).manifests
    if len(listed) == 1:
        return {IMAGE: listed[0]} | await _parts(layout, listed[0], "")
    parts: dict[str, Descriptor] = {}
    for number, descriptor in enumerate(listed, 1):
        parts |= await _parts(layout, descriptor, f"{descriptor.tag or number} ")
    return parts


async def _parts(layout: ImageLayout, descriptor: Descriptor, label: str, depth: int = 0) -> dict[str, Descriptor]:
    """Return the parts of a manifest, or of the manifests of an index."""
    document = (await layout.document(descriptor)).read()
    notes = canonical({"annotations": dict(document.annotations), "artifactType": document.artifact_type})
    parts = {f"{label}annotations": Descriptor("", digest_of(notes), len(notes))}
    if isinstance(document, Manifest):
        layers = {f"{label}layer {number}": each for number, each in enumerate(document.layers, 1)}
        return parts | {f"{label}configuration": document.config} | layers
    for number, each in enumerate(document.manifests if depth < _DEPTH else (), 1):
        platform = "/".join(str(each.platform[key]) for key in ("os", "architecture") if key in each.platform)
        parts |= await _parts(layout, each, f"{label}{platform or number} ", depth + 1)
    return parts


async def _layer_files(output: Path, part: str) -> dict[str, tuple[str, ...]] | None:
    """Return the state of each file of a layer, None if the layer does not exist or cannot be read as a tar."""
    place = _place(output)
    if place is None:
        return None
    try:
        async with open_layout(place) as layout:
            found = (await _parts_of(layout)).get(part)
            return None if found is None else await asyncio.to_thread(_members, await layout.open(found))
    except (SnapproxyError, OSError, tarfile.TarError, EOFError, zlib.error, zstandard.ZstdError):
        return None


def _members(layer: OpenFile) -> dict[str, tuple[str, ...]]:
    """Return content, mode, owner and time of each member of a tar, which may be compressed by gzip or zstd."""
    with io.BufferedReader(_Raw(layer)) as raw:
        magic = raw.peek(4)
        stream: Any = raw
        if magic.startswith(_ZSTD):
            stream = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        elif magic.startswith(_GZIP):
            stream = gzip.GzipFile(fileobj=raw)
        found: dict[str, tuple[str, ...]] = {}
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                found[member.name] = (
                    _content(tar, member),
                    f"mode {member.mode:04o}",
                    f"owner {member.uid}:{member.gid}",
                    f"time {member.mtime:.0f}",
                )
        return found


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = tar.extractfile(member) if member.isreg() else None
    if file is None:
        return f"type {member.type.decode('latin-1')} {member.linkname}".rstrip()
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()[:_SHORT]


def _row(name: str, before: tuple[str, ...], after: tuple[str, ...]) -> tuple[str, ...]:
    """Return the row of a file, with those properties that differ."""
    if not before or not after:
        return ("added" if after else "removed", name, "".join(before[:1]), "".join(after[:1]))
    differing = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    return ("changed", name, ", ".join(old for old, _ in differing), ", ".join(new for _, new in differing))


class _Raw(io.RawIOBase):
    """The bytes of an open blob as a file, which closes it."""

    def __init__(self, blob: OpenFile) -> None:
        self._blob = blob
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._blob.read_at(self._position, len(buffer))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        self._blob.close()
        super().close()
