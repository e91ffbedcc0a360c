"""Attach to an image the statement that it was reproduced offline from a lock.

The statement is not signed; tools for registries, such as cosign, can sign it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from snapproxy.capture.artifact import TITLE
from snapproxy.capture.intoto import reproduced
from snapproxy.core.clock import Clock
from snapproxy.formats.canonical_json import indented
from snapproxy.jobs.export import RegistryAccess
from snapproxy.oci.artifact import Artifact, bytes_content
from snapproxy.oci.manifests import Descriptor, Manifest, digest_of
from snapproxy.oci.places import Reference
from snapproxy.oci.referrers import attach

MEDIA_TYPE = "application/vnd.in-toto+json"
"""The registered media type of an in-toto statement. `oras discover` and cosign display it as the artifact type."""

PREDICATE_KEY = "in-toto.io/predicate-type"
"""The annotation by which BuildKit and its readers distinguish statements."""

_FILE_NAME = "reproduced.intoto.json"


async def attest(
    image: Reference, lock_digest: str, outputs: Mapping[str, str], access: RegistryAccess, clock: Clock
) -> str:
    """Push the statement into the repository of an image, as a referrer of it; return the statement's reference.

    `lock_digest` is the sha256 of the lock (hex), `outputs` the digests of the build's files, by path. Raises
    MissingError if the image does not exist, and the errors of `attach`.
    """
    async with access.open(image, clock) as repository:
        subject = (await repository.resolve("")).descriptor
        statement = reproduced((image.name, subject.hex), lock_digest, outputs)
        data = indented(statement)
        annotations = {TITLE: _FILE_NAME, PREDICATE_KEY: str(statement["predicateType"])}
        layer = Descriptor(MEDIA_TYPE, digest_of(data), len(data), annotations=annotations)
        manifest = Manifest((layer,), MEDIA_TYPE, subject=subject)
        root = await attach(repository, Artifact.of(manifest, (bytes_content(layer, data),)))
    return replace(image, tag="", digest=root.digest).name
