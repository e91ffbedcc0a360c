"""Dated bytes, and trees of them: the state of an archive at one instant.

The simulated services serve nothing but `Content` found in a `Tree`. Neither depends on HTTP or on a service.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol

_PIECE = 64 * 1024


def epoch(stamp: str) -> int:
    """Return the seconds of `20240601T000000Z`."""
    return int(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())


def stamp(seconds: int) -> str:
    """Return the snapshot id of an instant."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


@dataclass(frozen=True)
class Content:
    """Immutable bytes, in memory or in a file, and the time when the archive first contained them (seconds)."""

    source: bytes | Path
    modified: int = 0

    @cached_property
    def size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    @cached_property
    def digests(self) -> dict[str, str]:
        """The lower-case hex digests by algorithm: md5, sha1, sha256."""
        hashes = {name: hashlib.new(name, usedforsecurity=False) for name in ("md5", "sha1", "sha256")}
        for piece in self.pieces(0, self.size):
            for each in hashes.values():
                each.update(piece)
        return {name: each.hexdigest() for name, each in hashes.items()}

    @property
    def sha1(self) -> str:
        return self.digests["sha1"]

    @property
    def sha256(self) -> str:
        return self.digests["sha256"]

    @property
    def data(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop`."""
        if isinstance(self.source, bytes):
            yield from (self.source[at : min(at + _PIECE, stop)] for at in range(start, stop, _PIECE))
            return
        with self.source.open("rb") as file:
            file.seek(start)
            while start < stop and (piece := file.read(min(_PIECE, stop - start))):
                start += len(piece)
                yield piece


@dataclass(frozen=True)
class Package:
    """A binary or source package: its control stanza as the index carries it, and its files by path in the archive."""

    stanza: str
    files: Mapping[str, Content]

    @cached_property
    def fields(self) -> dict[str, str]:
        """The stanza's fields; continuation lines stay joined by newlines."""
        return parse_stanza(self.stanza)

    @property
    def name(self) -> str:
        return self.fields["Package"]

    @property
    def version(self) -> str:
        return self.fields["Version"]

    @property
    def architecture(self) -> str:
        return self.fields["Architecture"]

    @property
    def is_source(self) -> bool:
        return "Directory" in self.fields

    @property
    def path(self) -> str:
        """The pool path of a binary package."""
        return self.fields["Filename"]

    @property
    def source(self) -> tuple[str, str]:
        """The (name, version) of the source package it was built from."""
        name, _, version = self.fields.get("Source", self.name).partition(" ")
        return name, version.strip("()") or self.version


def parse_stanza(text: str) -> dict[str, str]:
    """Read one deb822 stanza."""
    fields: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if line[:1] in " \t":
            fields[last] += "\n" + line
        else:
            last, _, value = line.partition(":")
            fields[last] = value.strip()
    return fields


class Tree(Protocol):
    """The state of an archive at one instant. Paths are relative to the archive, without a leading slash."""

    @property
    def packages(self) -> tuple[Package, ...]: ...

    def get(self, path: str) -> Content | None: ...

    def paths(self) -> Iterator[str]:
        """Every path that is known without a request."""


@dataclass(frozen=True)
class FixedTree:
    """A tree whose paths are all known."""

    files: Mapping[str, Content]
    packages: tuple[Package, ...] = field(default=())

    def get(self, path: str) -> Content | None:
        return self.files.get(path)

    def paths(self) -> Iterator[str]:
        return iter(self.files)

    def replacing(self, path: str, content: Content) -> FixedTree:
        """Return this tree with one file replaced: a test's way to make an archive serve wrong bytes."""
        return FixedTree({**self.files, path: content}, self.packages)


class Timeline:
    """The dumps of one archive, by ascending snapshot id."""

    def __init__(self) -> None:
        self._dumps: dict[str, Tree] = {}
        self._order: list[str] = []

    def publish(self, when: str, tree: Tree) -> None:
        """Add (or replace) the dump taken at the snapshot id `when`."""
        if when not in self._dumps:
            bisect.insort(self._order, when)
        self._dumps[when] = tree

    def withdraw(self, when: str) -> None:
        """Remove a dump."""
        self._order.remove(when)
        del self._dumps[when]

    @property
    def ids(self) -> list[str]:
        return list(self._order)

    def at(self, when: str) -> tuple[str, Tree] | None:
        """Return the nearest earlier dump (the last one for every later time), None before the first."""
        index = bisect.bisect_right(self._order, when)
        return (self._order[index - 1], self._dumps[self._order[index - 1]]) if index else None

    @property
    def newest(self) -> Tree:
        return self._dumps[self._order[-1]]

    def states(self) -> Iterator[tuple[str, Tree]]:
        """Yield (snapshot id, tree), oldest first, leaving out dumps of an unchanged state."""
        last: Tree | None = None
        for when in self._order:
            if self._dumps[when] is not last:
                last = self._dumps[when]
                yield when, last
