"""Finds the artifact of a capture at a place: what is named there, or what is attached to the image that is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from snapproxy.capture.artifact import ARTIFACT_TYPE, lock_layer, restore
from snapproxy.core.clock import Clock
from snapproxy.core.record import Record
from snapproxy.errors import ClientError, RecordError
from snapproxy.formats.strict_json import LARGEST
from snapproxy.jobs.export import RegistryAccess
from snapproxy.oci.artifact import Artifact, ArtifactSource
from snapproxy.oci.layout import open_layout
from snapproxy.oci.manifests import Descriptor, ImageIndex, Manifest, ManifestDocument
from snapproxy.oci.places import LayoutPlace, Place, Reference, TarPlace, TreePlace
from snapproxy.oci.referrers import referrers
from snapproxy.oci.registry import Repository
from snapproxy.oci.transfer import collect

_PLATFORMS_MOST = 50
"""Images of an index that are asked what is attached to them."""


@dataclass(frozen=True, slots=True)
class FoundArtifact:
    """An artifact, and what its lock says. `source` is open for as long as it was opened for."""

    source: ArtifactSource
    digest: str
    record: Record
    layers: tuple[Descriptor, ...]


@asynccontextmanager
async def found_at(place: Place, access: RegistryAccess, clock: Clock) -> AsyncIterator[FoundArtifact]:
    """Open the artifact at a place, and read its lock.

    Raises RecordError when there is none, or none that can be read; ClientError when several are attached; and what the places raise.
    """
    match place:
        case TreePlace():
            raise ClientError(
                "A tree of files is not imported",
                why="It is used in place: its folders are what a client's file: sources name.",
                hint="Export to oci:DIR or oci-archive:FILE.tar what is to be imported.",
            )
        case LayoutPlace() | TarPlace():
            async with open_layout(place) as layout:
                yield await read(layout, await layout.resolve(place.tag))
        case Reference():
            async with access.open(place, clock) as repository:
                root = await repository.resolve("")
                yield await read(repository, root if _is_ours(root) else await _attached(repository, root))


async def read(source: ArtifactSource, root: ManifestDocument) -> FoundArtifact:
    """Read the record of the artifact that has this root. Raises as `found_at`."""
    if not _is_ours(root):
        raise RecordError(
            "That is no artifact of a capture",
            why=f"{root.digest} is of the type {root.read().artifact_type[:100] or root.media_type!r}, not {ARTIFACT_TYPE}.",
            hint="Only what `snapproxy export` or `snapproxy attach` wrote can be read; make sure that it is the right reference.",
        )
    layers = layers_of(await collect(source, root.digest))
    lock = lock_layer(layers)
    if lock.size > LARGEST:
        raise RecordError(
            "The lock of the artifact is too long", why=f"It has {lock.size} bytes; at most {LARGEST} are read."
        )
    data = b"".join([piece async for piece in source.blob(lock)])
    return FoundArtifact(source, root.digest, restore(layers, data), layers)


def layers_of(artifact: Artifact) -> tuple[Descriptor, ...]:
    """Return the layers of all manifests of an artifact, in their order."""
    manifests = [read for document in artifact.documents if isinstance(read := document.read(), Manifest)]
    return tuple(layer for manifest in manifests for layer in manifest.layers)


def _is_ours(root: ManifestDocument) -> bool:
    return root.read().artifact_type == ARTIFACT_TYPE


async def _attached(repository: Repository, image: ManifestDocument) -> ManifestDocument:
    """Return the capture that is attached to an image, or to one of the images that an index lists."""
    read = image.read()
    images = (
        [image.digest, *(each.digest for each in read.manifests[:_PLATFORMS_MOST])]
        if isinstance(read, ImageIndex)
        else [image.digest]
    )
    for digest in images:
        listed = await referrers(repository, digest, ARTIFACT_TYPE)
        if len(found := sorted({each.digest for each in listed})) == 1:
            return await repository.resolve(found[0])
        if found:
            raise ClientError(
                "Several captures are attached to the image",
                why=f"To {digest}: {', '.join(found[:10])}.",
                hint="Name one of them: docker://REGISTRY/REPOSITORY@sha256:HEX.",
            )
    raise RecordError(
        "No capture is attached to the image",
        why=f"{repository.reference.name} is no artifact of ours, and the registry lists none for {image.digest}.",
        hint="Attach one where the image was built: snapproxy attach NAME docker://REGISTRY/REPOSITORY@sha256:HEX.",
    )
