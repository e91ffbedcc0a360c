"""The pacman database reader: every compression, any chunking, and every bound."""

import contextlib
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ArchiveDataError
from snapproxy.formats import pacman_db
from snapproxy.formats.pacman_db import records

GENUINE = Path("tests/data/pacman/testrepo.db.tar.xz").read_bytes()
WANTED = {"FILENAME", "DEPENDS"}


def tar(*members: tuple[str, bytes], layout: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=layout) as written:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            written.addfile(member, io.BytesIO(data))
    return out.getvalue()


def desc(name: str) -> bytes:
    return f"%FILENAME%\n{name}\n\n%DEPENDS%\na\nb>=2\n\n%OTHER%\n%NAME%\n\n".encode()


def read(data: bytes, size: int = 1 << 20) -> list[dict[str, tuple[str, ...]]]:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [dict(record) for record in records(pieces, wanted=WANTED)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zstandard.ZstdCompressor().compress])
def test_every_packing_is_read_alike(pack: Callable[[bytes], bytes]) -> None:
    assert read(pack(lzma.decompress(GENUINE))) == read(GENUINE)
    assert [record["FILENAME"] for record in read(GENUINE)] == [
        ("dummy-1.0-1-any.pkg.tar.zst",),
        ("libsig++-2:2.4-1-any.pkg.tar.zst",),
    ]


@given(size=st.integers(1, 2000))
def test_chunking_makes_no_difference(size: int) -> None:
    assert read(GENUINE, size) == read(GENUINE)


def test_values_are_lines_and_only_wanted_fields_are_kept() -> None:
    assert read(tar(("p-1-1/desc", desc("p")))) == [{"FILENAME": ("p",), "DEPENDS": ("a", "b>=2")}]


def test_a_value_that_looks_like_a_field_is_a_value() -> None:
    assert read(tar(("p-1-1/desc", b"%FILENAME%\n%DEPENDS%\n"))) == [{"FILENAME": ("%DEPENDS%",)}]


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("length", [10, 99, 130, 200])
def test_long_names_are_read_in_every_layout(layout: int, length: int) -> None:
    folder = "f" * min(length, 150)
    name = f"{folder}/{'n' * max(0, length - 150)}/desc" if length > 150 else f"{folder}/desc"
    assert len(read(tar((name, desc("p")), ("q/desc", desc("q")), layout=layout))) == 2


def test_other_members_are_passed_over() -> None:
    assert len(read(tar(("p/files", b"x" * 5000), ("p/desc", desc("p")), ("p/install", b"")))) == 1


def test_an_empty_database_is_one() -> None:
    assert read(tar()) == []


def huge_header(size: int) -> bytes:
    member = tarfile.TarInfo("p/desc")
    member.size = size
    return member.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>It works!</html>",
        b"x" * 512,
        tar(("p/desc", desc("p")))[:700],
        tar(("p/desc", desc("p")))[:1024],
        tar(("p/files", b"x" * 5000))[:1000],
        huge_header(pacman_db.MAX_DESC + 1),
        tar(("p/desc", b"FILENAME\n")),
        tar(("p/desc", b"%FILENAME%\na\n\n%FILENAME%\nb\n")),
        GENUINE[:-30],
    ],
)
def test_an_incomplete_database_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveDataError) as caught:
        read(data)
    assert caught.value.reason.isascii()


def test_a_flipped_bit_in_a_header_is_detected() -> None:
    data = bytearray(tar(("p/desc", desc("p"))))
    data[3] ^= 1
    with pytest.raises(ArchiveDataError, match="checksum"):
        read(bytes(data))


def test_members_and_header_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacman_db, "MAX_MEMBERS", 2)
    with pytest.raises(ArchiveDataError, match="more than 2 members"):
        read(tar(*((f"{n}/files", b"") for n in range(3))))
    long_name = tarfile.TarInfo("L")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    with pytest.raises(ArchiveDataError, match="the limit is 65536"):
        read(long_name.tobuf(tarfile.GNU_FORMAT))


@given(at=st.integers(0, 5000), data=st.binary(max_size=40))
def test_damage_raises_archive_data_error_or_nothing(at: int, data: bytes) -> None:
    whole = tar(("p/desc", desc("p")), ("q" * 120 + "/desc", desc("q")), layout=tarfile.PAX_FORMAT)
    with contextlib.suppress(ArchiveDataError):
        read(whole[:at] + data + whole[at + len(data) :])
