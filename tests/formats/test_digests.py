"""Digests: bytes are checked against every expected digest, and the error names the one that differs."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.digests import HEX_LENGTH, DigestChecker, digest

DATA = b"The quick brown fox"
DIGESTS = {name: hashlib.new(name, DATA).hexdigest() for name in HEX_LENGTH}


def check(size: int | None, digests: dict[str, str], *pieces: bytes) -> str | None:
    checker = DigestChecker(size, digests)
    for piece in pieces:
        checker.update(memoryview(piece))
    return checker.finish()


@given(st.lists(st.binary()))
def test_any_pieces_add_up_to_the_whole(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    digests = {name: hashlib.new(name, whole).hexdigest() for name in HEX_LENGTH}
    assert check(len(whole), digests, *pieces) is None
    assert check(None, digests, *pieces) is None


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
def test_a_wrong_size_is_reported_first(size: int) -> None:
    assert check(size, {}, DATA) == check(size, {"md5": "0" * 32}, DATA) == "size differs"


@pytest.mark.parametrize("name", HEX_LENGTH)
def test_each_algorithm_is_checked(name: str) -> None:
    assert check(len(DATA), {**DIGESTS, name: "0" * HEX_LENGTH[name]}, DATA) == f"{name} differs"


def test_the_strongest_that_differs_is_named() -> None:
    assert check(len(DATA), DIGESTS, DATA.swapcase()) == "sha512 differs"
    assert check(len(DATA), {name: DIGESTS[name] for name in ("md5", "sha256")}, DATA.swapcase()) == "sha256 differs"


@pytest.mark.parametrize(
    ("algorithm", "text"), [("sha256", "ab" * 31), ("md5", "g" * 32), ("crc32", "ab" * 4), ("md5", "")]
)
def test_a_malformed_digest_is_refused(algorithm: str, text: str) -> None:
    with pytest.raises(ArchiveDataError):
        digest(algorithm, text)
