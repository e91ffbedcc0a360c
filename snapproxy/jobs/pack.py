"""Make an OCI artifact of a record: manifests as planned by `capture.artifact`, layers with bytes from the store.

This module writes no file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from snapproxy.capture.artifact import (
    ARTIFACT_TYPE,
    BLOBS_TYPE,
    FILE_TYPE,
    TITLE,
    ArtifactPlan,
    describe,
    describe_blobs,
)
from snapproxy.capture.contents import RecordedFile, sizes_by_digest
from snapproxy.capture.lock import FILE_NAME, MEDIA_TYPE
from snapproxy.core.model import Instant
from snapproxy.core.record import Record
from snapproxy.errors import StorageError
from snapproxy.oci.artifact import Artifact, BlobContent, Opened, bytes_content
from snapproxy.oci.manifests import Descriptor, ImageIndex, Manifest, digest_of
from snapproxy_storage import Blobs, read_blob

_SHOWN = 3


def pack(
    record: Record,
    blobs: Blobs,
    *,
    bare: bool = False,
    created: Instant | None = None,
    known: Record | None = None,
    subject: Descriptor | None = None,
) -> Artifact:
    """Return the artifact of a record; `bare` and `created` are arguments of `describe`.

    `known`: a record whose files the recipient has already. The manifests list them, so that the artifact is the same,
    but their bytes are omitted. `subject`: the image to attach to. Raises the errors of `describe`, and StorageError if
    the store lacks files.
    """
    plan = describe(record, bare=bare, created=created)
    left_out = sizes_by_digest(known)
    check_stored(blobs, {file.sha256: file.size for files in plan.manifests for file in files}, left_out)
    manifests = layers_of_plan(plan)
    lock = {manifests[0][0].digest: plan.lock}
    return _under_one(manifests, ARTIFACT_TYPE, plan.annotations, subject, blobs, left_out, lock)


def pack_blobs(record: Record, blobs: Blobs, *, known: Record | None = None) -> Artifact:
    """Return the packages of a record as blobs, with a minimal manifest that protects them from garbage collection."""
    manifests = _layers(describe_blobs(record))
    left_out = sizes_by_digest(known)
    check_stored(blobs, {layer.hex: layer.size for layers in manifests for layer in layers}, left_out)
    return _under_one(manifests, BLOBS_TYPE, {}, None, blobs, left_out, {})


def layers_of_plan(plan: ArtifactPlan) -> list[tuple[Descriptor, ...]]:
    """Return the layers of each manifest of a plan. The lock is the first layer of the first one."""
    lock = Descriptor(MEDIA_TYPE, digest_of(plan.lock), len(plan.lock), annotations={TITLE: FILE_NAME})
    first, *others = _layers(plan.manifests)
    return [(lock, *first), *others]


def _layers(manifests: Iterable[Iterable[RecordedFile]]) -> list[tuple[Descriptor, ...]]:
    return [tuple(file_descriptor(file.sha256, file.size, file.title) for file in files) for files in manifests]


def stored(blobs: Blobs, descriptor: Descriptor) -> BlobContent:
    """Return a blob with its bytes in the store."""

    async def open_blob() -> Opened:
        blob = await blobs.open(descriptor.hex)
        if blob is None:
            raise _missing([descriptor.hex])
        return blob

    return BlobContent(descriptor, open_blob)


async def read_stored(blobs: Blobs, sha256: str, most: int) -> bytes:
    """Return the bytes of a stored file of at most `most` bytes. Raises StorageError if it is not stored."""
    data = await read_blob(blobs, sha256, most)
    if data is None:
        raise _missing([sha256])
    return data


def file_descriptor(sha256: str, size: int, title: str = "") -> Descriptor:
    """Return the descriptor of a file by its sha256 (hex)."""
    return Descriptor(FILE_TYPE, f"sha256:{sha256}", size, annotations={TITLE: title} if title else {})


def check_stored(blobs: Blobs, sizes: Mapping[str, int], left_out: Collection[str] = ()) -> None:
    """Check before an export that the store has every file of `sizes`, by sha256 (hex). Raises StorageError."""
    missing = [digest for digest, size in sizes.items() if digest not in left_out and blobs.size(digest) != size]
    if missing:
        raise _missing(missing)


def _under_one(
    manifests: Sequence[tuple[Descriptor, ...]],
    kind: str,
    annotations: Mapping[str, str],
    subject: Descriptor | None,
    blobs: Blobs,
    left_out: Collection[str],
    lock: Mapping[str, bytes],
) -> Artifact:
    """Return the artifact of several manifests under an index, or of a single manifest without one."""
    is_single = len(manifests) == 1
    parts = []
    for layers in manifests:
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


def _missing(digests: Sequence[str]) -> StorageError:
    shown = ", ".join(digests[:_SHOWN]) + (", ..." if len(digests) > _SHOWN else "")
    return StorageError(
        "The store lacks files of the capture",
        why=f"{len(digests)} of its files are missing, or have another size: sha256 {shown}.",
        hint="Import the artifact that contains them, or record the build again.",
    )
