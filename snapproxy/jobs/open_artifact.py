"""Open the artifact of a capture: the named one, or the one attached to the named image."""

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
"""Maximum number of images of an index whose referrers are requested."""


@dataclass(frozen=True, slots=True)
class FoundArtifact:
    """An open artifact and its record. `source` can be read as long as the context of `found_at` is open."""

    source: ArtifactSource
    digest: str
    record: Record
    layers: tuple[Descriptor, ...]


@asynccontextmanager
async def found_at(place: Place, access: RegistryAccess, clock: Clock) -> AsyncIterator[FoundArtifact]:
    """Open the artifact at a place, and read its lock.

    Raises RecordError if no readable artifact exists there; ClientError if several are attached; and the errors of the
    place's reader.
    """
    match place:
        case TreePlace():
            raise ClientError(
                "A folder of files cannot be imported",
                why="It is used in place, by a client's file: sources.",
                hint="Export the capture to oci:DIR or oci-archive:FILE.tar, and import that.",
            )
        case LayoutPlace() | TarPlace():
            async with open_layout(place) as layout:
                yield await read(layout, await layout.resolve(place.tag))
        case Reference():
            async with access.open(place, clock) as repository:
                root = await repository.resolve("")
                yield await read(repository, root if _is_capture(root) else await _attached(repository, root))


async def read(source: ArtifactSource, root: ManifestDocument) -> FoundArtifact:
    """Read the record of the artifact that has this root. Raises the same errors as `found_at`."""
    if not _is_capture(root):
        raise RecordError(
            "Not an artifact of a capture",
            why=f"{root.digest} has the type {root.read().artifact_type[:100] or root.media_type!r}, "
            f"not {ARTIFACT_TYPE}.",
            hint="Only artifacts of `snapproxy export` and `snapproxy attach` can be read; check the reference.",
        )
    layers = layers_of(await collect(source, root.digest))
    lock = lock_layer(layers)
    if lock.size > LARGEST:
        raise RecordError(
            "The lock of the artifact is too long", why=f"It has {lock.size} bytes; the maximum is {LARGEST}."
        )
    data = b"".join([piece async for piece in source.blob(lock)])
    return FoundArtifact(source, root.digest, restore(layers, data), layers)


def layers_of(artifact: Artifact) -> tuple[Descriptor, ...]:
    """Return the layers of all manifests of an artifact, in order."""
    manifests = [read for document in artifact.documents if isinstance(read := document.read(), Manifest)]
    return tuple(layer for manifest in manifests for layer in manifest.layers)


def _is_capture(root: ManifestDocument) -> bool:
    return root.read().artifact_type == ARTIFACT_TYPE


async def _attached(repository: Repository, image: ManifestDocument) -> ManifestDocument:
    """Return the capture that is attached to an image, or to one of the images in an index."""
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
        why=f"{repository.reference.name} is not a capture, and the registry lists none for {image.digest}.",
        hint="Attach one after building the image: snapproxy attach NAME docker://REGISTRY/REPOSITORY@sha256:HEX.",
    )
