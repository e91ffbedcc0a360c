"""Fetch packages into a capture: by name with their dependencies, from lists, or a slice of an archive."""

from __future__ import annotations

import argparse

from snapproxy.cli import closures, prefetch_report
from snapproxy.cli.application import App, build
from snapproxy.cli.execution import RefusedError, result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.prefetch_files import fetch_selected
from snapproxy.cli.prefetch_lists import select_lists
from snapproxy.cli.prefetch_report import Prefetched, Selected
from snapproxy.cli.prefetch_request import ClosureArguments, ListArguments, SliceArguments, read_arguments
from snapproxy.cli.progress import reporting
from snapproxy.cli.tables import format_table
from snapproxy.cli.unknown_names import explained
from snapproxy.config import Config
from snapproxy.core.model import Refusal
from snapproxy.core.progress import Progress
from snapproxy.formats.package_lists.known import FORMATS
from snapproxy.prefetch import from_lock
from snapproxy.prefetch.model import WantedFile
from snapproxy.prefetch.slice import SliceReader
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
    return 0 if found.is_complete else 1


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
        return await fetch_selected(app, selected, capture, dry_run=arguments.dry_run)


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
