"""The paths of a record's files in the caches of package managers. `image` makes an image of them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator

from snapproxy.capture.contents import PlacedFile
from snapproxy.core.client_cache import ClientRepository, ClientSettings, RepositoryCache
from snapproxy.core.model import Role
from snapproxy.core.record import Record, RecordEntry
from snapproxy.errors import ClientError, RecordError
from snapproxy.families import CLIENT_CACHES, FAMILIES, LIST_CACHES, REPOSITORY_CACHES
from snapproxy.jobs.pack import read_stored
from snapproxy_storage import Blobs

Base = tuple[str, str]
"""A repository of a record: its archive, and its folder there."""


def check_settings(record: Record, settings: ClientSettings | None) -> None:
    """Check that the client's settings are present if, and only if, its cache needs them.

    Raises RecordError for a record without packages, and for missing settings; ClientError for needless ones.
    """
    families = {record.families[entry.archive] for entry in packages_of(record)}
    if not families:
        raise RecordError("The record contains no package", why="An image of a client's cache would be empty.")
    configured = sorted(families & REPOSITORY_CACHES.keys())
    if configured and settings is None:
        raise RecordError(
            "The client's repositories are not known",
            why=f"The names in its cache ({configured[0]}) are derived from ids and addresses in its settings, "
            "which a record does not contain.",
            hint=f"Add: {REPOSITORY_CACHES[configured[0]].hint}",
        )
    if not configured and not families & LIST_CACHES.keys() and settings is not None:
        raise ClientError(
            "No package is for a client with repository files",
            why=f"The packages are for: {', '.join(sorted(families))}.",
        )


async def cache_files(record: Record, blobs: Blobs, settings: ClientSettings | None) -> tuple[PlacedFile, ...]:
    """Return the files of the caches, sorted by path.

    Raises RecordError if two files have the same name, and if the client's repositories are not those of the record;
    ConfigurationError for invalid settings; StorageError and ArchiveDataError if an index cannot be read.
    """
    found: dict[str, PlacedFile] = {}
    members = [member async for member in _by_name(record, blobs)]
    for family in sorted(REPOSITORY_CACHES.keys() & set(record.families.values())):
        if settings is not None:
            members += _by_repository(record, family, settings)
    for family in sorted(LIST_CACHES.keys() & set(record.families.values())):
        if settings is not None:
            members += _lists(record, family, settings)
    for member in members:
        if found.setdefault(member.path, member).sha256 != member.sha256:
            raise RecordError(
                "Two files have the same name in the client's cache",
                why=f"{member.path} would be sha256 {member.sha256} and {found[member.path].sha256}.",
                hint="Record the packages of each image in a separate capture.",
            )
    return tuple(found[path] for path in sorted(found))


def packages_of(record: Record) -> Iterator[RecordEntry]:
    """Yield the packages of a record."""
    for entry in record.entries:
        if entry.role is Role.PACKAGE and not entry.is_absence and not entry.is_service:
            yield entry


async def _by_name(record: Record, blobs: Blobs) -> AsyncIterator[PlacedFile]:
    """Yield the packages of clients with a single cache folder, by the names in an index."""
    names: dict[tuple[str, str], str] = {}
    for entry in record.entries:
        if record.families[entry.archive] in CLIENT_CACHES and _has_packages(record, entry):
            names |= {(entry.archive, name): cached for name, cached in await _cached_names(record, entry, blobs)}
    for entry in packages_of(record):
        family, file = record.families[entry.archive], entry.path.rsplit("/", 1)[-1]
        if family in CLIENT_CACHES:
            cached = names.get((entry.archive, entry.path)) or names.get((entry.archive, file)) or file
            yield PlacedFile(f"{CLIENT_CACHES[family].folder}/{cached}", entry.size, entry.sha256)


def _has_packages(record: Record, entry: RecordEntry) -> bool:
    return not entry.is_absence and FAMILIES[record.families[entry.archive]].classify(entry.path).lists_files


async def _cached_names(record: Record, entry: RecordEntry, blobs: Blobs) -> list[tuple[str, str]]:
    """Return (name, name in the cache) of an index's packages. Uses a thread, because it may list 70,000 packages."""
    data = await read_stored(blobs, entry.sha256, entry.size)
    cache = CLIENT_CACHES[record.families[entry.archive]]
    return await asyncio.to_thread(lambda: list(cache.names(entry.path, [data])))


def _by_repository(record: Record, family: str, settings: ClientSettings) -> Iterator[PlacedFile]:
    """Yield the files of clients with a cache folder for each repository: metadata and packages."""
    cache = REPOSITORY_CACHES[family]
    entries = [e for e in record.entries if record.families[e.archive] == family and not (e.is_absence or e.is_service)]
    files_of = _files_by_repository(cache, entries)
    chosen: dict[Base, list[ClientRepository]] = {}
    for repository in cache.repositories(settings):
        base = _match(repository, files_of)
        if not any(_lists_packages(family, entry) for entry in files_of[base]):
            raise _incomplete(f"the list of packages of {_base_text(base)}")
        chosen.setdefault(base, []).append(repository)
        for path, data in repository.made.items():
            yield PlacedFile(f"{repository.folder}/{path}", len(data), hashlib.sha256(data).hexdigest(), data)
    for base, files in files_of.items():
        if base not in chosen and any(entry.role is Role.PACKAGE for entry in files):
            raise RecordError(
                "A repository of the capture is not in the client's settings",
                why=f"Packages were fetched from {_base_text(base)}, but no enabled repository has a baseurl for it.",
                hint="Add the file that configures it: --repo-file FILE",
            )
        for entry in files:
            place = cache.place(entry.path[len(base[1]) :].lstrip("/"))
            for repository in chosen.get(base, []) if place else []:
                yield PlacedFile(f"{repository.folder}{repository.joint}{place}", entry.size, entry.sha256)


def _lists(record: Record, family: str, settings: ClientSettings) -> Iterator[PlacedFile]:
    """Yield the roots, signatures and indexes of the client's repositories, for a client that names them apart."""
    cache = LIST_CACHES[family]
    entries = [e for e in record.entries if record.families[e.archive] == family and not (e.is_absence or e.is_service)]
    bases = {(e.archive, base) for e in entries if e.role is Role.ROOT and (base := cache.base(e.path)) is not None}
    for repository in cache.repositories(settings):
        archive, folder = _match(repository, bases)
        start = f"{folder}/" if folder else ""
        for entry in entries:
            if entry.archive == archive and entry.path.startswith(start) and entry.role is not Role.PACKAGE:
                place = cache.place(entry.path.removeprefix(start))
                yield PlacedFile(f"{repository.folder}{repository.joint}{place}", entry.size, entry.sha256)


def _files_by_repository(cache: RepositoryCache, entries: Iterable[RecordEntry]) -> dict[Base, list[RecordEntry]]:
    """Return the files of each repository in a record: those below the folder of a root."""
    entries = list(entries)
    roots = ((entry.archive, cache.base(entry.path)) for entry in entries if entry.role is Role.ROOT)
    files_of: dict[Base, list[RecordEntry]] = {(archive, base): [] for archive, base in roots if base is not None}
    for entry in entries:
        folders = entry.path.split("/")[:-1]
        around = ((entry.archive, "/".join(folders[:depth])) for depth in range(len(folders), -1, -1))
        base = next((each for each in around if each in files_of), None)
        if base is not None:
            files_of[base].append(entry)
        elif entry.role is Role.PACKAGE:
            raise _incomplete(f"the root of the repository with {entry.archive}/{entry.path}")
    return files_of


def _match(repository: ClientRepository, bases: Iterable[Base]) -> Base:
    """Return the repository of a record for a client's address, which ends with the folder of the repository."""
    fitting = [base for base in bases if not base[1] or f"/{repository.base}".endswith(f"/{base[1]}")]
    longest = max((len(folder) for _, folder in fitting), default=0)
    found = [base for base in fitting if len(base[1]) == longest]
    if len(found) > 1:  # an address of snapproxy contains the name of the archive
        found = [base for base in found if base[0] in repository.base.split("/")]
    if len(found) != 1:
        raise RecordError(
            f"The repository {repository.id} is not in the capture"[:80],
            why=f"The path of its baseurl is /{repository.base}; "
            f"the capture has: {', '.join(map(_base_text, sorted(bases)))}.",
            hint="Disable it in the file if the build does not need it, or record a build that refreshes it.",
        )
    return found[0]


def _lists_packages(family: str, entry: RecordEntry) -> bool:
    place = FAMILIES[family].classify(entry.path)
    return place.role is Role.INDEX and place.lists_files


def _incomplete(what: str) -> RecordError:
    return RecordError(
        "The capture lacks metadata that the client had already",
        why=f"Missing: {what}. The packages in the image cannot be installed without it.",
        hint="Record the build with an empty cache.",
    )


def _base_text(base: Base) -> str:
    return "/".join(filter(None, base))
