"""Select the files of lists: read each list, resolve its entries, and add the indexes that list the packages."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from snapproxy.cli.application import App
from snapproxy.cli.execution import RefusedError
from snapproxy.cli.list_files import read_source
from snapproxy.cli.prefetch_request import ListArguments
from snapproxy.core.model import Refusal, Role, TimeSpec
from snapproxy.core.progress import Progress
from snapproxy.families import FAMILIES
from snapproxy.formats.package_lists.known import read_list
from snapproxy.formats.package_lists.model import ListEntry, ListFormatError
from snapproxy.prefetch import from_lock
from snapproxy.prefetch.archive_choice import selections_of
from snapproxy.prefetch.entry_plan import ResolveOptions
from snapproxy.prefetch.list_indexes import ListedFiles, indexes_of
from snapproxy.prefetch.model import Resolution, ResolvedEntry, WantedAt, WantedFile
from snapproxy.prefetch.resolve_list import ResolverParts, resolve
from snapproxy.prefetch.slice import SliceReader
from snapproxy_storage import read_blob

LARGEST_ROOT = 16 * 2**20
"""Maximum size of a root that is read for its other names, in bytes."""


@dataclass(frozen=True, slots=True)
class ListSelection:
    """The files of lists, with the outcome of each entry, the times of each archive, and notes for the user."""

    files: tuple[WantedFile, ...]
    entries: tuple[ResolvedEntry, ...]
    times: tuple[tuple[str, TimeSpec], ...]
    notes: tuple[str, ...]


async def select_lists(
    app: App,
    arguments: ListArguments,
    capture: str,
    progress: Progress,
    read: Callable[[str], bytes] = read_source,
) -> ListSelection:
    """Return the files of the lists. The roots and indexes of their packages are recorded in the capture.

    `read` returns the content of a list by its name.
    Raises ListFormatError with the name of the list for one that cannot be read.
    """
    files: list[WantedFile] = []
    entries: list[ResolvedEntry] = []
    times: dict[tuple[str, TimeSpec], None] = {}
    notes: list[str] = []
    for name in arguments.lists:
        found = await _select(app, arguments, name, read(name), capture, progress)
        files += found.files
        entries += found.entries
        times |= dict.fromkeys(found.times)
        notes += [f"{name}: {each}" for each in found.notes]
    return ListSelection(tuple(dict.fromkeys(files)), tuple(entries), tuple(times), tuple(notes))


async def _select(
    app: App, arguments: ListArguments, name: str, data: bytes, capture: str, progress: Progress
) -> ListSelection:
    if (record := from_lock.read_lock(data)) is not None:
        recorded = from_lock.recorded_files(record, app.archives)
        times = dict.fromkeys((each.archive.name, each.when) for each in recorded.files)
        notes = (f"the archive {each} is not configured, so its files are left out" for each in recorded.unknown)
        return ListSelection(recorded.files, (), tuple(times), tuple(notes))
    try:
        listed = read_list(data)
    except ListFormatError as error:
        error.why = f"{name}: {error.why}"
        raise
    options = _options(arguments)
    resolution = await resolve(listed, resolver_parts(app, progress), options)
    return await _with_indexes(app, resolution, [each.entry for each in resolution.entries], options, capture, progress)


def _options(arguments: ListArguments) -> ResolveOptions:
    return ResolveOptions(
        archives=tuple(each.name for each in arguments.archives),
        suites=arguments.suites,
        architectures=arguments.architectures,
        machine=platform.machine(),
        at=() if arguments.when is None else (arguments.when,),
    )


def resolver_parts(app: App, progress: Progress) -> ResolverParts:
    """Return the parts of the application that resolve lists."""
    return ResolverParts(
        book=app.book,
        answerer=app.answerer,
        tables=app.tables,
        listings=app.listings,
        store=app.store,
        clock=app.clock,
        marked=app.bad_snapshots.applied,
        progress=progress,
        services=app.record_services,
    )


async def _with_indexes(
    app: App,
    resolution: Resolution,
    entries: Sequence[ListEntry],
    options: ResolveOptions,
    capture: str,
    progress: Progress,
) -> ListSelection:
    """Add the roots and indexes that list the packages, so that a client's own update works with the files."""
    files, notes = list(resolution.files), list(resolution.notes)
    for group in resolution.wanted:
        packages = _packages(group)
        if not packages or group.when.verbatim:
            continue  # a file outside every snapshot is in no index of a time
        selections = selections_of(group.archive, entries, options.suites, options.architectures)
        listed = ListedFiles(group.archive, group.when, packages, tuple(selections))
        probing, recording = (
            SliceReader(group.archive, app.answerer, app.tables, app.listings, progress, name) for name in ("", capture)
        )

        async def read_root(digest: str) -> bytes | None:
            return await read_blob(app.store.blobs, digest, LARGEST_ROOT)

        found = await indexes_of(listed, probing, recording, read_root)
        if isinstance(found, Refusal):
            raise RefusedError(found)
        files += found.files
        if found.unlisted:
            notes.append(
                f"{group.archive.name} at {group.when.text}: no index that was read lists {len(found.unlisted)} of the "
                f"packages, such as {found.unlisted[0]}; name the suite or the repository with --suite or --repo"
            )
    times = tuple(dict.fromkeys((each.archive.name, each.when) for each in resolution.wanted))
    return ListSelection(tuple(files), resolution.entries, times, tuple(notes))


def _packages(group: WantedAt) -> frozenset[str]:
    family = FAMILIES[group.archive.family]
    return frozenset(each.path for each in group.files if family.classify(each.path).role is Role.PACKAGE)
