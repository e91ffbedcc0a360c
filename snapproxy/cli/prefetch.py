"""Fetch packages into a capture: by name with their dependencies, from lists, or a slice of an archive."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.filesize import decimal

from snapproxy.cli import closures
from snapproxy.cli.application import App, build
from snapproxy.cli.execution import RefusedError, result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.prefetch_lists import select_lists
from snapproxy.cli.prefetch_request import ClosureArguments, ListArguments, SliceArguments, read_arguments
from snapproxy.cli.progress import reporting
from snapproxy.cli.tables import format_table
from snapproxy.config import Config
from snapproxy.core.model import Refusal, TimeSpec
from snapproxy.core.progress import Progress
from snapproxy.core.time_spec import format_instant
from snapproxy.formats.package_lists.known import FORMATS
from snapproxy.prefetch.fetch_files import FetchedFile, FileFetcher, RefusedFile
from snapproxy.prefetch.model import IS_FOUND, Finding, ResolvedEntry, WantedFile
from snapproxy.prefetch.slice import SliceReader

MOST_SHOWN = 50
"""Maximum number of entries of one finding that are printed for people; --json has all."""

_CERTAIN = frozenset({Finding.RESOLVED, Finding.BY_IDENTITY})


@dataclass(frozen=True, slots=True)
class Selected:
    """The files to fetch, the notes for the user, and the solver that computed them ('' for none).

    `entries` are the entries of lists with their outcomes, `times` the chosen times of each archive.
    """

    files: tuple[WantedFile, ...]
    notes: tuple[str, ...] = ()
    solver: str = ""
    entries: tuple[ResolvedEntry, ...] = ()
    times: tuple[tuple[str, TimeSpec], ...] = ()

    @property
    def unresolved(self) -> tuple[ResolvedEntry, ...]:
        """The entries without a file to fetch."""
        return tuple(each for each in self.entries if each.finding not in IS_FOUND)


@dataclass(frozen=True, slots=True)
class Prefetched:
    """The result: the selection, and the outcome of each of its files; none for a dry run."""

    selected: Selected
    outcomes: tuple[FetchedFile | RefusedFile, ...] = ()
    failures: tuple[RefusedFile, ...] = field(default=())


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    if arguments.list_formats:
        print(format_table([(each.name, each.description) for each in FORMATS]), end="")
        return 0
    found = result_of(arguments, _prefetch)
    if arguments.json:
        print_json(as_json(found))
    else:
        for line in lines(found, arguments.capture):
            print(line)
    for each in found.failures:
        reasons = (each.refusal.reason, each.refusal.why, each.refusal.hint)
        print(f"snapproxy: {each.wanted.path}: {each.refusal.status}", *(f"  {text}" for text in reasons if text),
              sep="\n", file=sys.stderr)  # fmt: skip
    return 1 if found.failures or found.selected.unresolved else 0


async def _prefetch(config: Config, arguments: argparse.Namespace) -> Prefetched | Refusal:
    capture = "" if arguments.dry_run else arguments.capture
    async with build(config) as app:
        async with reporting((), what="prefetch: indexes") as progress:
            selected = await _select(app, arguments, capture, progress)
        if arguments.dry_run:
            return Prefetched(selected)
        async with reporting([each.path for each in selected.files], what="prefetch") as progress:
            outcomes = await FileFetcher(app.answerer, app.clock, progress, capture).fetch(selected.files)
    failures = [each for each in outcomes if isinstance(each, RefusedFile) and each.is_failure]
    return Prefetched(selected, tuple(outcomes), tuple(failures))


async def _select(app: App, arguments: argparse.Namespace, capture: str, progress: Progress) -> Selected:
    request = read_arguments(arguments, app.archives)
    if isinstance(request, SliceArguments):
        return await _slice(app, request, capture, progress)
    if isinstance(request, ListArguments):
        return await _lists(app, request, capture, progress)
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


async def _lists(app: App, request: ListArguments, capture: str, progress: Progress) -> Selected:
    found = await select_lists(app, request, capture, progress)
    return Selected(found.files, found.notes, entries=found.entries, times=found.times)


async def _closure(app: App, request: ClosureArguments, capture: str, progress: Progress) -> Selected:
    closure = await closures.solve(app, request, capture)
    files = list(closures.wanted_files(closure, request))
    for selection in request.selections:
        reader = SliceReader(selection.archive, app.answerer, app.tables, app.listings, progress, capture)
        for each in selection.slices():
            found = await reader.indexes(request.when, each)
            if isinstance(found, Refusal):
                raise RefusedError(found)
            files += found
    return Selected(tuple(dict.fromkeys(files)), closure.notes, closure.solver)


def lines(found: Prefetched, capture: str) -> list[str]:
    """Return the result for people."""
    selected = found.selected
    files, size = len(found.selected.files), sum(each.size or 0 for each in found.selected.files)
    notes = [*_entry_lines(selected), *_time_lines(selected), *(f"note: {each}" for each in selected.notes)]
    if not found.outcomes:
        return [*notes, f"{files} files, {decimal(size)}"]
    fetched = [each for each in found.outcomes if isinstance(each, FetchedFile)]
    stored = sum(each.cache == "HIT" for each in fetched)
    proofs = Counter(each.proof.word for each in fetched)
    verified = ", ".join(f"{count} {word}" for word, count in sorted(proofs.items()))
    line = (
        f"{len(fetched)} files, {decimal(sum(each.size for each in fetched))}: {stored} from the store, "
        f"{len(fetched) - stored} from upstream; verified: {verified or 'none'}"
    )
    into = [f"recorded in the capture {capture}"] if capture else []
    return [*notes, line, *into]


def _entry_lines(selected: Selected) -> Iterator[str]:
    """Yield each entry of a list that is not simply resolved, by finding."""
    for finding in Finding:
        entries = [each for each in selected.entries if each.finding is finding]
        if not entries or finding in _CERTAIN:
            continue
        yield f"{finding.value}: {len(entries)}"
        yield from (f"  {each.entry.origin}: {each.entry.label}. {each.why}" for each in entries[:MOST_SHOWN])
        if len(entries) > MOST_SHOWN:
            yield f"  and {len(entries) - MOST_SHOWN} more; --json prints all"


def _time_lines(selected: Selected) -> Iterator[str]:
    """Yield the times of each archive with the number of files."""
    counts = Counter((each.archive.name, each.when) for each in selected.files)
    for archive, when in selected.times:
        yield f"{archive} at {when.text}: {counts[archive, when]} files"


def as_json(found: Prefetched) -> dict[str, Any]:
    """Return the result as JSON."""
    return {
        "files": [_file(each) for each in found.outcomes] or [_wanted(each) for each in found.selected.files],
        "notes": list(found.selected.notes),
        "solver": found.selected.solver,
        "times": [{"archive": archive, "time": when.text} for archive, when in found.selected.times],
        "entries": [_entry(each) for each in found.selected.entries],
    }


def _entry(resolved: ResolvedEntry) -> dict[str, Any]:
    return {
        "origin": resolved.entry.origin,
        "entry": resolved.entry.label,
        "finding": resolved.finding.value,
        "why": resolved.why,
        "candidates": [
            {
                "archive": each.archive.name,
                "path": each.path,
                "digest": each.digest,
                "spans": [[format_instant(first), format_instant(last)] for first, last in each.spans],
            }
            for each in resolved.candidates
        ],
    }


def _wanted(wanted: WantedFile) -> dict[str, Any]:
    return {
        "archive": wanted.archive.name,
        "time": wanted.when.text,
        "path": wanted.path,
        "digest": wanted.digest,
        "size": wanted.size,
    }


def _file(outcome: FetchedFile | RefusedFile) -> dict[str, Any]:
    value = _wanted(outcome.wanted)
    if isinstance(outcome, FetchedFile):
        return value | {
            "state": "ok",
            "size": outcome.size,
            "digest": f"sha256:{outcome.digest}",
            "verified": outcome.proof.word,
            "cache": outcome.cache,
            "snapshot": outcome.snapshot,
        }
    refusal = outcome.refusal
    state = "refused" if outcome.is_failure else "absent"
    return value | {"state": state, "status": refusal.status, "reason": refusal.reason, "why": refusal.why}
