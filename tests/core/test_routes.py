"""The pattern of an archive's `hosts`: which addresses select it, and the path that remains."""

from __future__ import annotations

import pytest

from snapproxy.archives import HISTORIES
from snapproxy.core.model import Archive
from snapproxy.core.routes import routes_of, select


def chosen(path: str, *patterns: str) -> tuple[str, str] | None:
    """Return the pattern that selects a path of host `h.example`, and the remaining path."""
    archives = [Archive(pattern, "apt", "captured", hosts=(f"h.example/{pattern}",)) for pattern in patterns]
    found = select(routes_of(archives, HISTORIES), "h.example", path)
    return found and (found[0].archive.name, found[1])


@pytest.mark.parametrize(
    ("pattern", "path", "rest"),
    [
        ("core*/stable*/v1.30/deb", "core:/stable:/v1.30/deb/InRelease", "InRelease"),
        ("core:/stable:/v*/deb", "core:/stable:/v1.30/deb/amd64/x.deb", "amd64/x.deb"),
        ("repositories/home:/*/Debian_12", "repositories/home:/user/Debian_12/Packages", "Packages"),
        ("a*", "abc", ""),
        ("a*", "abc/", ""),
        ("a*", "a/x", "x"),
    ],
)
def test_a_star_in_a_path_matches_within_its_segment(pattern: str, path: str, rest: str) -> None:
    assert chosen(path, pattern) == (pattern, rest)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [("a*/deb", "a/b/deb/x"), ("a/*/deb", "a//deb/x"), ("a/*/deb", "a/deb/x"), ("a*", "x/abc"), ("a.c*", "abc/x")],
)
def test_a_star_in_a_path_matches_no_other_segment(pattern: str, path: str) -> None:
    assert chosen(path, pattern) is None


def test_a_path_without_a_star_is_more_specific() -> None:
    assert chosen("core:/stable:/x", "core*/stable*", "core:/stable:") == ("core:/stable:", "x")
    assert chosen("core:/stable:/x", "core:/stable:", "core*/stable*") == ("core:/stable:", "x")
