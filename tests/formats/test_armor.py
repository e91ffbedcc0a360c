"""ASCII armor: dearmoring returns exactly the key material."""

from __future__ import annotations

import base64
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.formats.armor import BEGIN, END, dearmor, is_armored


def armored(key: bytes, *, end_of_line: str = "\n") -> bytes:
    lines = [
        BEGIN.decode(),
        "Version: GnuPG v2",
        "Comment: a key",
        "",
        *textwrap.wrap(base64.b64encode(key).decode(), 64),
        "=njUN",
        END.decode(),
    ]
    return end_of_line.join([*lines, ""]).encode()


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=3), st.sampled_from(["\n", "\r\n", " \n"]))
def test_blocks_are_reported_in_order(keys: list[bytes], end_of_line: str) -> None:
    text = b"A note: two keys\n" + b"\n".join(armored(key, end_of_line=end_of_line) for key in keys)
    assert is_armored(text)
    assert dearmor(text) == b"".join(keys)


def test_a_binary_keyring_is_not_armored() -> None:
    assert not is_armored(b"\x99\x02\x0d" + BEGIN)
    assert not is_armored(b"")


def test_text_without_a_key_holds_nothing() -> None:
    assert dearmor(b"-----BEGIN PGP MESSAGE-----\n\nAAAA\n-----END PGP MESSAGE-----\n") == b""


@pytest.mark.parametrize("text", [armored(b"key" * 90)[:-40], armored(b"key" * 90).replace(b"a2V5", b"a2!5")])
def test_a_damaged_block_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        dearmor(text)
