"""How a package manager's own cache of packages is laid out: a folder, and the name that each package has in it.

Some clients have one folder for all packages (`ClientCache`), some one for each repository that they are configured for (`RepositoryCache`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class ClientCache(Protocol):
    """A client's cache. Pure; one a family whose cache can be laid out by what an archive says, beside its promises."""

    folder: str
    """Where packages lie, without a slash before and behind."""

    def names(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        """Read the index at `path`, and yield where a package is called otherwise in the cache than in the archive: how, and how there.

        The first is a path within the archive, or a file's name where the index tells no more. Nothing for what is no index of packages.
        Raises ArchiveDataError as `core.model.Family.read_index` does.
        """


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How a client is configured: `files`, texts by their names; the values of `variables` in them; the public `keys` it trusts."""

    files: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    keys: bytes = b""


@dataclass(frozen=True, slots=True)
class ClientRepository:
    """A repository as a client is configured for it.

    `id` is the client's name for it, `folder` its cache in the image, without a slash before and behind, `base` the path of its address,
    likewise. `made`: what the client itself would have put into the folder, and cannot go without; contents by path.
    """

    id: str
    folder: str
    base: str
    made: Mapping[str, bytes] = field(default_factory=dict)


class RepositoryCache(Protocol):
    """The cache of a client that has a folder for each repository, called after the client's own settings. Pure."""

    hint: str
    """What to add to the command when the settings are missing."""

    def repositories(self, settings: ClientSettings) -> tuple[ClientRepository, ...]:
        """Return what is enabled in a client's settings.

        Raises ConfigurationError for what cannot be read or laid out, a variable without a value, an id that comes twice.
        """

    def base(self, root: str) -> str | None:
        """Return the folder of the repository whose root is at the path `root`, without a slash behind; None if it is no such root."""

    def place(self, path: str) -> str | None:
        """Return where the file at `path`, within its repository, lies in the repository's cache. None for what is not kept there."""
