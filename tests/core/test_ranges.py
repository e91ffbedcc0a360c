from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.ranges import ByteRange, Unsatisfiable, select


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-", ByteRange(0, 10)),
        ("bytes=4-", ByteRange(4, 10)),
        ("bytes=9-", ByteRange(9, 10)),
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-5", ByteRange(2, 6)),
        ("bytes=2-500", ByteRange(2, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-500", ByteRange(0, 10)),
        ("BYTES = 2-5", ByteRange(2, 6)),
        ("bytes=0004-0005", ByteRange(4, 6)),
        ("bytes=10-", Unsatisfiable(10)),
        ("bytes=10-20", Unsatisfiable(10)),
        ("bytes=99999999999999999999-", Unsatisfiable(10)),
        ("bytes=-0", Unsatisfiable(10)),
        ("", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=0-1,4-5", None),
        ("bytes=a-b", None),
        ("bytes=٣-", None),
        ("bytes=+1-", None),
        ("bytes=--1", None),
        ("bytes=1", None),
        ("items=0-1", None),
        ("bytes=" + "9" * 8000 + "-", None),
    ],
)
def test_a_range_header_on_ten_bytes(header: str, expected: object) -> None:
    assert select(header, 10) == expected


def test_no_range_is_honoured_while_the_size_is_unknown() -> None:
    assert select("bytes=0-5", None) is None


@pytest.mark.parametrize(("header", "expected"), [("bytes=0-", Unsatisfiable(0)), ("bytes=-5", None)])
def test_an_empty_file_has_no_span(header: str, expected: object) -> None:
    assert select(header, 0) == expected


@given(st.text(max_size=60), st.integers(0, 1 << 40))
def test_any_header_gives_a_span_inside_the_file(header: str, size: int) -> None:
    found = select("bytes=" + header, size)
    if isinstance(found, ByteRange):
        assert 0 <= found.start < found.stop <= size


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 1000))
def test_a_span_is_what_slicing_gives(first: int, last: int, size: int) -> None:
    data = range(size)
    found = select(f"bytes={first}-{last}", size)
    expected = data[first : last + 1]
    if isinstance(found, ByteRange):
        assert data[found.start : found.stop] == expected
        assert found.length == len(expected)
    else:
        assert not len(expected)


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_suffix_is_what_negative_slicing_gives(count: int, size: int) -> None:
    found = select(f"bytes=-{count}", size)
    assert isinstance(found, ByteRange)
    assert range(size)[found.start : found.stop] == range(size)[-count:]
