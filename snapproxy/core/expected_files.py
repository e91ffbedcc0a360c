"""Holds an index to its word: a path is promised once, and what is said of it twice must agree; and says by what kept promises are found again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from snapproxy.core.model import ExpectedFile
from snapproxy.errors import ArchiveDataError


def distinct(found: Iterable[ExpectedFile]) -> Iterator[ExpectedFile]:
    """Yield each path once, the first time. Said twice it must agree, as far as the two speak of the same.

    Raises ArchiveDataError when they do not.
    """
    seen: dict[str, bytes] = {}
    for expected in found:
        said = _said(expected)
        first = seen.setdefault(expected.path, said)
        if first is said:
            yield expected
        elif not _agree(first, said):
            raise contradiction(expected.path)


def identity(expected: ExpectedFile) -> tuple[str, str] | None:
    """Return the (algorithm, hex) by which bytes that have kept this promise are found again; None: it gives no digest.

    That is the strong one, else the best of the others, a family's own among them; such a one tells of its own archive's bytes alone.
    """
    order = ("sha1", "md5", *sorted(expected.digests))
    return expected.strong or next(((name, expected.digests[name]) for name in order if name in expected.digests), None)


def contradiction(path: str) -> ArchiveDataError:
    """Return the error for a path that is promised in two ways."""
    return ArchiveDataError("An index contradicts itself", why=f"It promises {path!r} in two ways.")


def _said(expected: ExpectedFile) -> bytes:
    """Put a promise in few bytes: Debian's Sources names 130,000 files, and all are kept until its end."""
    size = [] if expected.size is None else [f"size:{expected.size}"]
    return " ".join([*size, *(f"{name}:{value}" for name, value in expected.digests.items())]).encode("ascii")


def _agree(one: bytes, other: bytes) -> bool:
    first, second = (dict(word.split(b":") for word in said.split()) for said in (one, other))
    return all(first[name] == second[name] for name in first.keys() & second.keys())
