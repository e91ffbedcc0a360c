"""Add to the error about unknown packages when they existed, and similar names where the solver gave none."""

from __future__ import annotations

from snapproxy.base.names import Names
from snapproxy.cli.application import App
from snapproxy.cli.prefetch_request import ClosureArguments
from snapproxy.core.progress import Progress
from snapproxy.prefetch.archive_reader import ReaderParts
from snapproxy.prefetch.dated_records import DatedRecords
from snapproxy.prefetch.snapshot_records import SnapshotRecords
from snapproxy.prefetch.unknown_packages import SearchedPart, similar_names, times_of
from snapproxy.solvers.model import UnknownPackagesError


async def explained(
    app: App, arguments: ClosureArguments, error: UnknownPackagesError, progress: Progress
) -> UnknownPackagesError:
    """Return the error with everything that is known about its names. A refusal of an archive is not waited for."""
    parts = ReaderParts(
        answerer=app.answerer,
        tables=app.tables,
        listings=app.listings,
        names=Names(app.store.catalog, app.clock),
        blobs=app.store.blobs,
        progress=progress,
        marked=app.bad_snapshots.applied,
    )
    histories = app.book.histories
    records = (SnapshotRecords(app.answerer, histories), DatedRecords(app.answerer, histories))
    archives = [each.archive for each in arguments.selections]
    architectures = arguments.selections[0].architectures
    searched = [SearchedPart(each.archive, each.slices()) for each in arguments.selections]
    unlike = [name for name in error.names if name not in error.similar]
    near = await similar_names(unlike, searched, arguments.when, parts)
    existed = await times_of(error.names, archives, architectures[0] if architectures else "", parts, records)
    return UnknownPackagesError(error.names, {**near, **error.similar}, existed)
