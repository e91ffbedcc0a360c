"""Makes an OCI artifact of a record: manifests as `capture.artifact` says, layers whose bytes come from the store. Writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from snapproxy.capture.artifact import ARTIFACT_TYPE, BLOBS_TYPE, TITLE, Layer, describe, describe_blobs
from snapproxy.capture.lock import MEDIA_TYPE
from snapproxy.core.model import Instant
from snapproxy.core.record import Record
from snapproxy.errors import StorageError
from snapproxy.oci.artifact import Artifact, BlobContent, Opened, bytes_content
from snapproxy.oci.manifests import Descriptor, ImageIndex, Manifest
from snapproxy_storage import Blobs, read_blob

_SHOWN = 3


def pack(
    record: Record,
    blobs: Blobs,
    *,
    bare: bool = False,
    created: Instant | None = None,
    held: Record | None = None,
    subject: Descriptor | None = None,
) -> Artifact:
    """Return the artifact of a record; `bare` and `created` as in `describe`.

    `held`: what the other side has already. The manifest names it all the same, so that the artifact is the same; its bytes are left
    out. `subject`: the image that it is attached to. Raises RecordError as `describe`, StorageError when the store lacks bytes.
    """
    described = describe(record, bare=bare, created=created)
    left_out = digests_of(held)
    layers = [layer for each in described.manifests for layer in each if layer.media_type != MEDIA_TYPE]
    check_stored(blobs, layers, left_out)
    lock = {f"sha256:{described.manifests[0][0].sha256}": described.lock}
    return _under_one(described.manifests, ARTIFACT_TYPE, described.annotations, subject, blobs, left_out, lock)


def pack_blobs(record: Record, blobs: Blobs, *, held: Record | None = None) -> Artifact:
    """Return the packages of a record as blobs, with no more of a manifest than keeps a registry from collecting them."""
    manifests = describe_blobs(record)
    check_stored(blobs, (layer for each in manifests for layer in each), digests_of(held))
    return _under_one(manifests, BLOBS_TYPE, {}, None, blobs, digests_of(held), {})


def stored(blobs: Blobs, descriptor: Descriptor) -> BlobContent:
    """Return a blob whose bytes the store has."""

    async def open_blob() -> Opened:
        blob = await blobs.open(descriptor.hex)
        if blob is None:
            raise _lacking([descriptor.hex])
        return blob

    return BlobContent(descriptor, open_blob)


async def read_stored(blobs: Blobs, sha256: str, most: int) -> bytes:
    """Return the bytes of a file that the store has, at most `most`. Raises StorageError when the store lacks it."""
    data = await read_blob(blobs, sha256, most)
    if data is None:
        raise _lacking([sha256])
    return data


class Bytes(Protocol):
    """Bytes that are wanted: `size` of them, and their `sha256` in hex."""

    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...


def check_stored(blobs: Blobs, wanted: Iterable[Bytes], left_out: Collection[str] = ()) -> None:
    """Make sure that the store has what is to be written, before anything is. Raises StorageError."""
    sizes = {each.sha256: each.size for each in wanted if each.sha256 not in left_out}
    missing = [digest for digest, size in sizes.items() if not is_stored(blobs, digest, size)]
    if missing:
        raise _lacking(missing)


def digests_of(held: Record | None) -> frozenset[str]:
    """Return the sha256 (hex) of everything in a record."""
    return frozenset(entry.sha256 for entry in held.entries if not entry.is_absence) if held else frozenset()


def is_stored(blobs: Blobs, digest: str, size: int) -> bool:
    """Whether the store has these bytes."""
    blob = blobs.peek(digest)
    if blob is None:
        return False
    try:
        return blob.size == size
    finally:
        blob.close()


def _under_one(
    manifests: Iterable[Sequence[Layer]],
    kind: str,
    annotations: Mapping[str, str],
    subject: Descriptor | None,
    blobs: Blobs,
    left_out: Collection[str],
    lock: Mapping[str, bytes],
) -> Artifact:
    """Put several manifests under an index; one stands for itself."""
    dealt = [tuple(map(_descriptor, layers)) for layers in manifests]
    is_single = len(dealt) == 1
    parts = []
    for layers in dealt:
        manifest = Manifest(layers, kind, subject=subject if is_single else None, annotations=annotations)
        contents = [
            bytes_content(each, lock[each.digest]) if each.digest in lock else stored(blobs, each)
            for each in layers
            if each.hex not in left_out
        ]
        parts.append(Artifact.of(manifest, tuple(contents)))
    if is_single:
        return parts[0]
    listed = tuple(replace(part.root.descriptor, artifact_type=kind) for part in parts)
    return Artifact.under(ImageIndex(listed, kind, subject, annotations), tuple(parts))


def _descriptor(layer: Layer) -> Descriptor:
    notes = {TITLE: layer.title} if layer.title else {}
    return Descriptor(layer.media_type, f"sha256:{layer.sha256}", layer.size, annotations=notes)


def _lacking(digests: Sequence[str]) -> StorageError:
    shown = ", ".join(digests[:_SHOWN]) + (", ..." if len(digests) > _SHOWN else "")
    return StorageError(
        "The store lacks bytes of the capture",
        why=f"{len(digests)} of its files are gone, or are of another size: sha256 {shown}.",
        hint="Import the artifact that holds them, or record the build again.",
    )
