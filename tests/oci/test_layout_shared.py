"""Several artifacts in one layout: each is found by its tag or digest, and existing ones are not changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.errors import ClientError, SnapproxyError, StorageError
from snapproxy.oci.artifact import Artifact
from snapproxy.oci.layout import open_layout
from snapproxy.oci.layout_write import write_layout
from snapproxy.oci.manifests import digest_of
from snapproxy.oci.places import LayoutPlace
from tests.fakes.layouts import failing, read_back, tree

MakeArtifact = Callable[..., Artifact]


async def test_several_artifacts_share_a_layout(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    one, two = make_artifact(b"shared", b"one"), make_artifact(b"shared", b"two")
    folder = tmp_path / "out"
    folder.mkdir()  # an empty folder is accepted
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


async def test_concurrent_exports_into_one_layout_are_all_listed(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    await write_layout(make_artifact(b"first"), LayoutPlace(str(folder), "first"))
    tags = [f"v{number}" for number in range(8)]
    await asyncio.gather(*(write_layout(make_artifact(tag.encode()), LayoutPlace(str(folder), tag)) for tag in tags))
    async with open_layout(LayoutPlace(str(folder))) as layout:
        assert {each.tag for each in (await layout.index()).manifests} == {"first", *tags}


async def test_a_damaged_blob_of_a_layout_is_written_again(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    artifact = make_artifact(b"content")
    place = LayoutPlace(str(tmp_path / "out"), "v1")
    await write_layout(artifact, place)
    for damage in (b"CONTENT", b"content and more", b""):
        blob = tmp_path / "out" / "blobs" / "sha256" / digest_of(b"content").removeprefix("sha256:")
        blob.write_bytes(damage)
        await write_layout(artifact, place)
        assert blob.read_bytes() == b"content"


@pytest.mark.parametrize("exists", [False, True])
async def test_a_folder_with_other_files_is_refused(make_artifact: MakeArtifact, tmp_path: Path, exists: bool) -> None:
    (tmp_path / "precious").write_text("x")
    if exists:
        (tmp_path / "oci-layout").write_text('{"imageLayoutVersion":"2.0.0"}')
    before = tree(tmp_path)
    with pytest.raises(SnapproxyError):
        await write_layout(make_artifact(b"a"), LayoutPlace(str(tmp_path)))
    assert tree(tmp_path) == before


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


def entries(folder: Path) -> list[tuple[str, str]]:
    """Return the tag and the digest of every entry of a layout."""
    listed = json.loads((folder / "index.json").read_bytes())["manifests"]
    return [
        (each.get("annotations", {}).get("org.opencontainers.image.ref.name", ""), each["digest"]) for each in listed
    ]


async def test_a_manifest_written_without_a_tag_is_read_without_one(
    make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    """The last one replaces the earlier one, as with a tag, and is kept beside manifests with a tag."""
    place, one, two, tagged = LayoutPlace(str(tmp_path)), make_artifact(b"1"), make_artifact(b"2"), make_artifact(b"3")
    for artifact in (one, one, two):
        await write_layout(artifact, place)
        assert entries(tmp_path) == [("", artifact.root.digest)]
    await write_layout(tagged, replace(place, tag="v1"))
    assert entries(tmp_path) == [("", two.root.digest), ("v1", tagged.root.digest)]
    assert two.root.digest in await read_back(place)
    await write_layout(one, place)
    assert entries(tmp_path) == [("v1", tagged.root.digest), ("", one.root.digest)]


@pytest.mark.parametrize("kinds", [("application/vnd.a", "application/vnd.b"), ("", ""), ("", "application/vnd.b")])
async def test_two_kinds_without_a_tag_are_refused(
    make_artifact: MakeArtifact, tmp_path: Path, kinds: tuple[str, str]
) -> None:
    """A manifest of another type, or without a type, may belong to another program: it is not replaced."""
    place, (first, second) = LayoutPlace(str(tmp_path)), kinds
    await write_layout(make_artifact(b"1", kind=first), place)
    before = tree(tmp_path)
    with pytest.raises(ClientError, match="without a tag already") as refused:
        await write_layout(make_artifact(b"2", kind=second), place)
    assert f"oci:{tmp_path}:TAG" in refused.value.hint
    assert tree(tmp_path) == before
    await write_layout(make_artifact(b"1", kind=first), place)  # the same manifest replaces itself


async def test_two_exports_that_create_one_layout_are_both_listed(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    """The folder does not exist when both start; the second one to finish adds to the layout of the first."""
    places = [LayoutPlace(str(tmp_path / "out"), tag) for tag in ("a", "b", "c")]
    await asyncio.gather(*(write_layout(make_artifact(place.tag.encode()), place) for place in places))
    assert {tag for tag, _ in entries(tmp_path / "out")} == {"a", "b", "c"}
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
