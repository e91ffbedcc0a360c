"""Compare versions as apk 3 does: `number{.number}{letter}{_suffix{number}}{~hash}{-r<number>}`.

The rules are in apk-package(5), "version". univers is not used here, because it parses them as Gentoo's versions, which
have no `_git`, `_svn`, `_cvs`, `_hg` and no hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from itertools import zip_longest

# In ascending order. `_` represents no suffix: the suffixes before it mark versions before the release.
_SUFFIXES = ("alpha", "beta", "pre", "rc", "_", "cvs", "svn", "git", "hg", "p")
_RELEASE = _SUFFIXES.index("_")
_SUFFIX = re.compile(r"_(alpha|beta|pre|rc|cvs|svn|git|hg|p)([0-9]*)")
_VERSION = re.compile(
    r"(?P<first>[0-9]{1,18})(?P<numbers>(?:\.[0-9]{1,18})*)(?P<letter>[a-z]?)"
    rf"(?P<suffixes>(?:{_SUFFIX.pattern})*)(?:~(?P<hash>[0-9a-f]+))?(?:-r(?P<revision>[0-9]{{1,18}}))?"
)


class _Kind(IntEnum):
    """Kinds of version parts, in their order. At the first difference, the version with the earlier kind is newer."""

    FIRST = 0
    NUMBER = 1
    LETTER = 2
    SUFFIX = 3
    SUFFIX_NUMBER = 4
    HASH = 5
    REVISION = 6
    END = 7


_Token = tuple[_Kind, str]
_END: _Token = (_Kind.END, "")


def compare(one: str, other: str) -> int | None:
    """Return -1, 0 or 1 if `one` is older than, equal to or newer than `other`; None if one is not a version of apk."""
    first, second = _VERSION.fullmatch(one), _VERSION.fullmatch(other)
    if first is None or second is None:
        return None
    for token, against in zip_longest(_tokens(first), _tokens(second), fillvalue=_END):
        if token[0] is not against[0]:
            order = _compare_kinds(token, against)
        else:
            order = _compare_values(token[0], token[1], against[1])
        if order:
            return order
    return 0


def _tokens(version: re.Match[str]) -> Iterator[_Token]:
    yield _Kind.FIRST, version["first"]
    yield from ((_Kind.NUMBER, number) for number in version["numbers"].split(".")[1:])
    if version["letter"]:
        yield _Kind.LETTER, version["letter"]
    for suffix, number in _SUFFIX.findall(version["suffixes"]):
        yield _Kind.SUFFIX, suffix
        if number:
            yield _Kind.SUFFIX_NUMBER, number
    if version["hash"]:
        yield _Kind.HASH, version["hash"]
    if version["revision"]:
        yield _Kind.REVISION, version["revision"]


def _compare_kinds(token: _Token, against: _Token) -> int:
    """Compare the first parts of different kinds: `1.0_rc1` is older than `1.0`, `1.0_p1` is newer."""
    if _is_before_release(token):
        return -1
    if _is_before_release(against):
        return 1
    return -1 if token[0] > against[0] else 1


def _is_before_release(token: _Token) -> bool:
    return token[0] is _Kind.SUFFIX and _SUFFIXES.index(token[1]) < _RELEASE


def _compare_values(kind: _Kind, one: str, other: str) -> int:
    if kind is _Kind.SUFFIX:
        return _SUFFIXES.index(one) - _SUFFIXES.index(other)
    # A number after a point that begins with a zero is compared like a decimal fraction: 1.01 is older than 1.1.
    is_text = kind in (_Kind.LETTER, _Kind.HASH, _Kind.END) or (kind is _Kind.NUMBER and "0" in (one[0], other[0]))
    if is_text:
        return (one > other) - (one < other)
    return int(one) - int(other)
