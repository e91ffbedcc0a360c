"""Prefetch the lists of a reproduction, choose the one time of its runs, and compare the lists with the requests."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from snapproxy.cli.application import App, build
from snapproxy.cli.list_files import read_source
from snapproxy.cli.prefetch_files import fetch_selected
from snapproxy.cli.prefetch_lists import select_lists
from snapproxy.cli.prefetch_report import Prefetched, Selected
from snapproxy.cli.prefetch_request import ListArguments
from snapproxy.cli.progress import reporting
from snapproxy.cli.selection import words
from snapproxy.config import Config
from snapproxy.core.model import Role, TimeSpec
from snapproxy.core.progress import Progress
from snapproxy.core.record import Record
from snapproxy.errors import ConfigurationError
from snapproxy.families import FAMILIES
from snapproxy.prefetch.archive_reader import instant_of
from snapproxy.prefetch.fetch_files import PrefetchedFile
from snapproxy.prefetch.one_time import likely_time, the_one_time

MOST_NAMED = 10
"""Maximum number of packages or times that one message names."""


@dataclass(frozen=True, slots=True)
class PreparedLists:
    """The prefetched lists, and the time of the runs: None if the lists are incomplete and nothing may run."""

    prefetched: Prefetched
    time: TimeSpec | None


@dataclass(frozen=True, slots=True)
class ListComparison:
    """The differences between the packages of the lists and the requested ones, as rows of archive and path."""

    not_requested: tuple[tuple[str, str], ...]
    not_listed: tuple[tuple[str, str], ...]

    def lines(self) -> Iterator[str]:
        """Yield a sentence for each kind of difference, with the first names."""
        for rows, what in (
            (self.not_requested, "packages of the list that were not requested"),
            (self.not_listed, "requested packages that are not in the list"),
        ):
            if rows:
                names = ", ".join(path.rpartition("/")[2] for _, path in rows[:MOST_NAMED])
                more = f" and {len(rows) - MOST_NAMED} more; --json prints all" if len(rows) > MOST_NAMED else ""
                yield f"{what} ({len(rows)}): {names}{more}"


async def prepare(config: Config, arguments: argparse.Namespace) -> PreparedLists:
    """Fetch the files and the indexes of the lists into the store.

    Nothing is fetched if an entry is not found. Raises ConfigurationError if the lists need more than one time and the
    user names none, ClientError if the user's time has no instant.
    """
    if arguments.time is not None:
        instant_of(arguments.time)
    async with build(config) as app:
        async with reporting((), what="reproduce: indexes") as progress:
            selected = await _select(app, arguments, progress)
        if selected.unresolved:
            return PreparedLists(await fetch_selected(app, selected, "", dry_run=True), None)
        time = arguments.time or _time_of(selected)
        prefetched = await fetch_selected(app, selected, "")
        return PreparedLists(prefetched, time if prefetched.is_complete else None)


async def _select(app: App, arguments: argparse.Namespace, progress: Progress) -> Selected:
    """Select the files of the lists, all at one time if possible.

    The times of two archives or lists are chosen independently, so the lists are resolved again at the time that most
    probably has everything. If it does not, the first selection is returned.
    """
    read = functools.cache(read_source)  # stdin can be read once

    async def select(time: TimeSpec | None) -> Selected:
        archives = tuple(app.archive(name) for name in words(arguments.archive))
        suites = words((*arguments.suite, *arguments.repo))
        request = ListArguments(tuple(arguments.lists), archives, time, suites)
        found = await select_lists(app, request, "", progress, read)
        return Selected(found.files, found.notes, entries=found.entries, times=found.times)

    selected = await select(arguments.time)
    if arguments.time is not None or selected.unresolved or _one_time(selected):
        return selected
    likely = likely_time(selected.entries, [when for _, when in selected.times])
    if likely is None:
        return selected
    again = await select(likely)
    return again if not again.unresolved and _one_time(again) else selected


def _one_time(selected: Selected) -> TimeSpec | None:
    return the_one_time(when for _, when in selected.times)


def _time_of(selected: Selected) -> TimeSpec:
    """Return the one time of a selection. Raises ConfigurationError if there is none, or several."""
    time = _one_time(selected)
    if time is not None:
        return time
    times = [f"{archive} at {when.text}" for archive, when in selected.times if not when.verbatim]
    if not times:
        raise ConfigurationError("The list names no time", why="It has no file of a snapshot.", hint="Add --at TIME.")
    more = f", and {len(times) - MOST_NAMED} more" if len(times) > MOST_NAMED else ""
    raise ConfigurationError(
        "No single instant has every package of the list, and a run has one time",
        why=f"Its packages are those of {', '.join(times[:MOST_NAMED])}{more}.",
        hint="Choose a time with --at TIME. Packages of other times are then reported as not requested.",
    )


def compare_packages(prefetched: Prefetched, requested: Record) -> ListComparison:
    """Compare the packages of the lists with the requested ones, by SHA-256: a package may have several paths."""
    listed = {
        outcome.sha256: (file.archive.name, file.path)
        for file, outcome in prefetched.outcomes.items()
        if isinstance(outcome, PrefetchedFile)
        and FAMILIES[file.archive.family].classify(file.path).role is Role.PACKAGE
    }
    used = {
        each.sha256: (each.archive, each.path)
        for each in requested.entries
        if each.role is Role.PACKAGE and not each.is_absence
    }
    return ListComparison(
        _sorted([row for sha256, row in listed.items() if sha256 not in used]),
        _sorted([row for sha256, row in used.items() if sha256 not in listed]),
    )


def _sorted(rows: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(rows))
