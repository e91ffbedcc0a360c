"""Copies from any place to any other are identical byte for byte; checked with oras where it is installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snapproxy.errors import ArchiveDataError
from snapproxy.oci.artifact import Artifact
from snapproxy.oci.layout import open_layout
from snapproxy.oci.layout_write import write_layout, write_tar
from snapproxy.oci.manifests import INDEX, LIMIT, MANIFEST, Descriptor, ImageIndex, Manifest, digest_of
from snapproxy.oci.places import LayoutPlace, TarPlace
from snapproxy.oci.referrers import attach, referrers
from snapproxy.oci.transfer import DOCUMENTS_BYTES_MOST, DOCUMENTS_MOST, collect, push
from tests.fakes.debian_registry import DebianRegistry
from tests.fakes.registry import SimulatedRegistry

MakeArtifact = Callable[..., Artifact]
Connect = Callable[..., Any]


async def test_an_artifact_is_copied_unchanged(
    connect: Connect, debian_registry: DebianRegistry, make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    """Folder, registry, tar, and registry again: an index with two manifests that share a layer."""
    parts = (make_artifact(b"shared" * 100_000, b"one"), make_artifact(b"shared" * 100_000, b"two"))
    index = ImageIndex(tuple(each.root.descriptor for each in parts), "application/vnd.example.capture.v1")
    artifact = Artifact.under(index, parts)
    folder, tar = LayoutPlace(str(tmp_path / "out"), "v1"), TarPlace(str(tmp_path / "out.tar"), "v1")
    await write_layout(artifact, folder)
    repository = await connect(debian_registry.host, f"copies/p{os.getpid()}")
    async with open_layout(folder) as source:
        await push(repository, await collect(source, "v1"), "v1")
    copied = await collect(repository, "v1")
    assert copied.documents == artifact.documents
    assert copied.contents.keys() == artifact.contents.keys()
    await write_tar(copied, tar)
    direct = TarPlace(str(tmp_path / "direct.tar"), "v1")
    await write_tar(artifact, direct)
    assert (tmp_path / "out.tar").read_bytes() == (tmp_path / "direct.tar").read_bytes()


async def test_an_index_of_indexes_is_not_collected(
    connect: Connect, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    repository = await connect(registry.host)
    artifact = make_artifact(b"a")
    await push(repository, artifact, "v1")
    inner = ImageIndex((artifact.root.descriptor,)).document()
    await repository.put(inner)
    await repository.put(ImageIndex((inner.descriptor,)).document(), "all")
    with pytest.raises(ArchiveDataError, match="another index"):
        await collect(repository, "all")


@pytest.mark.parametrize(("count", "size"), [(DOCUMENTS_MOST + 1, 100), (DOCUMENTS_BYTES_MOST // LIMIT + 1, LIMIT)])
async def test_an_index_without_bounds_is_not_collected_and_nothing_it_lists_is_read(
    connect: Connect, registry: SimulatedRegistry, count: int, size: int
) -> None:
    repository = await connect(registry.host)
    listed = (Descriptor(MANIFEST, digest_of(b"%d" % number), size) for number in range(count))
    registry.manifests["team/art", "all"] = (INDEX, ImageIndex(tuple(listed)).document().data)
    with pytest.raises(ArchiveDataError, match="too many"):
        await collect(repository, "all")
    assert len(registry.asked("GET", "manifests")) == 1


async def test_a_manifest_that_an_index_lists_often_is_read_once(
    connect: Connect, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    repository = await connect(registry.host)
    artifact = make_artifact(b"a")
    await push(repository, artifact, "v1")
    await repository.put(ImageIndex((artifact.root.descriptor,) * 900).document(), "all")
    assert len((await collect(repository, "all")).documents) == 2
    assert len(registry.asked("GET", "manifests")) == 2


async def test_the_first_error_aborts_a_push(
    connect: Connect, registry: SimulatedRegistry, make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    """A layout with a missing blob: nothing is stored under the tag."""
    artifact = make_artifact(*[b"%d" % number for number in range(50)])
    await write_layout(artifact, LayoutPlace(str(tmp_path / "out")))
    (tmp_path / "out" / "blobs" / "sha256" / digest_of(b"7").removeprefix("sha256:")).unlink()
    repository = await connect(registry.host)
    async with open_layout(LayoutPlace(str(tmp_path / "out"))) as source:
        with pytest.raises(ArchiveDataError, match="missing"):
            await push(repository, await collect(source), "v1")
    assert registry.manifests == {}


async def test_progress_is_reported(connect: Connect, registry: SimulatedRegistry, make_artifact: MakeArtifact) -> None:
    progress_of: dict[str, list[tuple[int, int | None]]] = {}
    finished = []

    class ProgressRecorder:
        def advance(self, path: str, done: int, total: int | None) -> None:
            progress_of.setdefault(path, []).append((done, total))

        def finish(self, path: str) -> None:
            finished.append(path)

    artifact = make_artifact(b"first", b"x" * 100)
    await push(await connect(registry.host), artifact, progress=ProgressRecorder())
    assert progress_of[digest_of(b"x" * 100)][-1] == (100, 100)
    assert sorted(finished) == sorted(artifact.contents)
    assert artifact.size == 107 + len(artifact.root.data)


@pytest.mark.parametrize("is_tar", [False, True])
async def test_oras_copies_and_pulls_it_and_sees_referrers(
    connect: Connect, debian_registry: DebianRegistry, make_artifact: MakeArtifact, tmp_path: Path, is_tar: bool
) -> None:
    """Debian 12 has no oras, so this is skipped where it is not installed; skopeo is always used (test_registry)."""
    oras = shutil.which("oras")
    repository = await connect(debian_registry.host, f"oras/p{os.getpid()}-{int(is_tar)}")
    name = f"{debian_registry.host}/{repository.reference.repository}"
    artifact = make_artifact(b"first", b"second")
    place = TarPlace(str(tmp_path / "out.tar"), "v1") if is_tar else LayoutPlace(str(tmp_path / "out"), "v1")
    await (write_tar(artifact, place) if isinstance(place, TarPlace) else write_layout(artifact, place))

    async def run(*arguments: str) -> str:
        command = [oras or "oras", *arguments]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    if oras:
        await run("cp", "--no-tty", "--from-oci-layout", f"{place.path}:v1", "--to-plain-http", f"{name}:v1")
    else:
        async with open_layout(place) as source:
            await push(repository, await collect(source), "v1")
    assert await repository.resolve("v1") == artifact.root
    referrer = make_artifact(b"capture", subject=artifact.root.descriptor)
    await attach(repository, referrer)
    assert await referrers(repository, artifact.root.digest) == (referrer.root.referrer,)
    if oras:
        await run("pull", "--no-tty", "--plain-http", "-o", str(tmp_path / "pulled"), f"{name}:v1")
        assert (tmp_path / "pulled/pool/1.deb").read_bytes() == b"second"
        assert referrer.root.digest in await run("discover", "--plain-http", "-o", "json", f"{name}:v1")
        theirs = tmp_path / "theirs.txt"
        theirs.write_text("by oras")
        kind = "application/vnd.example.theirs"
        await run(
            "attach",
            "--no-tty",
            "--plain-http",
            "--disable-path-validation",
            "--artifact-type",
            kind,
            f"{name}:v1",
            str(theirs),
        )
        assert len(await referrers(repository, artifact.root.digest)) == 2


def test_an_empty_blob_is_a_layer_like_any() -> None:
    empty = Descriptor("application/octet-stream", digest_of(b""), 0)
    assert Manifest((empty,), "a/b").document().read() == Manifest((empty,), "a/b")
