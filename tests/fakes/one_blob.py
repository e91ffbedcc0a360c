"""A blob to push and pull in tests with a misbehaving registry."""

from __future__ import annotations

import os

from snapproxy.oci.artifact import bytes_content
from snapproxy.oci.manifests import Descriptor, digest_of
from snapproxy.oci.registry import Repository

DATA = os.urandom(300_000)
BLOB = bytes_content(Descriptor("application/octet-stream", digest_of(DATA), len(DATA)), DATA)
CHUNK = 100_000


async def pull(repository: Repository, descriptor: Descriptor = BLOB.descriptor) -> bytes:
    return b"".join([piece async for piece in repository.blob(descriptor)])
