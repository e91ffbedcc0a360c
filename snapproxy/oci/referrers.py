"""Attach artifacts to a manifest and list them: by the referrers API, or by the fallback tag of registries without it.

See distribution-spec, "Pushing Manifests with Subject" and "Listing Referrers". The fallback tag is an index that
clients read, change and write without a lock: of two concurrent writes, the later one drops the entry of the earlier
one. Therefore a writer reads the tag again after a pause that is longer than any client takes between reading and
writing, and repeats until its entry is present.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace

from yarl import URL

from snapproxy.core.progress import SILENT, Progress
from snapproxy.errors import ArchiveDataError, UpstreamError
from snapproxy.oci.artifact import Artifact
from snapproxy.oci.manifests import INDEX, LIMIT, Descriptor, ImageIndex, ManifestDocument
from snapproxy.oci.registry import Repository
from snapproxy.oci.session import NOT_FOUND
from snapproxy.oci.transfer import push

RECHECK_SECONDS = 1.0
"""Seconds between writing the tag and reading it again: longer than any client takes between reading and writing it."""

_ROUNDS = 12
_PAGES_MOST = 1000

MOST = 10_000
"""Maximum number of referrers of one digest: far more than in practice, but few enough to be requested one by one."""

_OK = 200
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')


async def attach(repository: Repository, artifact: Artifact, *, progress: Progress = SILENT) -> ManifestDocument:
    """Push an artifact that has a `subject`, by its digest, and make the registry list it as a referrer.

    Return its root.

    Raises the errors of `push`, and UpstreamError if the entry in the fallback tag does not persist.
    """
    root = artifact.root
    subject = root.read().subject
    if subject is None:
        raise ValueError("an artifact without a subject cannot be attached")
    stored = await push(repository, artifact, progress=progress)
    if stored.subject != subject.digest:
        await _add_to_fallback_tag(repository, root, subject)
    return root


async def referrers(repository: Repository, subject: str, artifact_type: str = "") -> tuple[Descriptor, ...]:
    """Return the referrers of a digest, of one artifact type or ('') of any, in the registry's order.

    Raises the same errors as `Session.ask`.
    """
    found = await _listed(repository, subject, artifact_type)
    if found is None:
        index = await _tagged(repository, subject)
        wanted = [each for each in index.manifests if artifact_type in {"", each.artifact_type}]
        if len(wanted) > MOST:
            raise _too_many(f"more than {MOST} entries")
        found = [each for each in wanted if await _refers(repository, each, subject)]
    return tuple(each for each in found if artifact_type in {"", each.artifact_type})


def tag_of(subject: str) -> str:
    """Return the fallback tag with the referrers of a digest."""
    return subject.replace(":", "-")


async def _listed(repository: Repository, subject: str, artifact_type: str) -> list[Descriptor] | None:
    """Query the referrers API, page by page. Return None if the registry has no such API."""
    found: list[Descriptor] = []
    url: URL | None = await repository.session.url(
        f"referrers/{subject}", {"artifactType": artifact_type} if artifact_type else None
    )
    for number in range(_PAGES_MOST):
        if url is None:
            return found
        async with repository.session.ask("GET", url, headers={"Accept": INDEX}) as reply:
            if reply.status == NOT_FOUND and not number:
                return None
            if reply.status != _OK:
                raise await repository.session.refusal(reply, "to list referrers")
            index = ManifestDocument(INDEX, await reply.read(LIMIT)).read()
            link = _NEXT.search(reply.headers.get("Link", ""))
            url = repository.session.connections.location_url(reply.url, link[1]) if link else None
        if isinstance(index, ImageIndex):
            found.extend(index.manifests)
        if len(found) > MOST:
            raise _too_many(f"more than {MOST} entries")
    raise _too_many(f"more than {_PAGES_MOST} pages")


async def _tagged(repository: Repository, subject: str) -> ImageIndex:
    """Return the index with the fallback tag, an empty one if it does not exist.

    GitLab answers the tag with the subject itself, which may be an index; that is not a list of referrers.
    """
    document = await repository.find(tag_of(subject))
    if document is None or document.digest == subject:
        return ImageIndex(())
    read = document.read()
    if not isinstance(read, ImageIndex):
        raise UpstreamError(
            "The fallback tag for referrers is in use",
            why=f"{tag_of(subject)} of {repository.reference.repository} is not an index; it is not overwritten.",
            hint="Delete that tag, or use a registry with the referrers API.",
        )
    return read


async def _refers(repository: Repository, descriptor: Descriptor, subject: str) -> bool:
    """Return whether a manifest exists and names the subject. A tag may list any manifest."""
    document = await repository.find(descriptor.digest)
    if document is None:
        return False
    named = document.read().subject
    return named is not None and named.digest == subject


async def _add_to_fallback_tag(repository: Repository, root: ManifestDocument, subject: Descriptor) -> None:
    """Add a referrer to the index of the fallback tag, repeatedly until it is listed there."""
    clock, entry = repository.session.clock, root.referrer
    for _ in range(_ROUNDS):
        index = await _tagged(repository, subject.digest)
        others = tuple(each for each in index.manifests if each.digest != entry.digest)
        if entry not in index.manifests or len(index.manifests) != len(others) + 1:
            await repository.put(replace(index, manifests=(*others, entry)).document(), tag_of(subject.digest))
            # not a secret: jitter, so that two writers do not collide again
            await clock.sleep(RECHECK_SECONDS * random.uniform(1.0, 2.0))  # noqa: S311
            continue
        return
    raise UpstreamError(
        "The registry does not keep the list of referrers",
        why=f"The tag {tag_of(subject.digest)} was written {_ROUNDS} times, but does not list {root.digest}.",
        hint="Check whether other clients write that tag, or the registry returns another manifest for it.",
    )


def _too_many(has: str) -> ArchiveDataError:
    return ArchiveDataError("The registry's list of referrers is too long", why=f"It has {has}.")
