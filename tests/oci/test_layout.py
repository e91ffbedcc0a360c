"""Image layouts: written whole or not at all, the same bytes each time, and read without trust."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.errors import ArchiveDataError, ClientError, SnapproxyError, StorageError
from snapproxy.oci.artifact import Artifact, Content, Opened, bytes_content, file_content
from snapproxy.oci.layout import open_layout
from snapproxy.oci.layout_write import write_layout, write_tar
from snapproxy.oci.model import EMPTY_CONFIG, Descriptor, Index, Manifest, digest_of
from snapproxy.oci.names import LayoutPlace, TarPlace

MakeArtifact = Callable[..., Artifact]
LAYERS = (b"first" * 1000, b"", b"second")


async def read_back(place: LayoutPlace | TarPlace, version: str = "") -> dict[str, bytes]:
    """Return the root's bytes, and every blob's."""
    async with open_layout(place) as layout:
        root = await layout.resolve(version)
        manifest = root.read()
        assert isinstance(manifest, Manifest)
        found = {root.digest: root.data}
        for each in manifest.blobs:
            found[each.digest] = b"".join([piece async for piece in layout.blob(each)])
        return found


async def write(artifact: Artifact, place: LayoutPlace | TarPlace) -> None:
    await (write_tar(artifact, place) if isinstance(place, TarPlace) else write_layout(artifact, place))


def place_in(folder: Path, *, is_tar: bool) -> LayoutPlace | TarPlace:
    return (TarPlace if is_tar else LayoutPlace)(str(folder / "out"))


async def pour(pieces: AsyncIterator[bytes], into: bytearray) -> None:
    async for piece in pieces:
        into += piece


def tree(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("kind", [LayoutPlace, TarPlace])
async def test_what_is_written_is_read_back(
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


async def test_a_tar_is_a_function_of_its_artifact(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    """Whatever the order of contents, the umask and the zone; the known digest holds for other Pythons too."""
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
        "from snapproxy.oci.model import Descriptor, Manifest, digest_of\n"
        "from snapproxy.oci.layout_write import write_tar\n"
        "from snapproxy.oci.names import TarPlace\n"
        "blobs = [bytes_content(Descriptor('a/b', digest_of(b), 1), b) for b in (b'a', b'b', b'c')]\n"
        "artifact = Artifact.of(Manifest(tuple(b.descriptor for b in blobs), 'a/c'), tuple(blobs))\n"
        "asyncio.run(write_tar(artifact, TarPlace(sys.argv[1])))\n"
        "print(hashlib.sha256(pathlib.Path(sys.argv[1]).read_bytes()).hexdigest())\n"
    )
    said = set()
    for seed, zone in (("0", "UTC"), ("1", "Asia/Tokyo"), ("77", "America/Lima")):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / seed)],
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"},
            capture_output=True,
            check=True,
        )
        said.add(done.stdout)
    assert len(said) == 1


async def test_several_artifacts_share_a_layout(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    one, two = make_artifact(b"shared", b"one"), make_artifact(b"shared", b"two")
    folder = tmp_path / "out"
    folder.mkdir()  # an empty folder will do
    for artifact, tag in ((one, "one"), (two, "two"), (two, "one"), (two, "one")):
        await write_layout(artifact, LayoutPlace(str(folder), tag))
    assert json.loads((folder / "index.json").read_bytes())["manifests"] == [
        {
            "annotations": {"org.opencontainers.image.ref.name": tag},
            "artifactType": "application/vnd.example.capture.v1",
            "digest": two.root.digest,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": len(two.root.data),
        }
        for tag in ("two", "one")
    ]
    await write_layout(one, LayoutPlace(str(folder), "first"))
    assert set(await read_back(LayoutPlace(str(folder)), "first")) == {one.root.digest, *one.contents}
    with pytest.raises(ClientError, match="several manifests") as several:
        await read_back(LayoutPlace(str(folder)))
    assert "first, one, two" in several.value.why


async def test_exports_into_one_layout_at_once_are_all_there(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    await write_layout(make_artifact(b"first"), LayoutPlace(str(folder), "first"))
    tags = [f"v{number}" for number in range(8)]
    await asyncio.gather(*(write_layout(make_artifact(tag.encode()), LayoutPlace(str(folder), tag)) for tag in tags))
    async with open_layout(LayoutPlace(str(folder))) as layout:
        assert {each.tag for each in (await layout.index()).manifests} == {"first", *tags}


async def test_a_damaged_blob_of_a_layout_is_written_anew(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    artifact = make_artifact(b"content")
    place = LayoutPlace(str(tmp_path / "out"), "v1")
    await write_layout(artifact, place)
    for damage in (b"CONTENT", b"content and more", b""):
        blob = tmp_path / "out" / "blobs" / "sha256" / digest_of(b"content").removeprefix("sha256:")
        blob.write_bytes(damage)
        await write_layout(artifact, place)
        assert blob.read_bytes() == b"content"


@pytest.mark.parametrize("exists", [False, True])
async def test_a_folder_of_something_else_is_left_alone(
    make_artifact: MakeArtifact, tmp_path: Path, exists: bool
) -> None:
    (tmp_path / "precious").write_text("x")
    if exists:
        (tmp_path / "oci-layout").write_text('{"imageLayoutVersion":"2.0.0"}')
    before = tree(tmp_path)
    with pytest.raises(SnapproxyError):
        await write_layout(make_artifact(b"a"), LayoutPlace(str(tmp_path)))
    assert tree(tmp_path) == before


def failing(content: Content, error: BaseException) -> Content:
    """The same blob, whose source breaks after its first bytes."""

    class Breaking:
        def fileno(self) -> int | None:
            return None

        async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
            yield b"f"
            raise error

        def close(self) -> None:
            pass

    async def opening() -> Opened:
        return Breaking()

    return replace(content, open=opening)


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KeyboardInterrupt(), StorageError("gone"), OSError(5, "I/O")]
)
@pytest.mark.parametrize("is_tar", [False, True])
@pytest.mark.parametrize("number", range(4))
async def test_an_interrupted_export_leaves_nothing(
    make_artifact: MakeArtifact, tmp_path: Path, error: BaseException, is_tar: bool, number: int
) -> None:
    artifact = make_artifact(b"first", b"second", b"third")
    contents = dict(artifact.contents)
    digest = sorted(contents)[number]
    contents[digest] = failing(contents[digest], error)
    broken = replace(artifact, contents=contents)
    expected = StorageError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        await write(broken, place_in(tmp_path, is_tar=is_tar))
    assert list(tmp_path.iterdir()) == []


async def test_an_interrupted_addition_leaves_the_layout_as_it_was(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    place = LayoutPlace(str(tmp_path / "out"), "v1")
    await write_layout(make_artifact(b"first"), place)
    before = tree(tmp_path)
    artifact = make_artifact(b"second")
    broken = {digest: failing(each, StorageError("gone")) for digest, each in artifact.contents.items()}
    with pytest.raises(StorageError):
        await write_layout(replace(artifact, contents=broken), place)
    after = tree(tmp_path)
    assert after.items() >= before.items()
    assert all(digest_of(data).endswith(Path(name).name) for name, data in after.items() - before.items())


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
@pytest.mark.parametrize("is_tar", [False, True])
async def test_a_full_disk_leaves_nothing(make_artifact: MakeArtifact, small_disk: Path, is_tar: bool) -> None:
    artifact = make_artifact(b"small", os.urandom(2 << 20))
    with pytest.raises(StorageError, match="cannot be written") as full:
        await write(artifact, place_in(small_disk, is_tar=is_tar))
    assert "No space left" in full.value.why
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("is_tar", [False, True])
@pytest.mark.parametrize("data", [b"SECOND", b"seco", b""])
async def test_a_source_that_gives_other_bytes_is_noticed(
    make_artifact: MakeArtifact, tmp_path: Path, is_tar: bool, data: bytes
) -> None:
    artifact = make_artifact(b"first", b"second")
    digest = digest_of(b"second")
    wrong = replace(
        artifact, contents=artifact.contents | {digest: bytes_content(artifact.contents[digest].descriptor, data)}
    )
    with pytest.raises(ArchiveDataError, match="damaged"):
        await write(wrong, place_in(tmp_path, is_tar=is_tar))
    assert list(tmp_path.iterdir()) == []


async def test_blobs_are_never_hard_linked(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    source = tmp_path / "stored"
    source.write_bytes(b"content")
    artifact = make_artifact(b"content")
    digest = digest_of(b"content")
    content = file_content(artifact.contents[digest].descriptor, source)
    await write_layout(
        replace(artifact, contents=artifact.contents | {digest: content}), LayoutPlace(str(tmp_path / "out"))
    )
    copy = tmp_path / "out" / "blobs" / "sha256" / digest.removeprefix("sha256:")
    copy.write_bytes(b"edited!")
    assert source.read_bytes() == b"content"
    assert source.stat().st_nlink == 1


@pytest.fixture
def sharing_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system whose files may share blocks."""
    folder, image = tmp_path / "btrfs", tmp_path / "btrfs.img"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True)
    made = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"cannot mount a file here, needs root and loop devices: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_blobs_share_their_blocks_where_the_file_system_can(
    make_artifact: MakeArtifact, sharing_disk: Path
) -> None:
    data = os.urandom(4 << 20)
    artifact, digest = make_artifact(data), digest_of(data)
    source = sharing_disk / "stored"
    source.write_bytes(data)
    content = file_content(artifact.contents[digest].descriptor, source)
    shared = replace(artifact, contents=artifact.contents | {digest: content})
    await write_layout(shared, LayoutPlace(str(sharing_disk / "out")))
    copy = sharing_disk / "out" / "blobs" / "sha256" / digest.removeprefix("sha256:")
    said = subprocess.run(["filefrag", "-v", copy], capture_output=True, text=True, check=True).stdout
    assert "shared" in said
    copy.write_bytes(b"edited")
    assert source.read_bytes() == data


# --- strangers' layouts ---


@pytest.fixture
async def layout(make_artifact: MakeArtifact, tmp_path: Path) -> Path:
    await write_layout(make_artifact(b"content"), LayoutPlace(str(tmp_path / "out"), "v1"))
    return tmp_path / "out"


def blob_path(layout: Path, data: bytes) -> Path:
    return layout / "blobs" / "sha256" / digest_of(data).removeprefix("sha256:")


@pytest.mark.parametrize("data", [b"CONTENT", b"content and more", b"cont", None])
async def test_a_missing_or_wrong_blob_is_an_error(layout: Path, data: bytes | None) -> None:
    blob = blob_path(layout, b"content")
    if data is None:
        blob.unlink()
    else:
        blob.write_bytes(data)
    with pytest.raises(ArchiveDataError, match="missing" if data is None else "damaged"):
        await read_back(LayoutPlace(str(layout)))
    tar = layout.parent / "out.tar"
    subprocess.run(["tar", "-C", layout, "-cf", tar, "."], check=True)
    with pytest.raises(ArchiveDataError, match="missing" if data is None else "damaged"):
        await read_back(TarPlace(str(tar)))


async def test_nothing_of_a_wrong_blob_is_given_to_its_end(layout: Path) -> None:
    """What is passed on is cut short, never whole: the last piece is held back."""
    blob_path(layout, b"content").write_bytes(b"CONTENT")
    got = bytearray()
    async with open_layout(LayoutPlace(str(layout))) as opened:
        with pytest.raises(ArchiveDataError):
            await pour(opened.blob(Descriptor("a/b", digest_of(b"content"), 7)), got)
    assert not got


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
async def test_only_regular_files_are_read(layout: Path, kind: str) -> None:
    blob = blob_path(layout, b"content")
    blob.rename(layout / "elsewhere")
    if kind == "link":
        blob.symlink_to(layout / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(blob)
    else:
        blob.mkdir()
    with pytest.raises(StorageError):
        await read_back(LayoutPlace(str(layout)))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("oci-layout", None),
        ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}'),
        ("oci-layout", b"{}"),
        ("oci-layout", b" " * 5000),
        ("index.json", None),
        ("index.json", b"{}"),
        ("index.json", b" " * (5 << 20)),
        ("index.json", b'{"schemaVersion":3,"manifests":[]}'),
    ],
)
async def test_what_is_no_layout_is_refused(layout: Path, name: str, data: bytes | None) -> None:
    (layout / name).unlink()
    if data is not None:
        (layout / name).write_bytes(data)
    with pytest.raises(ArchiveDataError):
        await read_back(LayoutPlace(str(layout)))


async def test_a_manifest_over_4_mib_is_not_read(layout: Path) -> None:
    data = b" " * (5 << 20)
    blob_path(layout, data).write_bytes(data)
    (layout / "index.json").write_bytes(
        Index((Descriptor(EMPTY_CONFIG.media_type, digest_of(data), len(data)),)).document().data
    )
    with pytest.raises(ArchiveDataError, match="damaged"):
        await read_back(LayoutPlace(str(layout)))


async def test_a_place_where_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such tar"):
        await read_back(TarPlace(str(tmp_path / "no.tar")))
    with pytest.raises(ArchiveDataError, match="no image layout"):
        await read_back(LayoutPlace(str(tmp_path / "no")))


async def test_reading_a_blob_needs_no_unpacking(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    """Any part of a blob is read where it lies in the tar."""
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
