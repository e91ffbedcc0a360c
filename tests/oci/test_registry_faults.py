"""Faults of registries and their results: redirects, broken connections, lost uploads, overload, wrong content."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from aiohttp import web

from snapproxy.core.progress import SILENT
from snapproxy.errors import ArchiveDataError, SnapproxyError, UpstreamError
from snapproxy.oci.artifact import Artifact
from snapproxy.oci.manifests import INDEX, LIMIT
from snapproxy.oci.referrers import referrers
from snapproxy.oci.registry import MissingError, Repository
from snapproxy.oci.registry_http import ATTEMPTS, BusyError, ConnectionBrokenError
from snapproxy.oci.session import RegistryRefusedError
from snapproxy.oci.transfer import push
from snapproxy.oci.upload import upload
from tests.fakes.one_blob import BLOB, CHUNK, DATA, pull
from tests.fakes.registry import Misdeed, SimulatedRegistry, busy, cut_after, forget, moved, reset

MakeArtifact = Callable[..., Artifact]
Act = Callable[[Repository], Awaitable[object]]


async def pulling(repository: Repository) -> None:
    assert await pull(repository) == DATA


async def resolving(repository: Repository) -> None:
    await repository.resolve("v1")


async def pushing(repository: Repository) -> None:
    await upload(repository, BLOB, progress=SILENT)


async def chunking(repository: Repository) -> None:
    await upload(repository, BLOB, progress=SILENT, chunk=CHUNK)


async def listing(repository: Repository) -> None:
    await referrers(repository, BLOB.descriptor.digest)


def body(data: bytes, *, status: int = 200, **headers: str) -> Misdeed:
    """Answer with these bytes."""

    async def deed(request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=data, status=status, headers={name.replace("_", "-"): v for name, v in headers.items()}
        )

    return deed


async def endless(request: web.Request) -> web.StreamResponse:
    """Send bytes until the client closes the connection."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b" " * 65536)


async def unannounced(request: web.Request) -> web.StreamResponse:
    """Send a little more than 4 MiB without a Content-Length."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b" " * (LIMIT + 1))
    return answer


NO_LIST = b'{"schemaVersion":2,"mediaType":"%s","manifests":[]}' % INDEX.encode()
ELSEWHERE = "redirect that is not followed"


@dataclass(frozen=True)
class Row:
    """The first requests of `method` and `path` get `deeds` as answers, later ones are correct.

    `act` then raises `error` with `words` in its text, or succeeds. `asked` is the expected number of such requests.
    """

    act: Act
    method: str
    path: str
    deeds: tuple[Misdeed, ...]
    error: type[SnapproxyError] | None = None
    words: str = ""
    asked: int = 0


TABLE = {
    # redirects
    "to another protocol": Row(resolving, "GET", "manifests", (moved("ftp://127.0.0.1/"),), UpstreamError, ELSEWHERE),
    "to a login of its own": Row(
        resolving, "GET", "manifests", (moved("http://u:p@127.0.0.1/"),), UpstreamError, ELSEWHERE
    ),
    "in a circle": Row(
        resolving, "GET", "manifests", (moved("/v2/team/art/manifests/v1"),), UpstreamError, "It redirects in a loop", 1
    ),
    "to an invalid address": Row(
        resolving, "GET", "manifests", (moved("http://[::1"),), UpstreamError, "an invalid address"
    ),
    "an upload becomes a download": Row(
        pushing, "PUT", "uploads", (moved("/elsewhere", 302),), UpstreamError, ELSEWHERE
    ),
    "an upload without an address": Row(
        pushing, "POST", "uploads", (busy(202),), UpstreamError, "no address for the upload", 1
    ),
    "an upload at an invalid address": Row(
        pushing, "POST", "uploads", (moved("ftp://x/", 202),), UpstreamError, ELSEWHERE
    ),
    # broken connections
    "a download breaks once": Row(pulling, "GET", "blobs", (cut_after(DATA[:1000], len(DATA)),), asked=2),
    "a download always breaks": Row(
        pulling, "GET", "blobs", (reset,) * 100, ConnectionBrokenError, "connection to the registry failed"
    ),
    "an upload breaks": Row(pushing, "PUT", "uploads", (reset, busy(503))),
    "the start of an upload breaks": Row(pushing, "POST", "uploads", (reset,)),
    "a chunk breaks": Row(chunking, "PATCH", "uploads", (reset,)),
    # lost uploads
    "an upload is lost": Row(pushing, "PUT", "uploads", (forget,), asked=2),
    "a chunk's upload is lost": Row(chunking, "PATCH", "uploads", (forget,)),
    "every upload is lost": Row(pushing, "PUT", "uploads", (forget,) * 100, UpstreamError, "lost an upload", ATTEMPTS),
    "every chunk's upload is lost": Row(
        chunking, "PATCH", "uploads", (forget,) * 100, UpstreamError, "lost an upload", ATTEMPTS
    ),
    # overload
    "busy for a while": Row(resolving, "GET", "manifests", (busy(429),) * (ATTEMPTS - 1), MissingError, asked=ATTEMPTS),
    "always busy": Row(resolving, "GET", "manifests", (busy(429),) * 100, BusyError, "too busy", ATTEMPTS),
    "busy for five minutes": Row(resolving, "GET", "manifests", (busy(503, "301"),), BusyError, "301 s", 1),
    "busy at a chunk": Row(chunking, "PATCH", "uploads", (busy(429, "3"), busy(429)), asked=5),
    # wrong content
    "another byte": Row(pulling, "GET", "blobs", (body(DATA[:-1] + b"x"),), ArchiveDataError, "damaged", 1),
    "a byte less": Row(pulling, "GET", "blobs", (body(DATA[:-1]),), ArchiveDataError, "damaged", 1),
    "a byte more": Row(pulling, "GET", "blobs", (body(DATA + b"x"),), ArchiveDataError, "damaged", 1),
    "nothing": Row(pulling, "GET", "blobs", (body(b""),), ArchiveDataError, "damaged", 1),
    "a blob without end": Row(pulling, "GET", "blobs", (endless,), ArchiveDataError, "more than", 1),
    "a part of another range": Row(
        pulling,
        "GET",
        "blobs",
        (body(DATA[5:], status=206, Content_Range="bytes 5-299999/300000"),),
        ArchiveDataError,
        "another range",
    ),
    "a part without a range": Row(
        pulling, "GET", "blobs", (body(DATA, status=206),), ArchiveDataError, "another range"
    ),
    "a manifest over 4 MiB": Row(
        resolving, "GET", "manifests", (body(b" " * (LIMIT + 1)),), ArchiveDataError, "4 MiB", 1
    ),
    "a manifest over 4 MiB, unannounced": Row(
        resolving, "GET", "manifests", (unannounced,), ArchiveDataError, "too long", 1
    ),
    "a manifest without end": Row(resolving, "GET", "manifests", (endless,), ArchiveDataError, "too long", 1),
    "a manifest of nothing": Row(resolving, "GET", "manifests", (body(b""),), ArchiveDataError, "not valid JSON", 1),
    "a manifest of another digest": Row(
        resolving,
        "GET",
        "manifests",
        (body(NO_LIST, Docker_Content_Digest="sha256:" + "0" * 64),),
        ArchiveDataError,
        "does not match its digest",
    ),
    "an HTML page": Row(resolving, "GET", "manifests", (body(b"<html>"),), ArchiveDataError, "not valid JSON", 1),
    "a refusal in HTML": Row(
        resolving, "GET", "manifests", (body(b"<html>", status=418),), RegistryRefusedError, "answered 418", 1
    ),
    "a refusal without end": Row(
        resolving, "GET", "manifests", (body(b" " * (1 << 20), status=418),), RegistryRefusedError, "418", 1
    ),
    "a list of something else": Row(listing, "GET", "referrers", (body(b'{"a":1}'),), ArchiveDataError, "schema", 1),
    "a list that links to ftp": Row(
        listing,
        "GET",
        "referrers",
        (body(NO_LIST, Link='<ftp://127.0.0.1/>; rel="next"'),),
        UpstreamError,
        ELSEWHERE,
        1,
    ),
}


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
async def test_each_fault_has_its_result(repository: Repository, registry: SimulatedRegistry, row: Row) -> None:
    if row.act is pulling:
        registry.blobs[BLOB.descriptor.digest] = DATA
    registry.misbehave(row.method, row.path, *row.deeds)
    if row.error is None:
        await row.act(repository)
        assert registry.blobs[BLOB.descriptor.digest] == DATA
    else:
        with pytest.raises(row.error) as ended:
            await row.act(repository)
        assert row.words in str(ended.value)
    if row.asked:
        assert len(registry.asked(row.method, row.path)) == row.asked


async def test_an_unreachable_registry_is_named(connect) -> None:
    repository = await connect("127.0.0.1:1")
    with pytest.raises(ConnectionBrokenError) as broken:
        await repository.resolve("v1")
    assert broken.value.why.startswith("127.0.0.1:1: ")


async def test_a_wrong_manifest_is_detected(
    repository: Repository, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    artifact = make_artifact(b"a")
    await push(repository, artifact, "v1")
    registry.lies["v1"] = registry.lies[artifact.root.digest] = make_artifact(b"b").root.data
    for version in (artifact.root.digest, "v1"):
        with pytest.raises(ArchiveDataError, match="does not match its digest"):
            await repository.resolve(version)


async def test_a_download_that_always_breaks_ends(repository: Repository, registry: SimulatedRegistry) -> None:
    """aiohttp repeats a request on a reused connection that was closed: at most once per attempt."""
    registry.misbehave("GET", "blobs", *[reset] * 100)
    with pytest.raises(ConnectionBrokenError):
        await pull(repository)
    assert len(registry.asked("GET", "blobs")) <= ATTEMPTS * 2
