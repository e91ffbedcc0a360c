"""Pushes whole artifacts: blobs first, many at once, then documents, the root last; what is there already is not sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from snapproxy.errors import SnapproxyError
from snapproxy.oci.artifact import Artifact, Content
from snapproxy.oci.progress import SILENT, Progress
from snapproxy.oci.registry import Repository, Stored
from snapproxy.oci.upload import upload

WIDTH = 16
"""Blobs on their way at once."""

T = TypeVar("T")


async def push(
    repository: Repository,
    artifact: Artifact,
    version: str = "",
    *,
    mount_from: Sequence[str] = (),
    progress: Progress = SILENT,
) -> Stored:
    """Put an artifact into a repository, its root under a tag or ('') its digest. Raises as `upload` and `Repository.put`.

    What was sent before an error stays: a second attempt finds it there.
    """

    async def one(content: Content) -> None:
        await upload(repository, content, mount_from=mount_from, progress=progress)

    await repository.session.wire.base()  # found out once, not by all at once
    await at_once(artifact.contents.values(), one)
    await at_once(artifact.documents[:-1], repository.put)
    return await repository.put(artifact.root, version)


async def at_once(items: Iterable[T], work: Callable[[T], Awaitable[object]], width: int = WIDTH) -> None:
    """Do the work on every item, `width` at a time; the first error ends it all, and is raised."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(worker())
    except BaseExceptionGroup as several:
        known = [each for each in several.exceptions if isinstance(each, SnapproxyError)]
        raise (known or several.exceptions)[0] from None
