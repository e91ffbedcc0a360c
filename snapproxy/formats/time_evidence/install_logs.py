"""Read the dates at which packages were installed from the logs of package managers.

    dpkg.log        2024-06-01 12:00:00 status installed bash:amd64 5.2.15-2+b7
    apt history.log Start-Date: 2024-06-01  12:00:00
    pacman.log      [2024-06-01T12:00:00+0000] [ALPM] installed bash (5.2.026-2)
    dnf.rpm.log     2024-06-01T12:00:00+0000 SUBDEBUG Installed: bash-5.2.26-3.fc40.x86_64
    dnf5.log        2024-06-01T12:00:00+0000 [41] INFO [rpm] Install: bash-5.2.26-3.fc40.x86_64

The first two have local times without a zone: their instants are between the same digits in UTC, minus and plus the
largest difference of a zone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from snapproxy.formats.time_evidence.dates import UNKNOWN_ZONE, DatedLine, lines_of, quoted, read_iso

EASTERNMOST = 14 * 3600
"""Maximum seconds by which a local time may be after the same digits in UTC (the zone UTC+14)."""

_LOCAL = r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2} {1,2}[0-9]{2}:[0-9]{2}:[0-9]{2})"
_ZONED = r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)"
_DNF = r"(?:Installed|Upgraded?|Updated|Install|Reinstalled|Downgraded):? "
_FORMS: Mapping[str, re.Pattern[str]] = {
    "dpkg.log": re.compile(rf"{_LOCAL} (?:status installed|install|upgrade) "),
    "history.log": re.compile(rf"Start-Date: {_LOCAL}"),
    "pacman.log": re.compile(rf"\[{_ZONED}\] (?:\[ALPM\] )?(?:installed|upgraded|reinstalled|downgraded) "),
    "dnf.rpm.log": re.compile(rf"{_ZONED} \S+ {_DNF}"),
    "dnf5.log": re.compile(rf"{_ZONED} (?:\[[0-9]+\] )?(?:\S+ ){{0,3}}{_DNF}"),
}


def last_installation(name: str, data: bytes) -> DatedLine | None:
    """Return the last line with an installation in a log, by its file name; None if it has none.

    Lines are in the order of time, so the last one is the newest, whatever a clock showed in between.
    """
    form = _FORMS[name]
    found: DatedLine | None = None
    for number, line in lines_of(data):
        entry = form.match(line)
        instant = entry and read_iso(re.sub(" +", " ", entry["date"]))
        if entry and instant is not None:
            has_zone = re.search(r"(?:Z|[+-][0-9]{2}:?[0-9]{2})\Z", entry["date"][10:]) is not None
            west, east = (0, 0) if has_zone else (UNKNOWN_ZONE, EASTERNMOST)
            found = DatedLine(instant - east, instant + west, number, quoted(line))
    return found
