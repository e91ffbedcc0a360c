"""`reproduce` compares image layouts, in a folder or a tar, by their content, and names the files that differ."""

from __future__ import annotations

import asyncio
import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from snapproxy.cli import outputs
from snapproxy.oci.artifact import Artifact, bytes_content
from snapproxy.oci.manifests import Descriptor, Manifest, digest_of
from snapproxy.oci.places import LayoutPlace
from tests.fakes.layouts import write

LAYER = "application/vnd.oci.image.layer.v1.tar"


def _layer(files: dict[str, bytes], time: int = 0) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), time
            tar.addfile(member, io.BytesIO(data))
    return written.getvalue()


def _layout(folder: Path, *layers: bytes) -> Path:
    contents = tuple(bytes_content(Descriptor(LAYER, digest_of(each), len(each)), each) for each in layers)
    artifact = Artifact.of(Manifest(tuple(each.descriptor for each in contents)), contents)
    asyncio.run(write(artifact, LayoutPlace(str(folder))))
    return folder


def _archive(layout: Path, file: Path, time: int) -> Path:
    """Write a layout as a tar whose members have this time."""

    def dated(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime = time
        return member

    with tarfile.open(file, "w") as tar:
        tar.add(layout, ".", filter=dated)
    return file


def _rows(one: Path, other: Path) -> list[tuple[str, ...]]:
    return outputs.differing(other, one, outputs.digests(one), outputs.digests(other))


def test_archives_that_differ_in_the_times_of_their_members_are_equal(tmp_path: Path) -> None:
    layout = _layout(tmp_path / "layout", _layer({"etc/hostname": b"a"}))
    one, other = _archive(layout, tmp_path / "one.tar", 1), _archive(layout, tmp_path / "other.tar", 2)
    assert one.read_bytes() != other.read_bytes()
    assert outputs.digests(one) == outputs.digests(other)
    assert outputs.digest(outputs.digests(one)) == outputs.digests(layout)["image"], "the digest of the manifest"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress], ids=["tar", "gz", "zst"])
def test_a_file_that_differs_in_a_layer_is_named(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    base = _layer({"bin/sh": b"#"})
    before = {"etc/hostname": b"a", "etc/removed": b"", "same": b"x"}
    after = {"etc/hostname": b"b", "etc/added": b"", "same": b"x"}
    one = _layout(tmp_path / "one", base, pack(_layer(before)))
    other = _layout(tmp_path / "other", base, pack(_layer(after)))
    assert [row[:2] for row in _rows(one, other)] == [
        ("changed", f"{other}/image"),
        ("changed", f"{other}/layer 2"),
        ("added", f"{other}/layer 2: etc/added"),
        ("changed", f"{other}/layer 2: etc/hostname"),
        ("removed", f"{other}/layer 2: etc/removed"),
    ]


def test_a_difference_of_times_inside_a_layer_is_named_as_such(tmp_path: Path) -> None:
    one = _layout(tmp_path / "one", _layer({"etc/hostname": b"a"}, time=1))
    other = _layout(tmp_path / "other", _layer({"etc/hostname": b"a"}, time=2))
    assert _rows(one, other)[-1] == ("changed", f"{other}/layer 1: etc/hostname", "time 1", "time 2")


def test_layers_with_the_same_files_compressed_differently_say_so(tmp_path: Path) -> None:
    layer = _layer({"etc/hostname": b"a"})
    one = _layout(tmp_path / "one", gzip.compress(layer, 1, mtime=0))
    other = _layout(tmp_path / "other", gzip.compress(layer, 9, mtime=1))
    assert _rows(one, other)[-1][1] == f"{other}/layer 1: the same files in another order or compression"


def test_many_differing_files_are_bounded(tmp_path: Path) -> None:
    one = _layout(tmp_path / "one", _layer({f"{number:03}": b"a" for number in range(100)}))
    other = _layout(tmp_path / "other", _layer({f"{number:03}": b"b" for number in range(100)}))
    rows = _rows(one, other)
    assert len(rows) == 2 + 20 + 1
    assert rows[-1][1] == f"{other}/layer 1: 80 more files"


def test_a_damaged_layout_is_compared_by_its_bytes(tmp_path: Path) -> None:
    layout = _layout(tmp_path / "layout", _layer({"a": b"a"}))
    (layout / "index.json").write_text("{}")
    assert "index.json" in outputs.digests(layout)
    assert set(outputs.digests(_archive(layout, tmp_path / "one.tar", 1))) == {""}
