"""Checksum lists: the format of coreutils is read, every other line is refused."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.checksums import checksums

NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Z"], blacklist_characters="\\"), min_size=1)
LISTS = st.lists(st.tuples(NAMES, st.binary().map(lambda data: hashlib.sha256(data).hexdigest())))


@given(LISTS, st.sampled_from(["  ", " *"]), st.integers(1, 50))
def test_what_sha256sum_writes_is_read_back_under_any_chunking(
    rows: list[tuple[str, str]], blanks: str, size: int
) -> None:
    text = "".join(f"{value}{blanks}{name}\n" for name, value in rows).encode()
    assert list(checksums([text[at : at + size] for at in range(0, len(text), size)], "sha256")) == rows


def test_digests_are_converted_to_lower_case() -> None:
    assert list(checksums([b"D41D8CD98F00B204E9800998ECF8427E  ./empty"], "md5")) == [
        ("./empty", "d41d8cd98f00b204e9800998ecf8427e")
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"<html>",
        b"d41d8cd98f00b204e9800998ecf8427e",
        b"d41d8cd98f00b204e9800998ecf8427e one-blank",
        b"\\d41d8cd98f00b204e9800998ecf8427e  escaped\\nname",
        b"d41d  short",
        b"d41d8cd98f00b204e9800998ecf8427e  x" + b"y" * 9000,
    ],
)
def test_other_lines_are_refused(line: bytes) -> None:
    with pytest.raises(ArchiveDataError):
        list(checksums([line], "md5"))
