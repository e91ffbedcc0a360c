"""Registries that redirect, break off, forget, are busy and lie: a simulated one, on command."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from aiohttp import web
from yarl import URL

from snapproxy.errors import ArchiveDataError, UpstreamError
from snapproxy.oci.artifact import Artifact, bytes_content
from snapproxy.oci.credentials import Login
from snapproxy.oci.model import LIMIT, Descriptor, Index, digest_of
from snapproxy.oci.progress import SILENT
from snapproxy.oci.referrers import attach, referrers, tag_of
from snapproxy.oci.registry import Repository
from snapproxy.oci.tokens import DeniedError, read_challenges
from snapproxy.oci.transfer import MISSES, WIDTH, push
from snapproxy.oci.upload import upload
from snapproxy.oci.wire import ATTEMPTS, BusyError, ConnectionBrokenError
from tests.fakes.registry import SimulatedRegistry, busy, cut_after, moved, reset

MakeArtifact = Callable[..., Artifact]
DATA = os.urandom(300_000)
BLOB = bytes_content(Descriptor("application/octet-stream", digest_of(DATA), len(DATA)), DATA)
CHUNK = 100_000


@pytest.fixture
async def repository(connect, registry: SimulatedRegistry) -> Repository:
    return await connect(registry.host)


async def pull(repository: Repository, descriptor: Descriptor = BLOB.descriptor) -> bytes:
    return b"".join([piece async for piece in repository.blob(descriptor)])


def no_credentials(registry: SimulatedRegistry) -> bool:
    return not any("authorization" in each.headers for each in registry.seen)


# --- redirects ---


@pytest.mark.parametrize("bearer", [False, True])
async def test_no_credentials_follow_a_redirect_to_another_host(
    connect, registry: SimulatedRegistry, other_host: SimulatedRegistry, bearer: bool
) -> None:
    registry.login, registry.bearer = ("ann", "pw"), bearer
    registry.blobs[BLOB.descriptor.digest] = other_host.blobs[BLOB.descriptor.digest] = DATA
    registry.blob_host = f"http://{other_host.host}"
    repository = await connect(registry.host, login=Login("ann", "pw"))
    assert await pull(repository) == DATA
    assert other_host.seen
    assert no_credentials(other_host)
    assert not no_credentials(registry)


async def test_an_upload_that_is_sent_elsewhere_takes_no_credentials_along(
    connect, registry: SimulatedRegistry, other_host: SimulatedRegistry
) -> None:
    registry.login = ("ann", "pw")
    other_host.misbehave("PUT", "/x", busy(201))
    registry.misbehave("PUT", "uploads", moved(f"http://{other_host.host}/x"))
    repository = await connect(registry.host, login=Login("ann", "pw"))
    await upload(repository, BLOB, progress=SILENT)
    assert len(other_host.asked("PUT", "/x")) == 1
    assert no_credentials(other_host)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("ftp://127.0.0.1/", "address"),
        ("http://user:pw@127.0.0.1/", "address"),
        ("/v2/team/art/manifests/v1", "circles"),
        ("http://[::1", "no address"),
    ],
)
async def test_redirects_that_lead_nowhere_are_refused(
    repository: Repository, registry: SimulatedRegistry, location: str, words: str
) -> None:
    registry.misbehave("GET", "manifests", moved(location), moved(location))
    with pytest.raises(UpstreamError, match="do not go") as refused:
        await repository.resolve("v1")
    assert words in refused.value.why


async def test_https_never_becomes_http(repository: Repository) -> None:
    with pytest.raises(UpstreamError, match="do not go"):
        repository.session.wire.joined(URL("https://r.example/v2/"), "http://r.example/v2/")


async def test_a_redirect_does_not_turn_an_upload_into_a_download(
    repository: Repository, registry: SimulatedRegistry
) -> None:
    registry.misbehave("PUT", "uploads", moved("/elsewhere", 302))
    with pytest.raises(UpstreamError, match="do not go"):
        await upload(repository, BLOB, progress=SILENT)


# --- breaking off, and being busy ---


async def test_a_download_goes_on_where_it_broke(repository: Repository, registry: SimulatedRegistry) -> None:
    registry.blobs[BLOB.descriptor.digest] = DATA
    registry.misbehave("GET", "blobs", cut_after(DATA[:1000], len(DATA)), reset)
    assert await pull(repository) == DATA
    assert [each.headers.get("range", "") for each in registry.asked("GET", "blobs")] == [
        "",
        "bytes=1000-",
        "bytes=1000-",
    ]


async def test_a_registry_without_ranges_sends_it_again_from_the_start(
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


async def test_a_download_that_always_breaks_ends(repository: Repository, registry: SimulatedRegistry) -> None:
    registry.misbehave("GET", "blobs", *[reset] * 100)
    with pytest.raises(ConnectionBrokenError):
        await pull(repository)
    assert (
        len(registry.asked("GET", "blobs")) <= ATTEMPTS * 2
    )  # aiohttp asks again itself where a kept connection was closed


async def test_an_upload_that_breaks_is_sent_again(repository: Repository, registry: SimulatedRegistry) -> None:
    registry.misbehave("PUT", "uploads", reset, busy(503))
    registry.misbehave("POST", "uploads", reset)
    await upload(repository, BLOB, progress=SILENT)
    assert registry.blobs[BLOB.descriptor.digest] == DATA


async def test_chunks_go_on_where_they_broke(repository: Repository, registry: SimulatedRegistry) -> None:
    """The registry kept a part of the second chunk, and says so when asked."""
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


async def test_a_range_that_is_refused_is_asked_for(repository: Repository, registry: SimulatedRegistry) -> None:
    """416: another attempt of ours had got further than we knew."""

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
async def test_a_forgotten_upload_begins_again(repository: Repository, registry: SimulatedRegistry, chunk: int) -> None:
    async def forget(request):
        registry.uploads.clear()

    async def pass_on(request):
        return None

    registry.misbehave("PATCH", "uploads", pass_on, forget)
    registry.misbehave("PUT", "uploads", forget)
    await upload(repository, BLOB, progress=SILENT, chunk=chunk)
    assert registry.blobs[BLOB.descriptor.digest] == DATA


async def test_an_upload_that_is_always_forgotten_ends(repository: Repository, registry: SimulatedRegistry) -> None:
    async def forget(request):
        registry.uploads.clear()

    registry.misbehave("PUT", "uploads", *[forget] * 100)
    with pytest.raises(UpstreamError, match="forgot"):
        await upload(repository, BLOB, progress=SILENT)
    assert len(registry.asked("PUT")) == ATTEMPTS


async def test_the_least_chunk_is_obeyed(repository: Repository, registry: SimulatedRegistry) -> None:
    registry.chunk_least = 120_000
    await upload(repository, BLOB, progress=SILENT, chunk=CHUNK)
    assert [each.headers["content-length"] for each in registry.asked("PATCH")] == ["120000", "120000", "60000"]


async def test_a_registry_that_takes_no_chunks_gets_it_whole(
    repository: Repository, registry: SimulatedRegistry
) -> None:
    registry.takes_chunks = False
    await upload(repository, BLOB, progress=SILENT, chunk=CHUNK)
    assert registry.blobs[BLOB.descriptor.digest] == DATA


async def test_a_declined_mount_is_an_upload(repository: Repository, registry: SimulatedRegistry) -> None:
    registry.mounts = False
    await upload(repository, BLOB, mount_from=("team/base", "bad NAME"), progress=SILENT)
    assert registry.blobs[BLOB.descriptor.digest] == DATA
    assert len(registry.asked("POST")) == 1
    assert registry.asked("POST")[0].query == {"mount": BLOB.descriptor.digest, "from": "team/base"}


async def test_what_is_there_is_not_sent(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    artifact = make_artifact(b"a", b"b")
    await push(repository, artifact, "v1")
    before = len(registry.asked("POST"))
    await push(repository, artifact, "v2")
    assert len(registry.asked("POST")) == before == 3


async def test_short_blobs_are_not_asked_for_when_none_was_there(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    """A new repository: after some misses the rest is sent at once, but for long blobs; a second push sends nothing."""
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


async def test_a_busy_registry_is_given_the_rest_it_asks_for(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    registry.misbehave("HEAD", "blobs", busy(429, "30"), busy(503), busy(500), busy(429))
    registry.misbehave("PUT", "manifests", busy(429, "11"))
    await push(repository, make_artifact(*[b"%d" % number for number in range(40)]), "v1")
    slept = repository.session.clock.slept
    assert any(29 < each <= 30 for each in slept)
    assert any(10 < each <= 11 for each in slept)


async def test_a_registry_that_stays_busy_is_reported(repository: Repository, registry: SimulatedRegistry) -> None:
    registry.misbehave("GET", "manifests", *[busy(429)] * ATTEMPTS, busy(503, "301"))
    with pytest.raises(BusyError, match="too busy"):
        await repository.resolve("v1")
    assert len(registry.asked("GET", "manifests")) == ATTEMPTS
    with pytest.raises(BusyError) as busy_for_long:
        await repository.resolve("v1")
    assert "301 s" in busy_for_long.value.why


async def test_an_unreachable_registry_is_named(connect) -> None:
    repository = await connect("127.0.0.1:1")
    with pytest.raises(ConnectionBrokenError) as broken:
        await repository.resolve("v1")
    assert broken.value.why.startswith("127.0.0.1:1: ")


# --- lies ---


@pytest.mark.parametrize("data", [DATA[:-1] + b"x", DATA[:-1], DATA + b"x", b""])
async def test_a_wrong_blob_is_noticed(repository: Repository, registry: SimulatedRegistry, data: bytes) -> None:
    registry.lies[BLOB.descriptor.digest] = data
    with pytest.raises(ArchiveDataError, match="damaged"):
        await pull(repository)


async def test_a_wrong_manifest_is_noticed(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    artifact = make_artifact(b"a")
    await push(repository, artifact, "v1")
    registry.lies["v1"] = registry.lies[artifact.root.digest] = make_artifact(b"b").root.data
    for version in (artifact.root.digest, "v1"):
        with pytest.raises(ArchiveDataError, match="another manifest"):
            await repository.resolve(version)


async def test_a_manifest_over_4_mib_is_not_read(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    await push(repository, make_artifact(b"a"), "v1")
    registry.lies["v1"] = b" " * (LIMIT + 1)
    with pytest.raises(ArchiveDataError, match="4 MiB"):
        await repository.resolve("v1")


# --- logins ---


async def test_many_requests_share_a_token(connect, registry: SimulatedRegistry, make_artifact: MakeArtifact) -> None:
    registry.login, registry.bearer = ("ann", "pw"), True
    repository = await connect(registry.host, login=Login("ann", "pw"))
    await push(repository, make_artifact(*[b"%d" % number for number in range(40)]), "v1")
    await repository.resolve("v1")
    tokens = registry.asked("GET", "/token")
    assert [each.query for each in tokens] == [
        {"a": "b", "service": "s", "scope": "repository:team/art:pull,push"},
        {"a": "b", "service": "s", "scope": "repository:team/art:pull"},
    ]


async def test_a_token_that_is_no_longer_taken_is_renewed(
    connect, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    registry.login, registry.bearer = ("ann", "pw"), True
    repository = await connect(registry.host, login=Login("ann", "pw"))
    await push(repository, make_artifact(b"a"), "v1")
    registry.tokens = {f"gone-{number}": set() for number in range(len(registry.tokens))}
    await push(repository, make_artifact(b"b"), "v2")
    assert len(registry.asked("GET", "/token")) == 2


@pytest.mark.parametrize("oauth", [True, False])
async def test_an_identity_token_gets_a_token(
    connect, registry: SimulatedRegistry, make_artifact: MakeArtifact, oauth: bool
) -> None:
    registry.identity_token, registry.bearer, registry.oauth = "id-token", True, oauth
    repository = await connect(registry.host, login=Login(identity_token="id-token"))
    await push(repository, make_artifact(b"a"), "v1", mount_from=("team/base",))
    assert len(registry.asked("POST", "/token")) >= 1
    assert bool(registry.asked("GET", "/token")) is not oauth


async def test_a_login_goes_to_no_service_but_an_http_one(connect, registry: SimulatedRegistry) -> None:
    registry.login = ("ann", "pw")
    repository = await connect(registry.host, login=Login("ann", "pw"))
    for realm in ("ftp://127.0.0.1/token", "http://a:b@127.0.0.1/token", "/token", "http://[", ""):

        async def ask(request, realm: str = realm):
            return web.Response(status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})

        registry.misbehave("GET", "manifests", ask)
        with pytest.raises(DeniedError):
            await repository.resolve("v1")


def test_challenges_are_told_apart() -> None:
    found = read_challenges(
        [
            'Basic realm="a, b=c", Bearer realm="https://t.example/x?y=1,2",service=s,scope="repository:a:pull,push"',
            "Negotiate x=1",
        ]
    )
    assert [(each.scheme, dict(each.parameters)) for each in found] == [
        ("basic", {"realm": "a, b=c"}),
        ("bearer", {"realm": "https://t.example/x?y=1,2", "service": "s", "scope": "repository:a:pull,push"}),
        ("negotiate", {"x": "1"}),
    ]


# --- referrers ---


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
    """As GitLab does: what stands in the subject are no referrers, and none of it gets into our list."""
    registry.has_referrers, registry.is_gitlab = False, True
    subject = make_artifact(b"image")
    if is_index:
        subject = Artifact.under(Index((subject.root.descriptor,)), (subject,))
    await push(repository, subject, "image")
    assert await referrers(repository, subject.root.digest) == ()
    artifact = make_artifact(b"a", subject=subject.root.descriptor)
    await attach(repository, artifact)
    assert await referrers(repository, subject.root.digest) == (artifact.root.referrer,)
    assert (await repository.resolve(tag_of(subject.root.digest))).read() == Index((artifact.root.referrer,))


async def test_a_list_that_holds_strangers_is_not_believed(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    registry.has_referrers = False
    subject, stranger = make_artifact(b"image"), make_artifact(b"stranger")
    await push(repository, subject, "image")
    await push(repository, stranger, "stranger")
    tag = tag_of(subject.root.digest)
    await repository.put(Index((stranger.root.referrer,), annotations={"kept": "yes"}).document(), tag)
    artifact = make_artifact(b"a", subject=subject.root.descriptor)
    await attach(repository, artifact)
    assert await referrers(repository, subject.root.digest) == (artifact.root.referrer,)
    kept = (await repository.resolve(tag)).read()
    assert kept == Index((stranger.root.referrer, artifact.root.referrer), annotations={"kept": "yes"})


async def test_a_tag_that_is_somebody_elses_is_not_overwritten(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    registry.has_referrers = False
    subject = make_artifact(b"image")
    await push(repository, subject, "image")
    await push(repository, make_artifact(b"other"), tag_of(subject.root.digest))
    with pytest.raises(UpstreamError, match="something else"):
        await attach(repository, make_artifact(b"a", subject=subject.root.descriptor))


async def test_a_tag_that_is_never_kept_is_reported(
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


async def test_one_who_wrote_over_another_is_noticed(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    """Another tool read the tag before we wrote it, and writes it after we did."""
    registry.has_referrers = False
    subject = make_artifact(b"image")
    await push(repository, subject, "image")
    tag = tag_of(subject.root.digest)
    other = make_artifact(b"other", subject=subject.root.descriptor)
    await push(repository, other)

    class OtherWritesLater(type(repository.session.clock)):  # type: ignore[misc]
        async def sleep(self, seconds: float) -> None:
            if len(self.slept) == 0:
                await repository.put(Index((other.root.referrer,)).document(), tag)
            await super().sleep(seconds)

    repository.session.clock = OtherWritesLater()
    artifact = make_artifact(b"a", subject=subject.root.descriptor)
    await attach(repository, artifact)
    assert {each.digest for each in await referrers(repository, subject.root.digest)} == {
        other.root.digest,
        artifact.root.digest,
    }
