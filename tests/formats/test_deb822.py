"""Stanzas of deb822: each is read completely and once, under any chunking, and every bound is enforced."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.deb822 import stanzas

NAMES = st.from_regex(re.compile(r"[A-Za-z][A-Za-z0-9-]{0,12}", re.ASCII), fullmatch=True)
WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=20)
VALUES = st.lists(WORDS, min_size=1, max_size=4).map("\n ".join)
RECORDS = st.lists(
    st.dictionaries(NAMES.map(str.lower), VALUES, min_size=1, max_size=6),
    max_size=5,
)


def write(records: list[dict[str, str]]) -> bytes:
    return "\n".join("".join(f"{name}: {value}\n" for name, value in record.items()) for record in records).encode()


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(RECORDS, st.integers(1, 40))
def test_what_is_written_is_read_back_under_any_chunking(records: list[dict[str, str]], size: int) -> None:
    assert list(stanzas(cut(write(records), size))) == records


@given(st.lists(st.binary(max_size=200)), st.none() | st.just(("filename", "size")))
def test_any_bytes_give_records_or_an_archive_data_error(chunks: list[bytes], wanted: tuple[str, ...] | None) -> None:
    try:
        records = list(stanzas(chunks, wanted=wanted))
    except ArchiveDataError:
        return
    assert all(isinstance(value, str) for record in records for value in record.values())


@given(RECORDS, st.sets(NAMES.map(str.lower), max_size=3), st.integers(1, 40))
def test_wanted_fields_are_the_same_with_or_without_the_others(
    records: list[dict[str, str]], more: set[str], size: int
) -> None:
    wanted = more | {name for record in records for name in list(record)[:2]} or {"none"}
    expected = [{name: value for name, value in record.items() if name in wanted} for record in records]
    assert list(stanzas(cut(write(records), size), wanted=wanted)) == expected


def test_names_compare_without_case_and_values_lose_the_blanks_around_them() -> None:
    assert list(stanzas([b"FILENAME: \t a b \t\r\nsIZE:7\n"], wanted=("filename", "size"))) == [
        {"filename": "a b", "size": "7"}
    ]


def test_continuation_lines_are_kept_unchanged() -> None:
    assert list(stanzas([b"MD5Sum:\n aa 1 x\n  bb 2 y\nSize: 3\n"])) == [{"md5sum": "aa 1 x\n  bb 2 y", "size": "3"}]


def test_a_name_inside_a_value_is_not_a_field() -> None:
    text = b"Description: see\n Size: 9\nXSize: 8\nSize: 7\n"
    assert list(stanzas([text], wanted=("size",))) == [{"size": "7"}]


def test_several_empty_lines_and_comments_separate_like_one() -> None:
    assert list(stanzas([b"\n\nA: 1\n\n\n", b"\n# B: 3\nB: 2\n\n\n"])) == [{"a": "1"}, {"b": "2"}]


def test_bytes_that_are_not_utf_8_are_marked() -> None:
    assert list(stanzas([b"Maintainer: Ren\xe9\n"])) == [{"maintainer": "Ren\ufffd"}]


def test_a_duplicate_field_is_refused() -> None:
    with pytest.raises(ArchiveDataError, match="a duplicate field"):
        list(stanzas([b"Filename: a\nfilename: b\n"], wanted=("filename",)))


@pytest.mark.parametrize("size", [7, 1 << 20])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"A: " + b"x" * 100 + b"\n\nB: 1\n", "A line of the index is too long"),
        (b"A: 1\n" + b" continued\n" * 100, "An entry of the index is too large"),
        (b"A: 1\n" + b" continued\n" * 100 + b"\nB: 1\n", "An entry of the index is too large"),
        (b"".join(b"F%d: 1\n" % i for i in range(20)), "too many fields"),
    ],
)
def test_each_bound_is_enforced(text: bytes, reason: str, size: int) -> None:
    with pytest.raises(ArchiveDataError, match=reason):
        list(stanzas(cut(text, size), max_line=50, max_stanza=400, max_fields=10))


def test_a_stream_without_an_empty_line_is_refused_at_the_bound() -> None:
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield b"A" * 100

    with pytest.raises(ArchiveDataError, match="too large"):
        list(stanzas(endless(), max_stanza=1000))  # type: ignore[arg-type]
    assert taken == 11
