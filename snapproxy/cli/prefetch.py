"""Fetch packages into a capture: by name with their dependencies, from lists, or a slice of an archive."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import datetime

from rich.filesize import decimal

from snapproxy.cli import closures, prefetch_report
from snapproxy.cli.application import App, build
from snapproxy.cli.execution import RefusedError, result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.prefetch_lists import select_lists
from snapproxy.cli.prefetch_report import Prefetched, Selected
from snapproxy.cli.prefetch_request import ClosureArguments, ListArguments, SliceArguments, read_arguments
from snapproxy.cli.progress import reporting, reporting_line
from snapproxy.cli.tables import format_table
from snapproxy.cli.unknown_names import explained
from snapproxy.config import Config
from snapproxy.core.model import Refusal
from snapproxy.core.progress import Progress
from snapproxy.families import FAMILIES
from snapproxy.formats.package_lists.known import FORMATS
from snapproxy.prefetch import from_lock
from snapproxy.prefetch.estimate import PlannedFile, planned
from snapproxy.prefetch.fetch_files import FileFetcher
from snapproxy.prefetch.model import WantedFile
from snapproxy.prefetch.slice import SliceReader
from snapproxy.prefetch.stored_files import StoredFiles
from snapproxy.prefetch.watch import FetchWatch
from snapproxy.solvers.model import UnknownPackagesError

_LOCK = (from_lock.FORMAT, "a lock of snapproxy")


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    if arguments.list_formats:
        _print_formats(is_json=arguments.json)
        return 0
    found = result_of(arguments, _prefetch)
    if arguments.json:
        print_json(prefetch_report.as_json(found, arguments.capture))
    else:
        prefetch_report.show(found, arguments.capture)
    return 1 if found.missing or found.selected.unresolved else 0


def _print_formats(*, is_json: bool) -> None:
    formats = [_LOCK, *((each.name, each.description) for each in FORMATS)]
    if is_json:
        print_json({"formats": [{"name": name, "description": description} for name, description in formats]})
    else:
        print(format_table(formats), end="")


async def _prefetch(config: Config, arguments: argparse.Namespace) -> Prefetched | Refusal:
    capture = "" if arguments.dry_run else arguments.capture
    async with build(config) as app:
        async with reporting((), what="prefetch: indexes") as progress:
            selected = await _select(app, arguments, capture, progress)
        watch = FetchWatch(
            await _planned(app, selected),
            limits=app.limiter,
            requests=lambda: app.tally.upstream_requests,
            clock=app.clock,
        )
        estimate = watch.estimate()
        if arguments.dry_run:
            return Prefetched(selected, estimate)
        fetcher = FileFetcher(app.answerer, families=FAMILIES, clock=app.clock, capture=capture)
        async with reporting_line(lambda: _line(watch), lambda: _count(watch), what="prefetch"):
            outcomes = await fetcher.fetch(selected.files, watch.state)
    return Prefetched(selected, estimate, outcomes)


def _line(watch: FetchWatch) -> str:
    return watch.line(size=_size, hour=_hour)


def _count(watch: FetchWatch) -> tuple[int, int]:
    return watch.state.done, watch.state.files


def _size(count: float) -> str:
    return decimal(round(count))


def _hour(instant: float) -> str:
    """Return the local time of day, with the date if it is another day."""
    when, today = datetime.fromtimestamp(instant).astimezone(), datetime.now().astimezone().date()
    return when.strftime("%H:%M" if when.date() == today else "%Y-%m-%d %H:%M")


async def _planned(app: App, selected: Selected) -> Mapping[WantedFile, PlannedFile]:
    """Return for each file which upstreams may be asked for it, and whether it is stored."""
    stored = StoredFiles(app.names, app.store.blobs)
    snapshots: dict[tuple[str, str], str] = {}
    plans = {}
    for file in selected.files:
        key = file.archive.name, file.when.text
        if key not in snapshots:
            resolved = await app.snapshot(file.archive, file.when)
            snapshots[key] = "" if isinstance(resolved, Refusal) else resolved.snapshot
        history, family = app.context(file.archive).history, FAMILIES[file.archive.family]
        size = stored.size(file, history, snapshots[key])
        plans[file] = planned(
            file, family, history, size=file.size if size is None else size, is_stored=size is not None
        )
    return plans


async def _select(app: App, arguments: argparse.Namespace, capture: str, progress: Progress) -> Selected:
    request = read_arguments(arguments, app.archives)
    if isinstance(request, SliceArguments):
        return await _slice(app, request, capture, progress)
    if isinstance(request, ListArguments):
        found = await select_lists(app, request, capture, progress)
        return Selected(found.files, found.notes, entries=found.entries, times=found.times)
    return await _closure(app, request, capture, progress)


async def _slice(app: App, request: SliceArguments, capture: str, progress: Progress) -> Selected:
    files: list[WantedFile] = []
    for selection in request.selections:
        reader = SliceReader(selection.archive, app.answerer, app.tables, app.listings, progress, capture)
        for each in selection.slices():
            found = await reader.read(request.when, each)
            if isinstance(found, Refusal):
                raise RefusedError(found)
            files += [*found.indexes, *found.packages]
    return Selected(tuple(dict.fromkeys(files)))


async def _closure(app: App, request: ClosureArguments, capture: str, progress: Progress) -> Selected:
    try:
        closure = await closures.solve(app, request, capture)
    except UnknownPackagesError as error:
        raise await explained(app, request, error, progress) from error
    files = list(closures.wanted_files(closure, request))
    for selection in request.selections:
        reader = SliceReader(selection.archive, app.answerer, app.tables, app.listings, progress, capture)
        for each in selection.slices():
            found = await reader.indexes(request.when, each)
            if isinstance(found, Refusal):
                raise RefusedError(found)
            files += found
    return Selected(tuple(dict.fromkeys(files)), closure.notes, closure.solver)
