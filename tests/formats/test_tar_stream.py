"""An untrusted tar as a stream: every form of names and sizes, and every limit."""

from __future__ import annotations

import io
import tarfile

import pytest

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.tar_stream import StreamMember, TarStream


def stream(data: bytes, *, most: int = 100, longest: int = 300, needs_end: bool = True) -> TarStream:
    pieces = iter([data[at : at + 700] for at in range(0, len(data), 700)])
    return TarStream(
        pieces, lambda why: ArchiveDataError("damaged", why=why),
        max_members=most, max_name=longest, needs_end=needs_end,
    )  # fmt: skip


def packed(*members: tuple[str, bytes], layout: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=layout) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1717243201
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd" * 20
        tar.addfile(link)
    return out.getvalue()


@pytest.mark.parametrize("layout", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_with_long_names_and_links(layout: int) -> None:
    name = "a/" * 100 + "file"
    tar = stream(packed((name, b"x" * 1500), ("b", b""), layout=layout))
    assert [(member, tar.content() if member.name == name else b"") for member in tar.members()] == [
        (StreamMember(name, 1500, is_regular=True, modified=1717243201), b"x" * 1500),
        (StreamMember("b", 0, is_regular=True, modified=1717243201), b""),
        (StreamMember("link", 0, is_regular=False), b""),
    ]


def test_content_in_pieces_and_in_part() -> None:
    tar = stream(packed(("a", b"x" * 5000), ("b", b"yy")))
    members = tar.members()
    next(members)
    assert next(tar.pieces()) == b"x" * 5000
    assert next(members).name == "b"


def test_the_missing_end_of_a_layer() -> None:
    data = packed(("a", b"x")).rstrip(b"\0")
    data += bytes(-len(data) % 512)
    assert [each.name for each in stream(data, needs_end=False).members()] == ["a", "link"]
    with pytest.raises(ArchiveDataError, match="damaged"):
        list(stream(data).members())


def test_every_truncation_is_an_error() -> None:
    data = packed(("a", b"x" * 600))
    for end in (1, 511, 513, 1100):
        with pytest.raises(ArchiveDataError):
            list(stream(data[:end]).members())


def test_limits() -> None:
    data = packed(("a" * 90, b""), ("b", b""))
    with pytest.raises(ArchiveDataError):
        list(stream(data, most=2).members())
    with pytest.raises(ArchiveDataError):
        list(stream(data, longest=50).members())


def test_a_header_that_claims_much_is_not_loaded() -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    with pytest.raises(ArchiveDataError, match="damaged"):
        list(stream(info.tobuf(tarfile.GNU_FORMAT)).members())


def test_a_wrong_checksum() -> None:
    data = bytearray(packed(("a", b"x")))
    data[0] ^= 1
    with pytest.raises(ArchiveDataError):
        list(stream(bytes(data)).members())
