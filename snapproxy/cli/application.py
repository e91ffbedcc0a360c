"""Build the application for a verb, and call the function that does the verb's work.

With `times` the only module of the command line that knows where this work is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from snapproxy.answer.selected_indexes import SelectedIndexes
from snapproxy.capture.replay import Replayed
from snapproxy.cli.execution import storage_errors
from snapproxy.config import Config
from snapproxy.core.exchange import FileTarget
from snapproxy.core.listing import Selection
from snapproxy.core.model import Archive, Instant, Refusal
from snapproxy.core.paths import canonical_path
from snapproxy.core.progress import SILENT, Progress
from snapproxy.core.time_spec import parse_time
from snapproxy.jobs import timeline, when
from snapproxy.jobs.archive_diff import ArchiveDiff, Differ
from snapproxy.jobs.fetch import Fetched, fetch_file
from snapproxy.jobs.root_evidence import RootEvidence
from snapproxy.jobs.subject_evidence import SubjectEvidence
from snapproxy.jobs.sweep import Observation
from snapproxy.jobs.used_packages import ChangedPackage, UsedFiles
from snapproxy.jobs.used_packages import changed_packages as changed_between
from snapproxy.web.certificate import TlsListener
from snapproxy.wiring import application
from snapproxy.wiring.application import App
from snapproxy.wiring.service import Service, open_service
from snapproxy.wiring.tls import TlsCertificate

__all__ = [
    "App",
    "ArchiveDiff",
    "ChangedPackage",
    "Fetched",
    "Observation",
    "Service",
    "TlsCertificate",
    "TlsListener",
    "build",
    "changed_packages",
    "diff",
    "fetch",
    "observe",
    "open_service",
    "when_made",
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
    """Build the application, to be entered with `async with`. The parameters are those of `wiring.application.build`.

    Raises StorageError if the store cannot be opened.
    """
    with storage_errors():
        return application.build(
            config, offline=offline, pinned=pinned, passes=passes, capture=capture, replayed=replayed
        )


async def fetch(app: App, archive: str, time: str, path: str, target: Path, progress: Progress) -> Fetched | Refusal:
    """Download a file to `target`, whole and verified or not at all.

    Raises ClientError for an unknown archive or an unreadable time.
    """
    requested = FileTarget(app.archive(archive), parse_time(time), canonical_path(path))
    return await fetch_file(app.answerer, requested, target, progress, path)


async def observe(
    app: App, archive: str, paths: Sequence[str], *, with_packages: bool, progress: Progress
) -> Observation | Refusal:
    """Record the roots of an archive as they are now: all or none. Raises ClientError for an unknown archive."""
    return await app.observe(archive, paths, with_packages=with_packages, progress=progress)


async def diff(
    app: App, archive: str, before: str, after: str, selection: Selection, progress: Progress
) -> ArchiveDiff | Refusal:
    """Return the packages that differ between two times.

    Raises ClientError as `fetch`, ConfigurationError for a selection that names too little.
    """
    differ = Differ(app.archive(archive), app.executor, app.tables, app.listings, progress)
    return await differ.compare(parse_time(before), parse_time(after), selection)


async def when_made(app: App, found: SubjectEvidence, archive: str) -> when.Subject:
    """Compare the packages of a root or an image with its archives' lists, and return the verdict.

    `archive` replaces the archives that its sources name, '' for none. Raises ClientError for an unknown archive.
    """

    async def entries(of: Archive, start: Instant, end: Instant) -> Sequence[timeline.TimelineEntry] | Refusal:
        return await timeline.entries(app.context(of), start, end, app.clock.now(), app.timelines, app.observations)

    def indexes(of: Archive) -> SelectedIndexes:
        return SelectedIndexes(of, app.executor, app.tables, app.listings, SILENT)

    access = when.ProbeAccess(indexes, entries, app.archive(archive) if archive else None)
    root = found.root or RootEvidence()
    return await when.when_made(root, found.name, found.kind, app.book, access, app.clock.now())


async def changed_packages(
    app: App, before: UsedFiles, after: UsedFiles, others: Sequence[UsedFiles]
) -> Sequence[ChangedPackage]:
    """Return the packages that differ between two runs of a command, the used ones first.

    `others` are its other runs. Raises ClientError for an archive that the settings do not have.
    """
    names = {*before.archives, *after.archives}
    families = {name: app.archive(name).family for name in names}
    return await changed_between(before, after, others, families, app.listings)
