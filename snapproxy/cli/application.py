"""Build the application for a verb, and call the function that does the verb's work.

The only module of the command line that knows where this work is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from snapproxy import wiring
from snapproxy.capture.replay import Replayed
from snapproxy.cli.execution import storage_errors
from snapproxy.config import Config
from snapproxy.core.exchange import Conditions, FileTarget
from snapproxy.core.listing import Selection
from snapproxy.core.model import Instant, Refusal, Resolved, TimeSpec
from snapproxy.core.paths import canonical_path
from snapproxy.core.progress import Progress
from snapproxy.core.time_spec import parse_time
from snapproxy.jobs.archive_diff import ArchiveDiff, Differ
from snapproxy.jobs.fetch import Fetched, fetch_file
from snapproxy.jobs.mark_bad import mark
from snapproxy.jobs.sweep import Observation
from snapproxy.jobs.timeline import TimelineEntry, entries
from snapproxy.wiring import App

__all__ = [
    "App",
    "ArchiveDiff",
    "Fetched",
    "Observation",
    "TimelineEntry",
    "build",
    "diff",
    "fetch",
    "mark_bad",
    "observe",
    "resolve",
    "timeline",
]


def build(
    config: Config,
    *,
    offline: bool = False,
    pinned: str = "",
    passes: tuple[tuple[str, int], ...] = (),
    capture: str = "",
    replayed: Replayed | None = None,
) -> AbstractAsyncContextManager[App]:
    """Build the application, to be entered with `async with`. The parameters are those of `wiring.build`.

    Raises StorageError if the store cannot be opened.
    """
    with storage_errors():
        return wiring.build(config, offline=offline, pinned=pinned, passes=passes, capture=capture, replayed=replayed)


async def resolve(app: App, archive: str, time: str) -> Resolved | Refusal:
    """Return the snapshot that answers for a time. Raises ClientError for an unknown archive or an unreadable time."""
    return await app.resolve(archive, time)


async def fetch(app: App, archive: str, time: str, path: str, target: Path, progress: Progress) -> Fetched | Refusal:
    """Download a file to `target`, whole and verified or not at all. Raises ClientError as `resolve`."""
    requested = FileTarget(app.archive(archive), parse_time(time), canonical_path(path))
    return await fetch_file(app.answerer, requested, target, progress, path)


async def observe(
    app: App, archive: str, paths: Sequence[str], *, with_packages: bool, progress: Progress
) -> Observation | Refusal:
    """Record the roots of an archive as they are now: all or none. Raises ClientError for an unknown archive."""
    return await app.observe(archive, paths, with_packages=with_packages, progress=progress)


async def timeline(app: App, archive: str, start: Instant, end: Instant) -> Sequence[TimelineEntry] | Refusal:
    """Return the snapshots of an archive between two instants. Raises ClientError for an unknown archive."""
    context = app.executor.context(app.archive(archive), Conditions())
    return await entries(context, start, end, app.clock.now(), app.timelines, app.observations)


async def mark_bad(app: App, archive: str, time: TimeSpec, because: str | None) -> Instant | Refusal:
    """Mark the snapshot that answers for a time as bad, or remove the mark (None). Return the snapshot's instant."""
    start = time.instant or app.clock.now()
    existing = await timeline(app, archive, start, start)
    resolved = await app.executor.resolve(app.archive(archive), time)
    context = app.executor.context(app.archive(archive), Conditions())
    return await mark(context, time, existing, resolved, app.bad_snapshots, because)


async def diff(
    app: App, archive: str, before: str, after: str, selection: Selection, progress: Progress
) -> ArchiveDiff | Refusal:
    """Return the packages that differ between two times.

    Raises ClientError as `resolve`, ConfigurationError for a selection that names too little.
    """
    differ = Differ(app.archive(archive), app.executor, app.tables, app.listings, progress)
    return await differ.compare(parse_time(before), parse_time(after), selection)
