"""Check that an index lists each path consistently, and choose the digest by which stored bytes are looked up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from snapproxy.core.model import ExpectedFile
from snapproxy.errors import ArchiveDataError


def distinct(found: Iterable[ExpectedFile]) -> Iterator[ExpectedFile]:
    """Yield each path once, at its first occurrence.

    Raises ArchiveDataError if a later occurrence contradicts the first: a size or digest that both have must be equal.
    """
    seen: dict[str, bytes] = {}
    for expected in found:
        entry = _encode(expected)
        first = seen.setdefault(expected.path, entry)
        if first is entry:
            yield expected
        elif not _agree(first, entry):
            raise contradiction(expected.path)


def identity(expected: ExpectedFile) -> tuple[str, str] | None:
    """Return the (algorithm, hex) by which bytes that match this entry are looked up; None if it has no digest.

    This is the strong digest, otherwise the best of the others, including a family's own kinds. A digest that is not
    strong identifies bytes of its own archive only.
    """
    order = ("sha1", "md5", *sorted(expected.digests))
    return expected.strong or next(((name, expected.digests[name]) for name in order if name in expected.digests), None)


def contradiction(path: str) -> ArchiveDataError:
    """Return the error for a path that is listed twice with different sizes or digests."""
    return ArchiveDataError(
        "An index contradicts itself", why=f"It lists {path!r} twice with different sizes or digests."
    )


def _encode(expected: ExpectedFile) -> bytes:
    """Encode an entry compactly: an index may list 130,000 files, and all entries are kept until its end."""
    size = [] if expected.size is None else [f"size:{expected.size}"]
    return " ".join([*size, *(f"{name}:{value}" for name, value in expected.digests.items())]).encode("ascii")


def _agree(one: bytes, other: bytes) -> bool:
    first, second = (dict(word.split(b":") for word in entry.split()) for entry in (one, other))
    return all(first[name] == second[name] for name in first.keys() & second.keys())
