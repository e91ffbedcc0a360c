"""Files of an image's layers: replaced, removed, hostile."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from snapproxy.errors import ArchiveDataError
from snapproxy.jobs import layer_files
from snapproxy.jobs.layer_files import LayerFiles, WantedPaths, read_layer


def layer(*members: tuple[str, bytes | None], link: str = "", modified: int = 0) -> bytes:
    """Return a compressed layer; None is a folder, `link` the path of a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = (tarfile.DIRTYPE, 0) if data is None else (tarfile.REGTYPE, len(data))
            info.mtime = modified
            tar.addfile(info, io.BytesIO(data or b""))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/shadow"
            tar.addfile(info)
    return gzip.compress(out.getvalue(), mtime=0)


WANTED = WantedPaths(lambda path: 10 if path.startswith("etc/") else None, lambda path: path in {"etc", "etc/x"})


def files_of(*layers: bytes) -> LayerFiles:
    return LayerFiles([read_layer([each], WANTED) for each in layers])


def test_the_newest_layer_replaces_a_file() -> None:
    found = files_of(layer(("./etc/a", b"old"), ("etc/b", b"b")), layer(("etc/a", b"new")))
    assert (found.read("etc/a", 10), found.read("etc/b", 10)) == (b"new", b"b")
    assert found.names("etc") == ["a", "b"]


@pytest.mark.parametrize("whiteout", ["etc/x/.wh.a", "etc/.wh.x", "etc/x/.wh..wh..opq", ".wh.etc", ".wh..wh..opq"])
def test_a_whiteout_removes_files_of_earlier_layers(whiteout: str) -> None:
    found = files_of(layer(("etc/x/a", b"old")), layer((whiteout, b"")))
    assert found.read("etc/x/a", 10) is None
    assert found.names("etc/x") == []


def test_a_file_beside_an_opaque_mark_is_kept() -> None:
    found = files_of(layer(("etc/x/a", b"old")), layer(("etc/x/b", b"b"), ("etc/x/.wh..wh..opq", b"")))
    assert found.names("etc/x") == ["b"]


def test_a_link_replaces_a_file_and_is_not_followed() -> None:
    assert files_of(layer(("etc/a", b"old")), layer(link="etc/a")).read("etc/a", 10) is None


@pytest.mark.parametrize("replaced", [layer(link="etc/x"), layer(("etc/x", b"a file"))])
def test_a_link_or_a_file_replaces_a_folder(replaced: bytes) -> None:
    found = files_of(layer(("etc/x/a", b"old"), ("etc/xy", b"b")), replaced)
    assert found.read("etc/x/a", 10) is None
    assert found.read("etc/xy", 10) == b"b"


def test_a_folder_is_merged() -> None:
    assert files_of(layer(("etc/x/a", b"old")), layer(("etc/x/", None))).names("etc/x") == ["a"]


def test_names_that_lead_out_and_other_files_are_skipped() -> None:
    found = files_of(layer(("../etc/a", b"x"), ("etc/../etc/a", b"x"), ("usr/a", b"x" * 100), ("etc", None)))
    assert found.names("etc") == found.names("usr") == []


def test_a_file_above_its_limit_is_noted() -> None:
    found = files_of(layer(("etc/a", b"x" * 11), modified=1717200000))
    assert found.read("etc/a", 10) is None
    assert found.modified("etc/a") == 1717200000
    assert "11 bytes" in found.notes[0]


@pytest.mark.parametrize("modified", [0, 99999999999])
def test_an_absurd_date_is_none(modified: int) -> None:
    assert files_of(layer(("etc/a", b"x"), modified=modified)).modified("etc/a") is None


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = layer(("etc/a", b"x" * 10), ("etc/b", b"x" * 10))
    assert read_layer([data], WANTED, most=1100).cost <= 1100
    for hostile in (data, layer(*((f"etc/.wh.{number}", b"") for number in range(2)))):
        with pytest.raises(ArchiveDataError, match="take more than 1000 bytes"):
            read_layer([hostile], WANTED, most=1000)
    assert read_layer([layer(("usr/.wh.a", b""), ("usr/b", b"x"))], WANTED, most=0).cost == 0
    monkeypatch.setattr(layer_files, "MOST_MEMBERS", 1)
    with pytest.raises(ArchiveDataError, match="damaged"):
        files_of(data)


@pytest.mark.parametrize("data", [b"x" * 600, layer(("etc/a", b"x"))[:-20]])
def test_damaged_layers(data: bytes) -> None:
    with pytest.raises(ArchiveDataError):
        files_of(data)
