"""Decompression of zchunk: the output is complete or an error, and declared sizes are verified."""

from __future__ import annotations

import contextlib
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.unpack import unpack
from snapproxy.formats.zchunk import MAX_CHUNK, MAX_HEADER
from tests.fakes.zchunk import SHA256, assembled, integer, packed

NONE = (b"", 0)
GOOD = packed([b"one ", b"two"])


def unpacked(data: bytes, size: int = 1 << 16) -> bytes:
    return b"".join(unpack(data[at : at + size] for at in range(0, len(data), size)))


@given(
    st.lists(st.binary(max_size=300), max_size=6),
    st.integers(1, 400),
    st.sampled_from([b"", b"words that stand in most of the chunks"]),
    st.sampled_from([0, 2]),
)
def test_chunks_are_one_stream_under_any_chunking(
    chunks: list[bytes], size: int, words: bytes, compression: int
) -> None:
    assert unpacked(packed(chunks, dictionary=words, compression=compression), size) == b"".join(chunks)


@pytest.mark.parametrize("kind", [SHA256, 3])
def test_checksums_of_every_size_are_passed_over(kind: int) -> None:
    assert unpacked(assembled([NONE, (zstandard.compress(b"text"), 4)], kind=kind)) == b"text"


@given(st.integers(0, len(GOOD) - 1))
def test_every_truncation_is_detected(length: int) -> None:
    if length >= 5:  # a shorter file is not recognised as zchunk
        with pytest.raises(ArchiveDataError):
            unpacked(GOOD[:length])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GOOD + b"x", "trailing"),
        (assembled([NONE], flags=1), "unsupported format"),
        (assembled([NONE], compression=1), "unsupported format"),
        (assembled([NONE], kind=9), "unsupported format"),
        (assembled([NONE], count=2), "damaged"),
        (assembled([]), "damaged"),
        (assembled([NONE, (b"no frame", 3)]), "damaged"),
        (assembled([NONE, (zstandard.compress(b"text"), 3)]), "damaged"),
        (assembled([NONE, (zstandard.compress(b"text"), 5)]), "damaged"),
        (assembled([NONE, (zstandard.compress(b"text") + b"x", 4)]), "damaged"),
        (assembled([NONE, (b"text", 5)], compression=0), "damaged"),
        (assembled([NONE, (b"", MAX_CHUNK + 1)]), "too large"),
        (b"\x00ZCK1" + integer(SHA256) + integer(MAX_HEADER + 1) + bytes(32), "too large"),
        (b"\x00ZCK1" + bytes(50), "damaged"),
    ],
)
def test_the_error_names_the_defect(data: bytes, reason: str) -> None:
    with pytest.raises(ArchiveDataError, match=reason):
        unpacked(data)


@given(st.binary(max_size=200), st.integers(5, len(GOOD)))
def test_garbage_after_a_true_beginning_raises_nothing_else(garbage: bytes, kept: int) -> None:
    with contextlib.suppress(ArchiveDataError):
        unpacked(GOOD[:kept] + garbage)


def test_a_frame_that_declares_more_than_its_chunk_is_refused() -> None:
    bomb = zstandard.compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveDataError, match="damaged"):
            unpacked(assembled([NONE, (bomb, 100)]))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_chunks_that_grow_beyond_the_ratio_are_a_bomb() -> None:
    bomb = zstandard.compress(bytes(8 << 20))
    with pytest.raises(ArchiveDataError, match="bomb"):
        unpacked(assembled([NONE, *[(bomb, 8 << 20)] * 4]))
