"""Which names are explained when the indexes of a time do not list them."""

from __future__ import annotations

import pytest

from snapproxy.prefetch.unknown_packages import plain_name


@pytest.mark.parametrize(
    ("family", "word", "name"),
    [
        ("apt", "g++=4:12.2.0-3", "g++"),
        ("apt", "libc6:i386", "libc6"),
        ("apt", "bash/sid", "bash"),
        ("apt", "?essential", ""),
        ("pacman", "gcc>=13", "gcc"),
        ("rpm", "perl(JSON)", ""),
        ("rpm", "/usr/bin/sh", ""),
        ("apk", "lua5.4~5.4.4", "lua5.4"),
        ("apk", "so:libfoo.so.6", ""),
        ("apk", "cmd:sh", ""),
    ],
)
def test_only_a_plain_name_is_explained(family: str, word: str, name: str) -> None:
    assert plain_name(word, family) == name
