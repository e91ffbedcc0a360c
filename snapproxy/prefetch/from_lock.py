"""The files of a lock or of another record, as they were requested when it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snapproxy.capture.lock_reader import decode
from snapproxy.core.model import Archive
from snapproxy.core.record import Record
from snapproxy.core.time_spec import parse_time
from snapproxy.formats.strict_json import parse
from snapproxy.prefetch.model import WantedFile

FORMAT = "snapproxy-lock"
"""The name of the format among those of lists."""

_MEMBERS = {"absences", "archives", "files", "schema"}


@dataclass(frozen=True, slots=True)
class RecordedFiles:
    """The files of a record. `unknown` are the archives in it that are not configured; their files are left out."""

    files: tuple[WantedFile, ...]
    unknown: tuple[str, ...]


def read_lock(data: bytes) -> Record | None:
    """Return the record of a lock, None for any other data. Raises RecordError for a damaged one."""
    try:
        top = parse(data)
    except ValueError:
        return None
    return decode(data) if isinstance(top, dict) and top.keys() >= _MEMBERS else None


def recorded_files(record: Record, archives: Mapping[str, Archive]) -> RecordedFiles:
    """Return the files of a record, each at the time at which it was requested.

    An absence is a file that may be absent: requesting it again records it. Answers of an archive's own service are
    left out, because they do not belong to a snapshot.
    """
    known = [each for each in record.entries if each.archive in archives and not each.is_service]
    files = tuple(
        WantedFile(
            archives[each.archive],
            parse_time(each.requested),
            each.path,
            f"sha256:{each.sha256}" if each.sha256 else "",
            None if each.is_absence else each.size,
            may_be_absent=each.is_absence,
        )
        for each in known
    )
    unknown = sorted({each.archive for each in record.entries} - archives.keys())
    return RecordedFiles(files, tuple(unknown))
