"""Decompression: the output of every format is complete or an error, and decompression bombs are refused."""

import bz2
import contextlib
import gzip
import lzma
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.unpack import unpack

Pack = Callable[[bytes], bytes]

PACKERS: dict[str, Pack] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}
MULTI_MEMBER = [name for name in PACKERS if name != "lzma"]
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(st.binary(max_size=3000), st.integers(1, 500), st.sampled_from(sorted(PACKERS)))
def test_every_format_is_decompressed_under_any_chunking(data: bytes, size: int, name: str) -> None:
    assert b"".join(unpack(cut(PACKERS[name](data), size))) == data


@given(st.binary(max_size=3000).map(lambda data: b"Package: " + data), st.integers(1, 500))
def test_uncompressed_data_is_returned_unchanged(data: bytes, size: int) -> None:
    assert b"".join(unpack(cut(data, size))) == data


def test_nothing_unpacks_to_nothing() -> None:
    assert list(unpack([])) == list(unpack([b"", b""])) == []


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.integers(1, 200), st.sampled_from(MULTI_MEMBER))
def test_members_in_a_row_are_one_stream(parts: list[bytes], size: int, name: str) -> None:
    packed = b"".join(PACKERS[name](part) for part in parts)
    assert b"".join(unpack(cut(packed, size))) == b"".join(parts)


def test_zstd_skippable_frames_are_skipped() -> None:
    packed = SKIPPABLE + PACKERS["zstd"](b"one ") + SKIPPABLE + PACKERS["zstd"](b"two")
    assert b"".join(unpack(cut(packed, 3))) == b"one two"


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_xz_padding_is_zeros_by_four(size: int) -> None:
    packed = PACKERS["xz"](b"one ") + bytes(8) + PACKERS["xz"](b"two") + bytes(4)
    assert b"".join(unpack(cut(packed, size))) == b"one two"
    with pytest.raises(ArchiveDataError, match="damaged"):
        list(unpack(cut(PACKERS["xz"](b"one ") + bytes(3) + PACKERS["xz"](b"two"), size)))


@given(st.binary(min_size=1, max_size=500), st.sampled_from(sorted(PACKERS)), st.data())
def test_every_truncation_is_detected(data: bytes, name: str, draw: st.DataObject) -> None:
    packed = PACKERS[name](data)
    kept = draw.draw(st.integers(7, len(packed) - 1))
    with pytest.raises(ArchiveDataError, match="truncated"):
        list(unpack([packed[:kept]]))


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("tail", [bytes(17), b"<html>sorry, try again</html>", b"!"])
def test_trailing_bytes_are_dropped_and_reported(name: str, size: int, tail: bytes) -> None:
    """Some tools pad Packages.gz with zeros. apt, dnf and pacman read such files."""
    dropped: list[ArchiveDataError] = []
    found = unpack(cut(PACKERS[name](b"data") + tail, size), drop=lambda error, path="": dropped.append(error))
    assert b"".join(found) == b"data"
    assert [error.reason for error in dropped] == ["The compressed index has trailing bytes"]


@pytest.mark.parametrize("name", PACKERS)
def test_a_second_member_that_is_truncated_is_refused(name: str) -> None:
    """It begins like a member, so that its content is unknown, not absent."""
    packed = PACKERS[name](b"data")
    with pytest.raises(ArchiveDataError):
        list(unpack([packed + packed[:-2]], drop=lambda error, path="": None))


def test_the_old_lzma_format_has_one_member() -> None:
    with pytest.raises(ArchiveDataError, match="trailing"):
        list(unpack([PACKERS["lzma"](b"one ") + PACKERS["lzma"](b"two")]))


@given(st.binary(max_size=300), st.sampled_from(sorted(PACKERS)), st.integers(1, 20))
def test_garbage_after_a_true_beginning_raises_nothing_else(garbage: bytes, name: str, kept: int) -> None:
    with contextlib.suppress(ArchiveDataError):  # zstd frames may have no checksum: garbage may decompress to garbage
        list(unpack([PACKERS[name](b"data" * 100)[:kept] + garbage]))


@pytest.mark.parametrize("name", PACKERS)
def test_a_bomb_is_refused_in_little_memory(name: str) -> None:
    bomb = PACKERS[name](bytes(64 << 20))
    given = 0
    tracemalloc.start()
    with pytest.raises(ArchiveDataError, match="bomb"):  # noqa: PT012 -- the output before the error is checked too
        for piece in unpack(cut(bomb, 1 << 16)):
            given += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert given <= 200 * len(bomb) + (4 << 20)
    assert peak < 40 << 20


@pytest.mark.parametrize("name", ["plain", *PACKERS])
def test_the_unpacked_size_is_bounded(name: str) -> None:
    data = b"Package: a\n" * 100
    with pytest.raises(ArchiveDataError, match="too large"):
        list(unpack([PACKERS.get(name, bytes)(data)], max_size=1000))


def test_the_number_of_members_is_bounded() -> None:
    with pytest.raises(ArchiveDataError, match="trailing"):
        list(unpack([gzip.compress(b"") * 6], max_members=5))
    assert list(unpack([gzip.compress(b"") * 5], max_members=5)) == []


def large_xz() -> bytes:
    """A dictionary of 512 MiB: one byte of the block header, which has its own checksum (xz file format, 5.3.1)."""
    small = lzma.compress(b"data", preset=0)
    header = bytearray(small[12:24])
    header[4] = 35
    header[8:] = zlib.crc32(header[:8]).to_bytes(4, "little")
    return small[:12] + bytes(header) + small[24:]


def large_lzma() -> bytes:
    small = lzma.compress(b"data", lzma.FORMAT_ALONE)
    return small[:1] + (512 << 20).to_bytes(4, "little") + small[5:]


def large_zstd() -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(b"data") + compressor.flush()


@pytest.mark.parametrize(
    ("packed", "why"), [(large_xz(), "usage limit"), (large_lzma(), "usage limit"), (large_zstd(), "memory")]
)
def test_a_dictionary_too_large_for_us_is_refused(packed: bytes, why: str) -> None:
    with pytest.raises(ArchiveDataError, match="damaged") as caught:
        list(unpack([packed]))
    assert why in caught.value.why


def test_a_fault_of_the_source_is_not_blamed_on_the_archive() -> None:
    def broken() -> Iterator[bytes]:
        yield gzip.compress(b"data")[:15]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        list(unpack(broken()))
