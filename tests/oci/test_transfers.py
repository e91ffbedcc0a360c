"""Transfers of blobs: broken connections, lost uploads, refused chunks, and blobs that are there already."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from aiohttp import web

from snapproxy.core.progress import SILENT
from snapproxy.errors import UpstreamError
from snapproxy.oci.artifact import Artifact
from snapproxy.oci.manifests import digest_of
from snapproxy.oci.registry import Repository
from snapproxy.oci.registry_http import ATTEMPTS
from snapproxy.oci.transfer import MISSES, WIDTH, push
from snapproxy.oci.upload import upload
from tests.fakes.one_blob import BLOB, CHUNK, DATA, pull
from tests.fakes.registry import SimulatedRegistry, busy, cut_after, reset

MakeArtifact = Callable[..., Artifact]


async def test_an_interrupted_download_is_resumed(repository: Repository, registry: SimulatedRegistry) -> None:
    registry.blobs[BLOB.descriptor.digest] = DATA
    registry.misbehave("GET", "blobs", cut_after(DATA[:1000], len(DATA)), reset)
    assert await pull(repository) == DATA
    assert [each.headers.get("range", "") for each in registry.asked("GET", "blobs")] == [
        "",
        "bytes=1000-",
        "bytes=1000-",
    ]


async def test_a_registry_without_ranges_sends_the_blob_again(
    repository: Repository, registry: SimulatedRegistry
) -> None:
    registry.blobs[BLOB.descriptor.digest] = DATA
    registry.misbehave(
        "GET",
        "blobs",
        cut_after(DATA[:1000], len(DATA)),
        cut_after(DATA[:900], len(DATA)),
        cut_after(DATA[:5000], len(DATA)),
    )
    assert await pull(repository) == DATA


async def test_an_interrupted_chunk_is_resumed(repository: Repository, registry: SimulatedRegistry) -> None:
    """The registry has a part of the second chunk, and reports it."""
    kept = 0

    async def break_off(request):
        nonlocal kept
        some = await request.content.readany()
        kept = len(some)
        (open_upload,) = registry.uploads.values()
        open_upload.data += some
        return await reset(request)

    async def pass_on(request):
        return None

    registry.misbehave("PATCH", "uploads", pass_on, break_off, busy(429, "7"))
    await upload(repository, BLOB, progress=SILENT, chunk=CHUNK)
    assert registry.blobs[BLOB.descriptor.digest] == DATA
    assert 0 < kept <= CHUNK
    sent = [each.headers["content-range"] for each in registry.asked("PATCH")]
    assert sent[:2] == ["0-99999", "100000-199999"]
    assert sent[2] == sent[3]
    assert sent[2].startswith(f"{100_000 + kept}-")
    assert 6 < max(repository.session.clock.slept) <= 7


async def test_the_range_is_requested_after_a_refusal(repository: Repository, registry: SimulatedRegistry) -> None:
    """416: an earlier attempt sent more than was known."""

    async def lose_some(request):
        (open_upload,) = registry.uploads.values()
        del open_upload.data[60_000:]

    async def pass_on(request):
        return None

    registry.misbehave("PATCH", "uploads", pass_on, lose_some)
    await upload(repository, BLOB, progress=SILENT, chunk=CHUNK)
    assert registry.blobs[BLOB.descriptor.digest] == DATA
    assert [each.headers["content-range"].partition("-")[0] for each in registry.asked("PATCH")] == [
        "0",
        "100000",
        "60000",
        "160000",
        "260000",
    ]


@pytest.mark.parametrize("chunk", [CHUNK, 1 << 20])
async def test_a_lost_upload_starts_again(repository: Repository, registry: SimulatedRegistry, chunk: int) -> None:
    async def forget(request):
        registry.uploads.clear()

    async def pass_on(request):
        return None

    registry.misbehave("PATCH", "uploads", pass_on, forget)
    registry.misbehave("PUT", "uploads", forget)
    await upload(repository, BLOB, progress=SILENT, chunk=chunk)
    assert registry.blobs[BLOB.descriptor.digest] == DATA


async def test_the_minimum_chunk_size_is_obeyed(repository: Repository, registry: SimulatedRegistry) -> None:
    registry.chunk_least = 120_000
    await upload(repository, BLOB, progress=SILENT, chunk=CHUNK)
    assert [each.headers["content-length"] for each in registry.asked("PATCH")] == ["120000", "120000", "60000"]


async def test_a_registry_that_refuses_chunks_gets_the_whole_blob(
    repository: Repository, registry: SimulatedRegistry
) -> None:
    registry.takes_chunks = False
    await upload(repository, BLOB, progress=SILENT, chunk=CHUNK)
    assert registry.blobs[BLOB.descriptor.digest] == DATA


def _refuses_long_chunks(registry: SimulatedRegistry) -> None:
    """GitHub's registry: 416 above 4 MiB a chunk, one request of any length."""
    registry.chunk_most = CHUNK // 2


def _reports_the_first_chunk_only(registry: SimulatedRegistry) -> None:
    """ECR: 201 for a chunk, a Range that never grows, no answer to a GET of the upload."""
    registry.chunk_status, registry.reports_first_chunk_only = 201, True


def _refuses_long_requests(registry: SimulatedRegistry) -> None:
    """A server in front of the registry limits the length of a request."""
    registry.chunk_most = registry.whole_most = CHUNK // 2


@pytest.mark.parametrize(
    ("misdeed", "chunks", "whole"),
    [
        pytest.param(_refuses_long_chunks, 1, 2, id="long chunks are refused"),
        pytest.param(_reports_the_first_chunk_only, 2, 2, id="the range never grows"),
        pytest.param(_refuses_long_requests, 1 + 6 + 6, 3, id="long requests are refused"),
    ],
)
async def test_a_long_blob_is_sent_as_the_registry_accepts_it(
    repository: Repository,
    registry: SimulatedRegistry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    misdeed: Callable[[SimulatedRegistry], None],
    chunks: int,
    whole: int,
) -> None:
    """Chunks, then one request, then shorter chunks. The second blob is sent at once as the first one was at last."""
    monkeypatch.setattr("snapproxy.oci.upload.SMALLER_CHUNKS", (CHUNK // 2, CHUNK // 4))
    misdeed(registry)
    for _ in range(2):
        await upload(repository, BLOB, progress=SILENT, chunk=CHUNK)
        assert registry.blobs.pop(BLOB.descriptor.digest) == DATA
    assert len(registry.asked("PATCH")) == chunks
    assert len(registry.asked("PUT", "uploads")) == whole
    assert len(caplog.records) == 1


async def test_a_registry_that_accepts_a_chunk_with_201_gets_all_chunks(
    repository: Repository, registry: SimulatedRegistry
) -> None:
    registry.chunk_status = 201
    await upload(repository, BLOB, progress=SILENT, chunk=CHUNK)
    assert registry.blobs[BLOB.descriptor.digest] == DATA
    assert len(registry.asked("PATCH")) == 3


async def test_a_registry_that_refuses_every_length_is_an_error(
    repository: Repository, registry: SimulatedRegistry
) -> None:
    registry.chunk_most = registry.whole_most = 0
    with pytest.raises(UpstreamError, match="refused a blob"):
        await upload(repository, BLOB, progress=SILENT, chunk=CHUNK)
    assert len(registry.asked("PATCH")) == len(registry.asked("PUT", "uploads")) == 1


async def test_a_declined_mount_is_an_upload(repository: Repository, registry: SimulatedRegistry) -> None:
    registry.mounts = False
    await upload(repository, BLOB, mount_from=("team/base", "bad NAME"), progress=SILENT)
    assert registry.blobs[BLOB.descriptor.digest] == DATA
    assert len(registry.asked("POST")) == 1
    assert registry.asked("POST")[0].query == {"mount": BLOB.descriptor.digest, "from": "team/base"}


async def test_existing_blobs_are_not_sent(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    artifact = make_artifact(b"a", b"b")
    await push(repository, artifact, "v1")
    before = len(registry.asked("POST"))
    await push(repository, artifact, "v2")
    assert len(registry.asked("POST")) == before == 3


async def test_short_blobs_are_sent_unchecked_after_many_misses(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    """In a new repository, short blobs are sent without checking after some misses; a second push sends nothing."""
    long = [os.urandom(300_000) for _ in range(3)]
    artifact = make_artifact(*[b"%d" % number for number in range(150)], *long)
    await push(repository, artifact, "v1")
    asked = {each.path.rpartition("/")[2] for each in registry.asked("HEAD", "blobs")}
    assert MISSES <= len(asked) <= MISSES + WIDTH + len(long)
    assert asked >= {digest_of(data) for data in long}
    before = len(registry.asked("POST"))
    assert before == len(artifact.contents)
    await push(repository, artifact, "v2")
    assert len(registry.asked("POST")) == before


async def test_the_retry_after_of_a_busy_registry_is_obeyed(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    registry.misbehave("HEAD", "blobs", busy(429, "30"), busy(503), busy(500), busy(429))
    registry.misbehave("PUT", "manifests", busy(429, "11"))
    await push(repository, make_artifact(*[b"%d" % number for number in range(40)]), "v1")
    slept = repository.session.clock.slept
    assert any(29 < each <= 30 for each in slept)
    assert any(10 < each <= 11 for each in slept)


async def test_an_upload_without_progress_is_abandoned(repository: Repository, registry: SimulatedRegistry) -> None:
    async def say_yes(request):
        await request.read()
        return web.Response(status=202, headers={"Location": request.path_qs, "Range": "0-9"})

    registry.misbehave("PATCH", "uploads", *[say_yes] * 1000)
    with pytest.raises(UpstreamError, match="makes no progress with an upload"):
        await upload(repository, BLOB, progress=SILENT, chunk=CHUNK)
    assert len(registry.asked("PATCH")) <= 2 * ATTEMPTS**2
