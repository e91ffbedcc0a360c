"""The dates of the roots in an exported folder.

A server of plain files sends a file's mtime as Last-Modified. Two roots of one name must have different ones: a client
whose address is moved to another time would get a 304, and keep its lists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from snapproxy.core.model import Family, Instant, Role
from snapproxy.core.plan_model import MAX_ROOT
from snapproxy.core.record import Record, RecordEntry
from snapproxy.core.time_spec import looks_like_time, parse_time, read_day
from snapproxy.families import FAMILIES
from snapproxy_storage import Blobs, BodyTooLarge, read_blob


async def root_dates(record: Record, blobs: Blobs) -> Mapping[str, Instant]:
    """Return the mtime of each root in the folder of a record, and of its detached signature, by path.

    It is the date that the root contains, otherwise the instant of its snapshot. If another root of that name has this
    date, it is the next second that none has.
    """
    dates: dict[str, Instant] = {}
    taken: defaultdict[tuple[str, str], dict[Instant, str]] = defaultdict(dict)
    for entry in record.entries:
        if entry.role is not Role.ROOT or entry.is_absence or entry.is_service:
            continue
        family = FAMILIES[record.families[entry.archive]]
        date = await _date(entry, family, blobs)
        if date is None:
            continue
        others = taken[entry.archive, entry.path]
        while others.setdefault(date, entry.sha256) != entry.sha256:
            date += 1
        folder = f"{entry.archive}/{entry.requested}"
        dates[f"{folder}/{entry.path}"] = date
        if signature := family.signature(entry.path):
            dates[f"{folder}/{signature}"] = date
    return dates


async def _date(entry: RecordEntry, family: Family, blobs: Blobs) -> Instant | None:
    try:
        data = await read_blob(blobs, entry.sha256, MAX_ROOT)
    except BodyTooLarge:
        data = None
    own = None if data is None else family.root_date(data)
    if own is not None:
        return own
    return parse_time(entry.snapshot).instant if looks_like_time(entry.snapshot) else read_day(entry.snapshot)
