"""The same tests against Debian's docker-registry, with and without a password, and against a simulated registry."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from snapproxy.base.clock import SystemClock
from snapproxy.core.progress import SILENT
from snapproxy.errors import ArchiveDataError
from snapproxy.oci.artifact import Artifact, bytes_content
from snapproxy.oci.credentials import Login
from snapproxy.oci.manifests import Descriptor, ImageIndex, digest_of
from snapproxy.oci.referrers import attach, referrers, tag_of
from snapproxy.oci.registry import MissingError, Repository
from snapproxy.oci.session import RegistryRefusedError
from snapproxy.oci.tokens import DeniedError
from snapproxy.oci.transfer import push
from snapproxy.oci.upload import upload
from tests.fakes.debian_registry import PASSWORD, USER, DebianRegistry
from tests.fakes.registry import SimulatedRegistry

MakeArtifact = Callable[..., Artifact]


@dataclass(frozen=True)
class Target:
    """A registry under test."""

    kind: str
    host: str
    login: Login | None


@pytest.fixture(params=["debian", "locked", "simulated", "simulated-bearer", "simulated-old"])
def target(request: pytest.FixtureRequest) -> Target:
    if request.param in {"debian", "locked"}:
        server: DebianRegistry = request.getfixturevalue(f"{request.param}_registry")
        return Target(request.param, server.host, Login(USER, PASSWORD) if request.param == "locked" else None)
    fake: SimulatedRegistry = request.getfixturevalue("registry")
    fake.has_referrers = request.param != "simulated-old"
    fake.bearer = request.param == "simulated-bearer"
    fake.login = (USER, PASSWORD) if fake.bearer else ("", "")
    return Target(request.param, fake.host, Login(USER, PASSWORD) if fake.bearer else None)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A repository for one test."""
    return f"t{os.getpid()}/r{abs(hash(request.node.name)) % 10**9}"


@pytest.fixture
async def repository(connect, target: Target, name: str) -> Repository:
    return await connect(target.host, name, login=target.login)


async def content_of(repository: Repository, descriptor: Descriptor) -> bytes:
    return b"".join([piece async for piece in repository.blob(descriptor)])


async def skopeo(*arguments: str) -> None:
    """Run in a thread, because the simulated registry runs in the event loop of the test."""
    done = await asyncio.to_thread(subprocess.run, ["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_pushed_artifact_can_be_pulled(repository: Repository, make_artifact: MakeArtifact) -> None:
    layers = (b"first" * 1000, b"", os.urandom(3 << 20))
    artifact = make_artifact(*layers)
    await push(repository, artifact, "v1")
    for version in ("v1", artifact.root.digest):
        root = await repository.resolve(version)
        assert root == artifact.root
        manifest = root.read()
        assert [await content_of(repository, each) for each in manifest.layers] == list(layers)
    assert await repository.document(artifact.root.descriptor) == artifact.root
    with pytest.raises(MissingError):
        await repository.resolve("v2")


async def test_skopeo_copies_it_byte_for_byte(
    repository: Repository, target: Target, make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    artifact = make_artifact(b"first", b"second")
    await push(repository, artifact, "v1")
    login = [f"--src-creds={USER}:{PASSWORD}"] if target.login else []
    source = f"docker://{repository.reference.registry}/{repository.reference.repository}:v1"
    await skopeo("copy", "-q", "--src-tls-verify=false", *login, source, f"oci:{tmp_path}/out:v1")
    (entry,) = json.loads((tmp_path / "out" / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == artifact.root.digest
    assert (tmp_path / "out/blobs/sha256" / artifact.root.descriptor.hex).read_bytes() == artifact.root.data


async def test_several_manifests_under_an_index(repository: Repository, make_artifact: MakeArtifact) -> None:
    parts = (make_artifact(b"shared", b"one"), make_artifact(b"shared", b"two"))
    index = ImageIndex(tuple(each.root.descriptor for each in parts), "application/vnd.example.capture.v1")
    artifact = Artifact.under(index, parts)
    await push(repository, artifact, "all")
    assert (await repository.resolve("all")).read() == index
    for part in parts:
        assert await repository.resolve(part.root.digest) == part.root


async def test_a_long_blob_goes_in_chunks(repository: Repository) -> None:
    data = os.urandom((2 << 20) + 17)
    content = bytes_content(Descriptor("application/octet-stream", digest_of(data), len(data)), data)
    await upload(repository, content, progress=SILENT, chunk=1 << 20)
    assert await content_of(repository, content.descriptor) == data


async def test_a_blob_of_another_repository_is_mounted(
    connect, repository: Repository, target: Target, name: str, make_artifact: MakeArtifact
) -> None:
    artifact = make_artifact(os.urandom(1000))
    await push(repository, artifact, "v1")
    other = await connect(target.host, f"{name}/other", login=target.login)
    failing = {digest: bytes_content(each.descriptor, b"") for digest, each in artifact.contents.items()}
    await push(other, replace(artifact, contents=failing), "v1", mount_from=("no/such", name))
    assert await other.resolve("v1") == artifact.root


async def test_bytes_that_are_not_the_blob_are_refused(repository: Repository, make_blob) -> None:
    content = make_blob(os.urandom(100))
    wrong = bytes_content(content.descriptor, os.urandom(100))
    with pytest.raises(ArchiveDataError, match="damaged"):
        await upload(repository, wrong, progress=SILENT)
    short = bytes_content(content.descriptor, b"short")
    with pytest.raises(ArchiveDataError, match="damaged"):
        await upload(repository, short, progress=SILENT)
    assert not await repository.has(content.descriptor)


async def test_a_manifest_whose_blobs_are_not_there_is_refused(
    repository: Repository, make_artifact: MakeArtifact
) -> None:
    with pytest.raises(RegistryRefusedError) as refused:
        await repository.put(make_artifact(os.urandom(10)).root, "v1")
    assert "MANIFEST_BLOB_UNKNOWN" in refused.value.why


async def test_a_missing_blob_is_reported(repository: Repository, make_artifact: MakeArtifact) -> None:
    await push(repository, make_artifact(b"any"), "v1")
    with pytest.raises(ArchiveDataError, match="missing"):
        await content_of(repository, Descriptor("a/b", digest_of(os.urandom(10)), 10))


async def test_referrers_are_attached_and_found(repository: Repository, make_artifact: MakeArtifact) -> None:
    subject = make_artifact(b"image")
    await push(repository, subject, "image")
    assert await referrers(repository, subject.root.digest) == ()
    one = make_artifact(b"one", subject=subject.root.descriptor)
    two = make_artifact(b"two", subject=subject.root.descriptor, kind="application/vnd.example.other")
    for artifact in (one, two, one):
        assert await attach(repository, artifact) == artifact.root
    found = await referrers(repository, subject.root.digest)
    assert sorted(each.digest for each in found) == sorted([one.root.digest, two.root.digest])
    assert all(each.annotations == {"org.example.a": "é"} for each in found)
    (other,) = await referrers(repository, subject.root.digest, "application/vnd.example.other")
    assert other == two.root.referrer


async def test_concurrent_attachments_are_both_listed(
    connect, target: Target, name: str, make_artifact: MakeArtifact
) -> None:
    """Each has its own connections, like two machines."""
    first = await connect(target.host, name, login=target.login, clock=SystemClock())
    subject = make_artifact(b"image")
    await push(first, subject, "image")
    artifacts = [make_artifact(b"%d" % number, subject=subject.root.descriptor) for number in range(5)]
    repositories = [await connect(target.host, name, login=target.login, clock=SystemClock()) for _ in artifacts]
    await asyncio.gather(*(attach(each, artifact) for each, artifact in zip(repositories, artifacts, strict=True)))
    found = await referrers(first, subject.root.digest)
    assert {each.digest for each in found} == {each.root.digest for each in artifacts}
    if target.kind in {"debian", "locked", "simulated-old"}:
        tagged = (await first.resolve(tag_of(subject.root.digest))).read()
        assert len(tagged.manifests) == len(artifacts)


async def test_a_registry_that_requires_a_login_gives_a_hint(
    connect, locked_registry: DebianRegistry, make_artifact: MakeArtifact
) -> None:
    for login in (None, Login(USER, "wrong")):
        repository = await connect(locked_registry.host, login=login)
        with pytest.raises(DeniedError) as denied:
            await push(repository, make_artifact(b"a"), "v1")
        assert denied.value.hint == f"Log in with: skopeo login {locked_registry.host}"
        assert "wrong" not in str(denied.value)
