"""Which files of a record lie where in the caches of its clients. What makes an image of them is `image`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator

from snapproxy.capture.contents import PlacedFile
from snapproxy.core.client_cache import ClientRepository, ClientSettings, RepositoryCache
from snapproxy.core.model import Role
from snapproxy.core.record import Record, RecordEntry
from snapproxy.errors import ClientError, RecordError
from snapproxy.families import CACHERS, FAMILIES, REPOSITORY_CACHERS
from snapproxy.jobs.pack import read_stored
from snapproxy_storage import Blobs

Base = tuple[str, str]
"""A repository of a record: its archive, and its folder there."""


def check_settings(record: Record, settings: ClientSettings | None) -> None:
    """Raise RecordError for a record without packages, or one that takes settings and has none; ClientError if it takes none."""
    families = {record.families[entry.archive] for entry in packages_of(record)}
    if not families:
        raise RecordError("The record holds no package", why="An image of a client's cache would be empty.")
    configured = sorted(families & REPOSITORY_CACHERS.keys())
    if configured and settings is None:
        raise RecordError(
            "Which repositories does the client have?",
            why=f"Its cache ({configured[0]}) is called after ids and addresses in its settings, which no record has.",
            hint=f"Add: {REPOSITORY_CACHERS[configured[0]].hint}",
        )
    if not configured and settings is not None:
        raise ClientError(
            "No package here is of a client with repository files", why=f"They are of: {', '.join(sorted(families))}."
        )


async def cache_files(record: Record, blobs: Blobs, settings: ClientSettings | None) -> tuple[PlacedFile, ...]:
    """Return what lies in the caches, sorted by path.

    Raises RecordError where two files would have one name, and where the clients' repositories are not those of the record;
    ConfigurationError for settings that cannot be used; StorageError and ArchiveDataError of an index.
    """
    found: dict[str, PlacedFile] = {}
    members = [member async for member in _by_name(record, blobs)]
    for family in sorted(REPOSITORY_CACHERS.keys() & set(record.families.values())):
        if settings is not None:
            members += _by_repository(record, family, settings)
    for member in members:
        if found.setdefault(member.path, member).sha256 != member.sha256:
            raise RecordError(
                "Two files have one name in the client's cache",
                why=f"{member.path} would be sha256 {member.sha256} and {found[member.path].sha256}.",
                hint="Record what is to go into one image in a capture of its own.",
            )
    return tuple(found[path] for path in sorted(found))


def packages_of(record: Record) -> Iterator[RecordEntry]:
    """Yield the packages of a record."""
    for entry in record.entries:
        if entry.role is Role.PACKAGE and not entry.is_absence and not entry.is_service:
            yield entry


async def _by_name(record: Record, blobs: Blobs) -> AsyncIterator[PlacedFile]:
    """Yield the packages of clients that have one folder, by the names that an index says they have there."""
    called: dict[tuple[str, str], str] = {}
    for entry in record.entries:
        if record.families[entry.archive] in CACHERS and _has_packages(record, entry):
            called |= {(entry.archive, name): cached for name, cached in await _called(record, entry, blobs)}
    for entry in packages_of(record):
        family, file = record.families[entry.archive], entry.path.rsplit("/", 1)[-1]
        if family in CACHERS:
            cached = called.get((entry.archive, entry.path)) or called.get((entry.archive, file)) or file
            yield PlacedFile(f"{CACHERS[family].folder}/{cached}", entry.size, entry.sha256)


def _has_packages(record: Record, entry: RecordEntry) -> bool:
    return not entry.is_absence and FAMILIES[record.families[entry.archive]].classify(entry.path).lists_files


async def _called(record: Record, entry: RecordEntry, blobs: Blobs) -> list[tuple[str, str]]:
    """Read an index, in a thread: it may list seventy thousand packages."""
    data = await read_stored(blobs, entry.sha256, entry.size)
    cacher = CACHERS[record.families[entry.archive]]
    return await asyncio.to_thread(lambda: list(cacher.names(entry.path, [data])))


def _by_repository(record: Record, family: str, settings: ClientSettings) -> Iterator[PlacedFile]:
    """Yield what a client with a folder for each repository keeps there: metadata and packages."""
    cacher = REPOSITORY_CACHERS[family]
    entries = [e for e in record.entries if record.families[e.archive] == family and not (e.is_absence or e.is_service)]
    held = _held(cacher, entries)
    chosen: dict[Base, list[ClientRepository]] = {}
    for repository in cacher.repositories(settings):
        base = _match(repository, held)
        if not any(_lists_packages(family, entry) for entry in held[base]):
            raise _incomplete(f"the list of packages of {_spelt(base)}")
        chosen.setdefault(base, []).append(repository)
        for path, data in repository.made.items():
            yield PlacedFile(f"{repository.folder}/{path}", len(data), hashlib.sha256(data).hexdigest(), data)
    for base, files in held.items():
        if base not in chosen and any(entry.role is Role.PACKAGE for entry in files):
            raise RecordError(
                "None of the client's repositories is one of the capture's",
                why=f"Packages came from {_spelt(base)}, where no baseurl of an enabled repository leads.",
                hint="Give the file that names it, too: --repo-file FILE",
            )
        for entry in files:
            place = cacher.place(entry.path[len(base[1]) :].lstrip("/"))
            for repository in chosen.get(base, []) if place else []:
                yield PlacedFile(f"{repository.folder}/{place}", entry.size, entry.sha256)


def _held(cacher: RepositoryCache, entries: Iterable[RecordEntry]) -> dict[Base, list[RecordEntry]]:
    """Return the files of each repository in a record, which is what lies below the folder of a root."""
    entries = list(entries)
    roots = ((entry.archive, cacher.base(entry.path)) for entry in entries if entry.role is Role.ROOT)
    held: dict[Base, list[RecordEntry]] = {(archive, base): [] for archive, base in roots if base is not None}
    for entry in entries:
        folders = entry.path.split("/")[:-1]
        around = ((entry.archive, "/".join(folders[:depth])) for depth in range(len(folders), -1, -1))
        base = next((each for each in around if each in held), None)
        if base is not None:
            held[base].append(entry)
        elif entry.role is Role.PACKAGE:
            raise _incomplete(f"the root of the repository with {entry.archive}/{entry.path}")
    return held


def _match(repository: ClientRepository, held: Iterable[Base]) -> Base:
    """Return the repository of a record that a client's address leads to: it ends with the folder, whatever stands before it."""
    fitting = [base for base in held if not base[1] or f"/{repository.base}".endswith(f"/{base[1]}")]
    longest = max((len(folder) for _, folder in fitting), default=0)
    found = [base for base in fitting if len(base[1]) == longest]
    if len(found) > 1:  # an address of ours has the archive's name in it
        found = [base for base in found if base[0] in repository.base.split("/")]
    if len(found) != 1:
        raise RecordError(
            f"The repository {repository.id} is not in the capture"[:80],
            why=f"The path of its baseurl is /{repository.base}; the capture has: {', '.join(map(_spelt, sorted(held)))}.",
            hint="Write enabled=0 in its section if the build does without it, or record a build that refreshes it.",
        )
    return found[0]


def _lists_packages(family: str, entry: RecordEntry) -> bool:
    place = FAMILIES[family].classify(entry.path)
    return place.role is Role.INDEX and place.lists_files


def _incomplete(what: str) -> RecordError:
    return RecordError(
        "The capture lacks metadata that the client had already",
        why=f"Missing: {what}. Without it nothing in the image can be installed.",
        hint="Record the build with an empty cache.",
    )


def _spelt(base: Base) -> str:
    return "/".join(filter(None, base))
