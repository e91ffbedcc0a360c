"""What refers to a manifest: attached and found by the referrers API, or by the fall-back tag where a registry has none.

distribution-spec, "Pushing Manifests with Subject" and "Listing Referrers". The tag holds an index that clients keep by reading,
changing and writing it, without any lock: two at once, and the later one's index lacks the earlier one's entry. So whoever wrote
looks again when everybody who had read before must have written, and repeats until its entry stands.
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
"""How long after writing the tag we look again: longer than anybody takes between reading and writing it."""

_ROUNDS = 12
_PAGES_MOST = 1000

MOST = 10_000
"""Referrers of one digest that are read: more than anybody attaches, and no burden to hold, or to ask for one by one."""

_OK = 200
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')


async def attach(repository: Repository, artifact: Artifact, *, progress: Progress = SILENT) -> ManifestDocument:
    """Push an artifact that has a `subject`, by its digest, and see to it that it is found from there. Returns its root.

    Raises as `push`, and UpstreamError when the registry does not keep the fall-back tag.
    """
    root = artifact.root
    subject = root.read().subject
    if subject is None:
        raise ValueError("an artifact without a subject is attached to nothing")
    stored = await push(repository, artifact, progress=progress)
    if stored.subject != subject.digest:
        await _add_to_fallback_tag(repository, root, subject)
    return root


async def referrers(repository: Repository, subject: str, artifact_type: str = "") -> tuple[Descriptor, ...]:
    """Return what refers to a digest, of one type or ('') of any, in the registry's order. Raises as `Session.ask`."""
    found = await _listed(repository, subject, artifact_type)
    if found is None:
        index = await _tagged(repository, subject)
        wanted = [each for each in index.manifests if artifact_type in {"", each.artifact_type}]
        if len(wanted) > MOST:
            raise _too_many(f"more than {MOST} entries")
        found = [each for each in wanted if await _refers(repository, each, subject)]
    return tuple(each for each in found if artifact_type in {"", each.artifact_type})


def tag_of(subject: str) -> str:
    """Return the tag that holds the referrers of a digest."""
    return subject.replace(":", "-")


async def _listed(repository: Repository, subject: str, artifact_type: str) -> list[Descriptor] | None:
    """Ask the referrers API, page by page; None when there is none."""
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
    """Return the index under the fall-back tag, an empty one when there is none.

    GitLab answers the tag with the subject itself, which may be an index: it is none of ours then.
    """
    document = await repository.find(tag_of(subject))
    if document is None or document.digest == subject:
        return ImageIndex(())
    read = document.read()
    if not isinstance(read, ImageIndex):
        raise UpstreamError(
            "The tag for referrers holds something else",
            why=f"{tag_of(subject)} of {repository.reference.repository} is no index, and is not overwritten.",
            hint="Remove that tag, or use a registry with the referrers API.",
        )
    return read


async def _refers(repository: Repository, descriptor: Descriptor, subject: str) -> bool:
    """Whether a manifest is there and names the subject: a tag may list anything."""
    document = await repository.find(descriptor.digest)
    if document is None:
        return False
    named = document.read().subject
    return named is not None and named.digest == subject


async def _add_to_fallback_tag(repository: Repository, root: ManifestDocument, subject: Descriptor) -> None:
    """Enter a referrer into the fall-back tag's index, until it stands there."""
    clock, entry = repository.session.clock, root.referrer
    for _ in range(_ROUNDS):
        index = await _tagged(repository, subject.digest)
        others = tuple(each for each in index.manifests if each.digest != entry.digest)
        if entry not in index.manifests or len(index.manifests) != len(others) + 1:
            await repository.put(replace(index, manifests=(*others, entry)).document(), tag_of(subject.digest))
            await clock.sleep(RECHECK_SECONDS * random.uniform(1.0, 2.0))  # noqa: S311 # no secret: two must not go in step
            continue
        return
    raise UpstreamError(
        "The registry does not keep the list of referrers",
        why=f"{tag_of(subject.digest)} was written {_ROUNDS} times, and {root.digest} does not stand in it.",
        hint="Somebody else writes it all the time, or the registry answers that tag with something else.",
    )


def _too_many(has: str) -> ArchiveDataError:
    return ArchiveDataError("The registry's list of referrers has no end", why=f"It has {has}.")
