"""A list of packages as its reader returns it: entries, times, notes.

The readers add nothing to the content of the list. `snapproxy.prefetch` finds the files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from snapproxy.errors import SnapproxyError

LARGEST = 64 * 2**20
"""Maximum size of a list in bytes."""

MOST_ENTRIES = 200_000
"""Maximum number of entries of a list."""


class DigestOf(StrEnum):
    """The bytes that a digest covers. Digests of different bytes are never compared."""

    FILE = "file"
    """The whole package file."""
    CONTROL = "control"
    """The control part of an apk: the `C:` of an index and of the installed database."""
    DATA = "data"
    """The data part of an apk."""
    HEADER = "header"
    """The header of an rpm, as the rpm database has it."""


@dataclass(frozen=True, slots=True)
class ListedDigest:
    """A digest: `algorithm` in lower case (`sha256`), `value` in lower-case hex."""

    algorithm: str
    value: str
    of: DigestOf = DigestOf.FILE


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One package or one file of a list. An empty field is one that the list does not state.

    `family` is the package manager (apt, pacman, apk, rpm), `distribution` the list's own word (`debian`, `wolfi`).
    `name`, `version` and `architecture` are in the family's own terms; an epoch is part of the version
    (`1:2.0-1`). `url` is the address of the file, decoded once. `bases` are addresses of repositories, of which one has
    the file at `path`; without a base `path` is relative to an archive that the list does not name. `size` is that of
    the file in bytes. `suite` is a suite, a release or the name of a repository. `first` and `last` are the instants,
    in seconds, between which the list says that an index had the file. `origin` is the place in the list, for messages:
    `line 12`, `packages[3]`.
    """

    origin: str
    family: str = ""
    name: str = ""
    version: str = ""
    architecture: str = ""
    distribution: str = ""
    suite: str = ""
    url: str = ""
    bases: tuple[str, ...] = ()
    path: str = ""
    digests: tuple[ListedDigest, ...] = ()
    size: int | None = None
    first: int | None = None
    last: int | None = None

    @property
    def label(self) -> str:
        """The entry in a message: name, version and architecture, or the address or path."""
        named = " ".join(word for word in (self.name, self.version, self.architecture) if word)
        return named or self.url or self.path

    def digest_of(self, part: DigestOf) -> tuple[ListedDigest, ...]:
        """Return the digests of that part of the package."""
        return tuple(each for each in self.digests if each.of is part)


@dataclass(frozen=True, slots=True)
class PackageList:
    """A list that was read. `format` is the name of its format.

    `notes` are sentences about the content that is not in the entries: a dropped key, an incomplete download.
    `made` is the instant, in seconds, at which the list says that it was made. `architecture` is that of the system
    that the list describes, if it is stated: an entry without one has this one, or is independent (`all`, `noarch`).
    """

    format: str
    entries: tuple[ListEntry, ...]
    notes: tuple[str, ...] = ()
    made: int | None = None
    architecture: str = ""


class ListFormatError(SnapproxyError):
    """The data is not a valid list of a format.

    `place` is where it breaks the format (`line 3`, `packages[0].name`), `problem` the sentence about it;
    `is_recognised`: the data is of this format,
    so that no other one is tried.
    """

    status = 400

    def __init__(self, place: str, why: str, *, is_recognised: bool = False, hint: str = "") -> None:
        super().__init__("The list cannot be read", why=f"{place}: {why}" if place else why, hint=hint)
        self.place = place
        self.problem = why
        self.is_recognised = is_recognised


@dataclass(frozen=True, slots=True)
class ListFormat:
    """A format: its name, a line of description for `--list-formats`, and its reader.

    `read` takes the whole content and raises ListFormatError, never another error, for content that is not of the
    format. It runs in bounded time and memory.
    """

    name: str
    description: str
    read: Callable[[bytes], PackageList]
