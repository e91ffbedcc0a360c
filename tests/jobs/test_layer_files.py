"""Files of an image's layers: replaced, removed, hostile."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from snapproxy.errors import ArchiveDataError
from snapproxy.jobs import layer_files
from snapproxy.jobs.layer_files import LayerFiles, read_layer


def layer(*members: tuple[str, bytes | None], link: str = "") -> bytes:
    """Return a compressed layer; None is a folder, `link` the path of a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = (tarfile.DIRTYPE, 0) if data is None else (tarfile.REGTYPE, len(data))
            tar.addfile(info, io.BytesIO(data or b""))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/shadow"
            tar.addfile(info)
    return gzip.compress(out.getvalue(), mtime=0)


def files_of(*layers: bytes) -> LayerFiles:
    return LayerFiles([read_layer([each], lambda path: 10 if path.startswith("etc/") else None) for each in layers])


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


def test_names_that_lead_out_and_other_files_are_skipped() -> None:
    found = files_of(layer(("../etc/a", b"x"), ("etc/../etc/a", b"x"), ("usr/a", b"x" * 100), ("etc", None)))
    assert found.names("etc") == found.names("usr") == []


def test_a_file_above_its_limit_is_noted() -> None:
    found = files_of(layer(("etc/a", b"x" * 11)))
    assert found.read("etc/a", 10) is None
    assert found.modified("etc/a") == 0
    assert "11 bytes" in found.notes[0]


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = layer(("etc/a", b"x" * 10), ("etc/b", b"x" * 10))
    monkeypatch.setattr(layer_files, "MOST_KEPT", 15)
    with pytest.raises(ArchiveDataError, match="damaged"):
        files_of(data)
    monkeypatch.setattr(layer_files, "MOST_MEMBERS", 1)
    with pytest.raises(ArchiveDataError, match="damaged"):
        files_of(data)


@pytest.mark.parametrize("data", [b"x" * 600, layer(("etc/a", b"x"))[:-20]])
def test_damaged_layers(data: bytes) -> None:
    with pytest.raises(ArchiveDataError):
        files_of(data)
