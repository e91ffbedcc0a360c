"""`--as-image`: an ordinary image whose only layer is the package manager's cache."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from snapproxy.core.client_cache import ClientSettings
from snapproxy.core.model import Proof, Role
from snapproxy.core.record import Record, RecordEntry
from snapproxy.errors import ClientError, RecordError
from snapproxy.families import FAMILIES
from snapproxy.jobs.client_cache_layout import cache_files
from snapproxy.jobs.export import ExportOptions
from snapproxy.jobs.image import image_of
from snapproxy.oci.places import read_place
from tests.fakes.hamlet import Hamlet
from tests.fakes.house import House


async def test_the_layer_is_apts_cache_and_skopeo_takes_the_image(
    recorded: House, hamlet: Hamlet, tmp_path: Path
) -> None:
    record = await recorded.app.captures.record("build")
    place = read_place(f"oci:{tmp_path}/image:cache")
    exported = await recorded.app.exporter.export(record, place, ExportOptions(as_image=True, created=1_717_200_000))
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
        found = {
            each.name: tar.extractfile(each).read()  # type: ignore[union-attr]
            for each in members
            if each.isfile()
        }
        assert {(each.mtime, each.uid, each.gid, each.uname) for each in members} == {(1_717_200_000, 0, 0, "")}
    assert found == expected
    assert exported.digest == f"sha256:{hashlib.sha256((tmp_path / 'dir/manifest.json').read_bytes()).hexdigest()}"


def packages(family: str, *paths: str) -> Record:
    entries = tuple(
        RecordEntry("some", "20240601T000000Z", "20240601T000000Z", path, Role.PACKAGE, Proof.NONE, 1, "0" * 64)
        for path in paths
    )
    return Record(entries, {"some": family})


async def test_packages_of_two_machines_and_families_without_a_cache_say_so(recorded: House) -> None:
    blobs = recorded.store.blobs
    with pytest.raises(ClientError, match="amd64, arm64"):
        await image_of(packages("apt", "pool/a/a_1_amd64.deb", "pool/a/a_1_arm64.deb", "pool/a/b_1_all.deb"), blobs)
    with pytest.raises(RecordError, match=r"\(rpm\)[^:]*\nAdd: --repo-file NAME.repo"):
        await image_of(packages("rpm", "Packages/a-1-1.x86_64.rpm"), blobs)
    with pytest.raises(ClientError, match="repository files"):
        await image_of(packages("apk", "main/x86_64/a-1.apk"), blobs, settings=client(t="http://h/a"))
    with pytest.raises(RecordError, match="no package"):
        await image_of(packages("apt"), blobs)


def repositories(*paths: str) -> Record:
    """Return a record of rpm files by their paths, the archive's name before each."""
    found = []
    for archive, _, path in (each.partition("/") for each in sorted(paths)):
        sha256 = hashlib.sha256(path.encode()).hexdigest()
        role = FAMILIES["rpm"].classify(path).role
        found.append(RecordEntry(archive, "20240601T000000Z", "20240601T000000Z", path, role, Proof.GPG, 1, sha256))
    return Record(tuple(found), dict.fromkeys((each.archive for each in found), "rpm"))


def client(**bases: str) -> ClientSettings:
    return ClientSettings({"t.repo": "".join(f"[{name}]\nbaseurl={base}\n" for name, base in bases.items())})


def repository(folder: str) -> list[str]:
    return [f"{folder}/repodata/repomd.xml", f"{folder}/repodata/primary.xml.gz", f"{folder}/Packages/n-1-1.noarch.rpm"]


async def test_a_repository_is_known_by_the_end_of_its_address(recorded: House) -> None:
    """The address may be the mirror's or snapproxy's.

    The longest matching end applies; of equal ones, the archive in the address.
    """
    record = repositories(*repository("one/40/os"), *repository("one/debug/40/os"), *repository("two/40/os"))
    bases = {
        "a": "http://proxy:3142/one/20240601T000000Z/40/os/",
        "b": "http://mirror.example/pub/debug/40/os",
        "c": "http://proxy:3142/~build/two/20240601T000000Z/40/os",
    }
    members = await cache_files(record, recorded.store.blobs, client(**bases))
    assert len(members) == 9
    found: dict[str, set[str]] = {}
    for member in members:
        _, _, _, folder, *rest = member.path.split("/")
        found.setdefault(folder[0], set()).add("/".join(rest))
    files = {"repodata/repomd.xml", "repodata/primary.xml.gz", "packages/n-1-1.noarch.rpm"}
    assert found == {"a": files, "b": files, "c": files}
    debug = hashlib.sha256(b"debug/40/os/repodata/repomd.xml").hexdigest()
    assert [each.path[14] for each in members if each.sha256 == debug] == ["b"]


@pytest.mark.parametrize(
    ("paths", "bases", "said"),
    [
        (repository("one/40/os"), {"a": "http://h/41/os"}, "one/40/os"),
        (
            repository("one/40/os"),
            {"a": "http://h/40/os", "b": "http://h/40/debug"},
            "The repository b is not in the capture",
        ),
        (
            [*repository("one/40/os"), *repository("one/41/os")],
            {"a": "http://h/40/os"},
            "Packages were fetched from one/41/os",
        ),
        ([*repository("one/40/os"), *repository("two/40/os")], {"a": "http://h/40/os"}, "is not in the capture"),
        (repository("one/40/os")[::2], {"a": "http://h/40/os"}, "the list of packages of one/40/os"),
        (repository("one/40/os")[2:], {"a": "http://h/40/os"}, "the root of the repository with one/40/os/Packages"),
        (
            [*repository("one/40/os"), "one/40/os/n-1-1.noarch.rpm"],
            {"a": "http://h/40/os"},
            "Two files have the same name",
        ),
    ],
)
async def test_repositories_that_are_not_those_of_the_capture_are_named(
    recorded: House, paths: list[str], bases: dict[str, str], said: str
) -> None:
    with pytest.raises(RecordError, match=said):
        await cache_files(repositories(*paths), recorded.store.blobs, client(**bases))
