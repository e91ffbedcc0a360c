"""Copy whole artifacts.

`collect` finds all documents and blobs under a name in any place, `push` writes them to a registry.

`push` sends the blobs first, several in parallel, then the documents, the root last. Blobs that the registry has are
not sent.
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
"""Number of blobs that are sent in parallel."""

MISSES = 32
"""After this many missing blobs in a row, short blobs are sent without checking first, because that costs hardly more.
"""

SHORT = 256 << 10
"""Maximum size in bytes of a blob that is short in this sense."""

DOCUMENTS_MOST = 1000
"""Maximum number of manifests in one index: with 5,000 layers per manifest, far more than captures have."""

DOCUMENTS_BYTES_MOST = 64 << 20
"""Maximum total size of these manifests in bytes: about two hundred thousand layers."""


async def collect(source: ArtifactSource, version: str = "") -> Artifact:
    """Return all documents and blobs under a tag or a digest ('': the only one).

    Blobs are read from the source when they are needed.

    Raises the errors of `ArtifactSource.resolve`, and ArchiveDataError for an index that lists too many manifests, or
    another index.
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
                why=f"It lists {len(listed)} manifests with {size} bytes together; "
                f"the limits are {DOCUMENTS_MOST} manifests and {DOCUMENTS_BYTES_MOST} bytes.",
            )
        children = [await source.document(each) for each in listed.values()]
    contents: dict[str, BlobContent] = {}
    for document in (*children, root):
        manifest = document.read()
        if isinstance(manifest, Manifest):
            contents |= {each.digest: BlobContent(each, partial(source.open, each)) for each in manifest.blobs}
        elif document is not root:
            raise ArchiveDataError(
                "The index lists another index",
                why=f"{document.digest} is an index; only manifests are supported there.",
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
    """Write an artifact to a repository, its root under a tag or ('') its digest.

    Raises the same errors as `upload` and `Repository.put`.

    Blobs that were sent before an error stay there; a second attempt does not send them again.
    """
    misses = 0

    async def one(content: BlobContent) -> None:
        nonlocal misses
        asks = misses < MISSES or content.descriptor.size > SHORT
        if await upload(repository, content, mount_from=mount_from, progress=progress, asks=asks):
            misses = 0
        else:
            misses += asks

    await repository.session.connections.base()  # determine the scheme before the parallel uploads need it
    await gather_bounded(artifact.contents.values(), one, WIDTH)
    await gather_bounded(artifact.documents[:-1], repository.put, WIDTH)
    return await repository.put(artifact.root, version)
