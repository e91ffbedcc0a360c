"""Moves whole artifacts: `collect` finds everything under a name, in any place; `push` puts it into a registry.

Into a registry blobs go first, many at once, then documents, the root last; what is there already is not sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from snapproxy.base.concurrency import gather_bounded
from snapproxy.core.progress import SILENT, Progress
from snapproxy.errors import ArchiveDataError
from snapproxy.oci.artifact import Artifact, ArtifactSource, BlobContent
from snapproxy.oci.manifests import ImageIndex, Manifest, ManifestDocument
from snapproxy.oci.registry import PutResult, Repository
from snapproxy.oci.upload import upload

WIDTH = 16
"""Blobs on their way at once."""

MISSES = 32
"""After so many blobs in a row that were not there, short ones are sent without asking: to send them costs hardly more."""

SHORT = 256 << 10
"""Bytes of a blob that is short in this sense."""

DOCUMENTS_MOST = 1000
"""Manifests under one index at most: a shard of 5,000 layers each, it is more than anybody has."""

DOCUMENTS_BYTES_MOST = 64 << 20
"""Bytes that they have together at most: some two hundred thousand layers."""


async def collect(source: ArtifactSource, version: str = "") -> Artifact:
    """Return everything under a tag or a digest ('': the only one); blobs are read from the source when they are needed.

    Raises as `Source.resolve`, and ArchiveDataError for an index that lists too much, or indexes.
    """
    root = await source.resolve(version)
    read = root.read()
    children: list[ManifestDocument] = []
    if isinstance(read, ImageIndex):
        listed = {each.digest: each for each in read.manifests}
        size = sum(each.size for each in listed.values())
        if len(listed) > DOCUMENTS_MOST or size > DOCUMENTS_BYTES_MOST:
            raise ArchiveDataError(
                "The index lists too many manifests",
                why=f"It has {len(listed)} of {size} bytes; at most {DOCUMENTS_MOST} of {DOCUMENTS_BYTES_MOST} are read.",
            )
        children = [await source.document(each) for each in listed.values()]
    contents: dict[str, BlobContent] = {}
    for document in (*children, root):
        manifest = document.read()
        if isinstance(manifest, Manifest):
            contents |= {each.digest: BlobContent(each, partial(source.open, each)) for each in manifest.blobs}
        elif document is not root:
            raise ArchiveDataError(
                "The index lists another index", why=f"{document.digest} is one; only manifests are read there."
            )
    return Artifact((*children, root), contents)


async def push(
    repository: Repository,
    artifact: Artifact,
    version: str = "",
    *,
    mount_from: Sequence[str] = (),
    progress: Progress = SILENT,
) -> PutResult:
    """Put an artifact into a repository, its root under a tag or ('') its digest. Raises as `upload` and `Repository.put`.

    What was sent before an error stays: a second attempt finds it there.
    """
    misses = 0

    async def one(content: BlobContent) -> None:
        nonlocal misses
        asks = misses < MISSES or content.descriptor.size > SHORT
        if await upload(repository, content, mount_from=mount_from, progress=progress, asks=asks):
            misses = 0
        else:
            misses += asks

    await repository.session.connections.base()  # found out once, not by all at once
    await gather_bounded(artifact.contents.values(), one, WIDTH)
    await gather_bounded(artifact.documents[:-1], repository.put, WIDTH)
    return await repository.put(artifact.root, version)
