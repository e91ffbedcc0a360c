"""`--as-image`: an ordinary image whose one layer is the client's own cache."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from snapproxy.core.model import Proof, Role
from snapproxy.core.record import Entry, Record
from snapproxy.errors import ClientError, RecordError
from snapproxy.jobs.export import Wish
from snapproxy.jobs.image import image_of
from snapproxy.oci.names import read_place
from tests.fakes.hamlet import Hamlet
from tests.fakes.house import House


async def test_the_layer_is_apts_cache_and_skopeo_takes_the_image(
    recorded: House, hamlet: Hamlet, tmp_path: Path
) -> None:
    record = await recorded.app.captures.record("build")
    place = read_place(f"oci:{tmp_path}/image:cache")
    exported = await recorded.app.exporter.export(record, place, Wish(as_image=True, created=1_717_200_000))
    subprocess.run(["skopeo", "copy", "--quiet", str(place), f"dir:{tmp_path}/dir"], check=True)
    manifest = json.loads((tmp_path / "dir/manifest.json").read_bytes())
    (layer,) = manifest["layers"]
    layer_file = tmp_path / "dir" / layer["digest"].removeprefix("sha256:")
    config = json.loads((tmp_path / "dir" / manifest["config"]["digest"].removeprefix("sha256:")).read_bytes())
    assert config == {
        "architecture": "amd64",
        "config": {},
        "created": "2024-06-01T00:00:00Z",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    edition = hamlet.edition
    expected = {
        f"var/cache/apt/archives/{each.path.rsplit('/', 1)[-1]}": hamlet.content(each.path).data
        for each in (edition.kept, edition.old, edition.weak)
    }
    with tarfile.open(layer_file) as tar:
        members = tar.getmembers()
        assert [each.name for each in members if each.isdir()] == [
            "var",
            "var/cache",
            "var/cache/apt",
            "var/cache/apt/archives",
        ]
        found = {each.name: tar.extractfile(each).read() for each in members if each.isfile()}  # type: ignore[union-attr]
        assert {(each.mtime, each.uid, each.gid, each.uname) for each in members} == {(1_717_200_000, 0, 0, "")}
    assert found == expected
    assert exported.digest == f"sha256:{hashlib.sha256((tmp_path / 'dir/manifest.json').read_bytes()).hexdigest()}"


def packages(family: str, *paths: str) -> Record:
    entries = tuple(
        Entry("some", "20240601T000000Z", "20240601T000000Z", path, Role.PACKAGE, Proof.NONE, 1, "0" * 64)
        for path in paths
    )
    return Record(entries, {"some": family})


async def test_packages_of_two_machines_and_families_without_a_cache_say_so(recorded: House) -> None:
    blobs = recorded.store.blobs
    with pytest.raises(ClientError, match="amd64, arm64"):
        await image_of(packages("apt", "pool/a/a_1_amd64.deb", "pool/a/a_1_arm64.deb", "pool/a/b_1_all.deb"), blobs)
    with pytest.raises(RecordError, match="rpm"):
        await image_of(packages("rpm", "Packages/a-1-1.x86_64.rpm"), blobs)
    with pytest.raises(RecordError, match="no package"):
        await image_of(packages("apt"), blobs)
