"""How a package manager's own cache of packages is laid out: a folder, and the name that each package has in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol


class Cacher(Protocol):
    """A client's cache. Pure; one a family whose cache can be laid out by what an archive says, beside its promises."""

    folder: str
    """Where packages lie, without a slash before and behind."""

    def names(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        """Read the index at `path`, and yield where a package is called otherwise in the cache than in the archive: how, and how there.

        The first is a path within the archive, or a file's name where the index tells no more. Nothing for what is no index of packages.
        Raises ArchiveDataError as `core.model.Family.promises` does.
        """
