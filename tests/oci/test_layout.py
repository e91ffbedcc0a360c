"""Image layouts: written layouts can be read again, are reproducible, and are accepted by skopeo."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.errors import ClientError
from snapproxy.oci.artifact import Artifact
from snapproxy.oci.layout import open_layout
from snapproxy.oci.layout_write import write_tar
from snapproxy.oci.manifests import Descriptor, digest_of
from snapproxy.oci.places import LayoutPlace, TarPlace
from tests.fakes.layouts import read_back, write

MakeArtifact = Callable[..., Artifact]
LAYERS = (b"first" * 1000, b"", b"second")


@pytest.mark.parametrize("kind", [LayoutPlace, TarPlace])
async def test_a_written_layout_can_be_read(
    make_artifact: MakeArtifact, tmp_path: Path, kind: type[LayoutPlace | TarPlace]
) -> None:
    artifact = make_artifact(*LAYERS)
    place = kind(str(tmp_path / "out"), "v1")
    await write(artifact, place)
    for version in ("", "v1", artifact.root.digest):
        found = await read_back(place, version)
        assert set(found.values()) == {artifact.root.data, b"{}", *LAYERS}
        assert all(digest_of(data) == digest for digest, data in found.items())
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
    with pytest.raises(ClientError, match="no such manifest"):
        await read_back(place, "v2")


async def test_a_tar_is_reproducible(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    """The order of contents, umask and time zone have no effect; the fixed digest compares Python versions."""
    artifact = make_artifact(*LAYERS)
    shuffled = replace(artifact, contents=dict(reversed(artifact.contents.items())))
    await write_tar(artifact, TarPlace(str(tmp_path / "one"), "v1"), mtime=1_717_200_000)
    before = os.umask(0o077)
    try:
        await write_tar(shuffled, TarPlace(str(tmp_path / "two"), "v1"), mtime=1_717_200_000)
    finally:
        os.umask(before)
    one = (tmp_path / "one").read_bytes()
    assert one == (tmp_path / "two").read_bytes()
    assert hashlib.sha256(one).hexdigest() == "37fbb71ae8f6ab0215d331aa322e7281ed604d11d181f6f68c84547b3702a1c6"
    assert len(one) % 10240 == 0
    with tarfile.open(tmp_path / "one") as archive:
        found = archive.getmembers()
    root = artifact.root.descriptor.hex
    blobs = sorted(each.descriptor.hex for each in artifact.contents.values())
    assert [each.name for each in found[:4]] == ["oci-layout", "index.json", "blobs", "blobs/sha256"]
    assert [each.name for each in found[4:]] == [f"blobs/sha256/{each}" for each in [root, *blobs]]
    assert {(each.mode, each.mtime, each.uid, each.gid, each.uname, each.gname) for each in found} == {
        (0o644, 1_717_200_000, 0, 0, "", ""),
        (0o755, 1_717_200_000, 0, 0, "", ""),
    }


async def test_the_hash_seed_changes_nothing(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys, hashlib, pathlib\n"
        "from snapproxy.oci.artifact import Artifact, bytes_content\n"
        "from snapproxy.oci.manifests import Descriptor, Manifest, digest_of\n"
        "from snapproxy.oci.layout_write import write_tar\n"
        "from snapproxy.oci.places import TarPlace\n"
        "blobs = [bytes_content(Descriptor('a/b', digest_of(b), 1), b) for b in (b'a', b'b', b'c')]\n"
        "artifact = Artifact.of(Manifest(tuple(b.descriptor for b in blobs), 'a/c'), tuple(blobs))\n"
        "asyncio.run(write_tar(artifact, TarPlace(sys.argv[1])))\n"
        "print(hashlib.sha256(pathlib.Path(sys.argv[1]).read_bytes()).hexdigest())\n"
    )
    digests = set()
    for seed, zone in (("0", "UTC"), ("1", "Asia/Tokyo"), ("77", "America/Lima")):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / seed)],
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"},
            capture_output=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


async def test_reading_a_blob_needs_no_unpacking(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    """Any part of a blob can be read from its position in the tar."""
    await write_tar(make_artifact(b"0123456789"), TarPlace(str(tmp_path / "out.tar")))
    async with open_layout(TarPlace(str(tmp_path / "out.tar"))) as layout:
        opened = await layout.open(Descriptor("a/b", digest_of(b"0123456789"), 10))
        assert [piece async for piece in opened.chunks(3, 7)] == [b"3456"]
        assert opened.fileno() is None
        opened.close()


@pytest.mark.parametrize("is_tar", [False, True])
async def test_skopeo_copies_it_byte_for_byte(make_artifact: MakeArtifact, tmp_path: Path, is_tar: bool) -> None:
    artifact = make_artifact(*LAYERS)
    place = TarPlace(str(tmp_path / "out.tar"), "v1") if is_tar else LayoutPlace(str(tmp_path / "out"), "v1")
    await write(artifact, place)
    for target in (LayoutPlace(str(tmp_path / "copy"), "v1"), TarPlace(str(tmp_path / "copy.tar"), "v1")):
        done = subprocess.run(
            ["skopeo", "copy", "-q", str(place), str(target)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert artifact.root.digest in await read_back(target, "v1")
