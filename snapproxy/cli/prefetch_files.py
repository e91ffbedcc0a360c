"""Fetch the selected files of a prefetch, with an estimate before the start and a progress line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime

from rich.filesize import decimal

from snapproxy.cli.application import App
from snapproxy.cli.prefetch_report import Prefetched, Selected
from snapproxy.cli.progress import reporting_line
from snapproxy.core.model import Refusal
from snapproxy.families import FAMILIES
from snapproxy.prefetch.estimate import PlannedFile, planned
from snapproxy.prefetch.fetch_files import FileFetcher
from snapproxy.prefetch.model import WantedFile
from snapproxy.prefetch.progress import estimate_line
from snapproxy.prefetch.stored_files import StoredFiles
from snapproxy.prefetch.watch import FetchWatch


async def fetch_selected(app: App, selected: Selected, capture: str, *, dry_run: bool = False) -> Prefetched:
    """Fetch the files into the store, and into the capture if one is named; a dry run only estimates.

    The estimate is printed on stderr before the download.
    """
    watch = FetchWatch(
        await _planned(app, selected),
        limits=app.limiter,
        requests=lambda: app.tally.upstream_requests,
        clock=app.clock,
    )
    estimate = watch.estimate()
    if dry_run:
        return Prefetched(selected, estimate)
    print(f"prefetch: {estimate_line(estimate, size=_size)}", file=sys.stderr)
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
