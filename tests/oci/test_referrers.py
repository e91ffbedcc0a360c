"""Referrers of an image: all pages are read, entries of others are kept, and each one is verified."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiohttp import web

from snapproxy.errors import ArchiveDataError, UpstreamError
from snapproxy.oci.artifact import Artifact
from snapproxy.oci.manifests import INDEX, Descriptor, ImageIndex
from snapproxy.oci.referrers import MOST, attach, referrers, tag_of
from snapproxy.oci.registry import Repository
from snapproxy.oci.transfer import push
from tests.fakes.one_blob import BLOB
from tests.fakes.registry import SimulatedRegistry, busy

MakeArtifact = Callable[..., Artifact]


async def test_pages_of_referrers_are_read_to_the_end(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    registry.page = 2
    subject = make_artifact(b"image")
    await push(repository, subject, "image")
    artifacts = [make_artifact(b"%d" % number, subject=subject.root.descriptor) for number in range(5)]
    for each in artifacts:
        await attach(repository, each)
    found = await referrers(repository, subject.root.digest, "application/vnd.example.capture.v1")
    assert [each.digest for each in found] == [each.root.digest for each in artifacts]
    assert not registry.asked("PUT", "manifests/sha256-")


@pytest.mark.parametrize("is_index", [False, True])
async def test_a_tag_that_answers_with_the_subject_itself(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact, is_index: bool
) -> None:
    """GitLab does so. The manifests of the subject are not referrers and are not added to the list."""
    registry.has_referrers, registry.is_gitlab = False, True
    subject = make_artifact(b"image")
    if is_index:
        subject = Artifact.under(ImageIndex((subject.root.descriptor,)), (subject,))
    await push(repository, subject, "image")
    assert await referrers(repository, subject.root.digest) == ()
    artifact = make_artifact(b"a", subject=subject.root.descriptor)
    await attach(repository, artifact)
    assert await referrers(repository, subject.root.digest) == (artifact.root.referrer,)
    assert (await repository.resolve(tag_of(subject.root.digest))).read() == ImageIndex((artifact.root.referrer,))


async def test_entries_that_do_not_refer_to_the_subject_are_dropped(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    registry.has_referrers = False
    subject, stranger = make_artifact(b"image"), make_artifact(b"stranger")
    await push(repository, subject, "image")
    await push(repository, stranger, "stranger")
    tag = tag_of(subject.root.digest)
    await repository.put(ImageIndex((stranger.root.referrer,), annotations={"kept": "yes"}).document(), tag)
    artifact = make_artifact(b"a", subject=subject.root.descriptor)
    await attach(repository, artifact)
    assert await referrers(repository, subject.root.digest) == (artifact.root.referrer,)
    kept = (await repository.resolve(tag)).read()
    assert kept == ImageIndex((stranger.root.referrer, artifact.root.referrer), annotations={"kept": "yes"})


async def test_a_tag_with_another_manifest_is_not_overwritten(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    registry.has_referrers = False
    subject = make_artifact(b"image")
    await push(repository, subject, "image")
    await push(repository, make_artifact(b"other"), tag_of(subject.root.digest))
    with pytest.raises(UpstreamError, match="fallback tag for referrers is in use"):
        await attach(repository, make_artifact(b"a", subject=subject.root.descriptor))


async def test_a_tag_that_does_not_persist_is_reported(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    registry.has_referrers = False
    subject = make_artifact(b"image")
    await push(repository, subject, "image")

    async def swallow(request):
        await request.read()
        return await busy(201)(request)

    registry.misbehave("PUT", "manifests/sha256-", *[swallow] * 100)
    with pytest.raises(UpstreamError, match="does not keep"):
        await attach(repository, make_artifact(b"a", subject=subject.root.descriptor))


async def test_a_concurrent_write_is_detected(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    """Another tool reads the tag before our write and writes it after."""
    registry.has_referrers = False
    subject = make_artifact(b"image")
    await push(repository, subject, "image")
    tag = tag_of(subject.root.digest)
    other = make_artifact(b"other", subject=subject.root.descriptor)
    await push(repository, other)

    class OtherWritesLater(type(repository.session.clock)):  # type: ignore[misc]
        async def sleep(self, seconds: float) -> None:
            if len(self.slept) == 0:
                await repository.put(ImageIndex((other.root.referrer,)).document(), tag)
            await super().sleep(seconds)

    repository.session.clock = OtherWritesLater()
    artifact = make_artifact(b"a", subject=subject.root.descriptor)
    await attach(repository, artifact)
    assert {each.digest for each in await referrers(repository, subject.root.digest)} == {
        other.root.digest,
        artifact.root.digest,
    }


@pytest.mark.parametrize(("page", "entries", "words"), [(0, 0, "pages"), (1500, 1500, "entries")])
async def test_an_endless_list_is_abandoned(
    repository: Repository, registry: SimulatedRegistry, page: int, entries: int, words: str
) -> None:
    """Each page links to itself. With entries it would fill the memory before the limit of pages is reached."""
    one = Descriptor("application/vnd.oci.image.manifest.v1+json", BLOB.descriptor.digest, 1)
    answer = ImageIndex((one,) * entries).document().data

    async def again(request: web.Request) -> web.Response:
        link = f'<{request.path}?n={len(registry.seen)}>; rel="next"'
        return web.Response(body=answer, headers={"Link": link})

    registry.misbehave("GET", "referrers", *[again] * 2000)
    with pytest.raises(ArchiveDataError, match="too long") as ended:
        await referrers(repository, BLOB.descriptor.digest)
    assert words in ended.value.why
    assert len(registry.asked("GET", "referrers")) <= (1000 if not page else MOST // page + 1)


async def test_entries_of_a_tag_that_lists_too_many_are_not_requested(
    repository: Repository, registry: SimulatedRegistry
) -> None:
    registry.has_referrers = False
    one = Descriptor("application/vnd.oci.image.manifest.v1+json", BLOB.descriptor.digest, 1)
    tag = tag_of(BLOB.descriptor.digest)
    registry.manifests["team/art", tag] = (INDEX, ImageIndex((one,) * (MOST + 1)).document().data)
    with pytest.raises(ArchiveDataError, match="too long"):
        await referrers(repository, BLOB.descriptor.digest)
    assert len(registry.seen) <= 3
