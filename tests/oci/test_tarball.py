"""Untrusted tars: only headers are read, and every field is checked."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ArchiveDataError, ClientError
from snapproxy.oci.tarball import TarMember, header, members, trailer


@contextmanager
def opened(data: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("tar")
    try:
        os.write(descriptor, data)
        yield descriptor
    finally:
        os.close(descriptor)


def found(data: bytes) -> dict[str, TarMember]:
    with opened(data) as descriptor:
        return dict(members(descriptor))


def tar(*changes: Callable[[tarfile.TarInfo], None], names: tuple[str, ...] = ("a", "b"), form: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            for change in changes:
                change(info)
            archive.addfile(info, io.BytesIO(b"abc"))
    return file.getvalue()


def ustar(*changes: Callable[[tarfile.TarInfo], None], names: tuple[str, ...] = ("a", "b")) -> bytes:
    return tar(*changes, names=names, form=tarfile.USTAR_FORMAT)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_every_common_form_are_found(form: int) -> None:
    data = tar(names=("oci-layout", "./index.json", "blobs/sha256/" + "0a" * 32), form=form)
    places = found(data)
    assert list(places) == ["oci-layout", "index.json", "blobs/sha256/" + "0a" * 32]
    assert [data[each.offset : each.offset + each.size] for each in places.values()] == [b"abc"] * 3


def test_extended_headers_are_read() -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.mtime = 1.5  # stored in an extended header

    assert list(found(tar(change, names=("a", "x" * 120), form=tarfile.PAX_FORMAT))) == ["a", "x" * 120]


def test_headers_are_the_same_as_those_of_tarfile() -> None:
    info = tarfile.TarInfo("blobs/sha256/" + "0a" * 32)
    info.size, info.mtime, info.mode = 12345, 1_717_200_000, 0o644
    ours = header(info.name, info.size, int(info.mtime))
    assert ours == info.tobuf(tarfile.USTAR_FORMAT)
    folder = tarfile.TarInfo.frombuf(header("blobs/", 0, 0, is_folder=True), "utf-8", "strict")
    assert (folder.isdir(), folder.mode, folder.uid, folder.uname) == (True, 0o755, 0, "")


def test_a_long_path_is_split_as_tarfile_splits_it() -> None:
    name = f"var/cache/apt/archives/{'n' * 95}.deb"
    info = tarfile.TarInfo(name)
    info.size, info.mtime = 7, 1
    assert header(name, 7, 1) == info.tobuf(tarfile.USTAR_FORMAT)
    for unsayable in ("n" * 101, f"{'f' * 156}/n", "pool/ä.deb"):
        with pytest.raises(ClientError, match="cannot be written as a tar"):
            header(unsayable, 7, 1)


@pytest.mark.parametrize(("size", "mtime"), [(1 << 33, 0), (0, -1), (0, 1 << 33)])
def test_values_that_a_header_cannot_represent_are_refused(size: int, mtime: int) -> None:
    with pytest.raises(ClientError):
        header("a", size, mtime)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]
)
def test_links_and_devices_are_refused(kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    with pytest.raises(ArchiveDataError, match="cannot be used"):
        found(ustar(change))


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "a/..", "a\nb", "ä", ".."])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ArchiveDataError):
        found(ustar(names=(name,)))


def test_a_repeated_name_is_refused() -> None:
    with pytest.raises(ArchiveDataError, match="cannot be used"):
        found(ustar(names=("a", "./a")))


def test_a_tar_that_ends_early_is_refused() -> None:
    whole = ustar()
    for length in (0, 100, 512, 513, 1024, 1535, 2048):
        with pytest.raises(ArchiveDataError):
            found(whole[:length])
    assert list(found(whole[: 4 * 512] + trailer(4 * 512))) == ["a", "b"]


@pytest.mark.parametrize("size", [b"77777777777\0", b"\x80" + b"\xff" * 11, b"-0000000001\0", b"8\0" + bytes(10)])
def test_false_sizes_are_refused(size: bytes) -> None:
    block = bytearray(header("a", 3, 0))
    block[124:136] = size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(ArchiveDataError):
        found(bytes(block) + b"abc" + bytes(4096))


@pytest.mark.parametrize(
    "record", [b"10 size=-1\n", b"99 path=a\n", b"path=a\n", b"22 GNU.sparse.major=1\n", b"11 path=../\n"]
)
def test_false_extended_headers_are_refused(record: bytes) -> None:
    block = bytearray(header("x", len(record), 0))
    block[156:157] = b"x"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(ArchiveDataError):
        found(bytes(block) + record.ljust(512, b"\0") + ustar())


@pytest.mark.parametrize("magic", [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"])
def test_a_compressed_tar_is_named_as_such(magic: bytes) -> None:
    with pytest.raises(ArchiveDataError, match="compressed"):
        found(magic + bytes(600))


@given(st.data())
def test_a_damaged_tar_raises_only_archive_data_errors(data: st.DataObject) -> None:
    whole = bytearray(ustar())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 1100))] = data.draw(st.integers(0, 255))
    try:
        found(bytes(whole))
    except ArchiveDataError:
        return


def test_tar_reads_a_written_tar(tmp_path: Path) -> None:
    data = header("a", 3, 0) + b"abc" + bytes(509)
    (tmp_path / "a.tar").write_bytes(data + trailer(len(data)))
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert [(each.name, each.size) for each in archive] == [("a", 3)]
