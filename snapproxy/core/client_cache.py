"""Layout of a package manager's own package cache: the folder, and the name of each package in it.

Some clients have one folder for all packages (`ClientCache`), some have one for each configured repository
(`RepositoryCache`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class ClientCache(Protocol):
    """The cache of a client with one folder. Its methods do no I/O.

    It exists for each family whose cache can be laid out from an archive's indexes alone.
    """

    folder: str
    """The folder of the packages, without a leading or trailing slash."""

    def names(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        """Read the index at `path`, and yield (name in the archive, name in the cache) of packages whose names differ.

        The first is a path within the archive, or a file name if the index has no path. Yields nothing for a file that
        is not an index of packages. Raises the same errors as `core.model.Family.read_index`.
        """


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The configuration of a client.

    `files`: texts by file name. `variables`: values of the variables in them. `keys`: the public keys that the client
    trusts.
    """

    files: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    keys: bytes = b""


@dataclass(frozen=True, slots=True)
class ClientRepository:
    """A repository in a client's configuration.

    `id`: the client's name for it. `folder`: its cache in the image; `base`: the path of its address; both without a
    leading or trailing slash. `made`: files that the client itself creates in the folder and requires there; contents
    by path. `joint` is between the folder and the name of a file: some clients have no folders, but names that begin
    alike.
    """

    id: str
    folder: str
    base: str
    made: Mapping[str, bytes] = field(default_factory=dict)
    joint: str = "/"


class RepositoryCache(Protocol):
    """The cache of a client with one folder for each repository, named after the client's settings. It does no I/O."""

    hint: str
    """The option to add to the command if the settings are missing."""

    def repositories(self, settings: ClientSettings) -> tuple[ClientRepository, ...]:
        """Return the repositories that are enabled in a client's settings.

        Raises ConfigurationError for settings that cannot be read or laid out, a variable without a value, and a
        repeated id.
        """

    def base(self, root: str) -> str | None:
        """Return the folder of the repository with its root at the path `root`, without a trailing slash.

        None if `root` is not the root of a repository.
        """

    def place(self, path: str) -> str | None:
        """Return the path in the repository's cache of the file at `path` within its repository.

        None for a file that the cache does not keep.
        """
