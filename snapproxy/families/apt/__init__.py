"""apt: Debian, Ubuntu and every archive of their shape.

A root (InRelease, or Release and Release.gpg) promises the indexes of a suite; Packages and Sources promise the pool.
What paths are is read in `paths`, what indexes promise in `indexes`; signatures are judged in `core.signatures`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from snapproxy.core.model import Checker, ExpectedFile, Instant, Place, Role
from snapproxy.core.package_name import PackageName
from snapproxy.core.signature_schemes import OpenPgp
from snapproxy.errors import ArchiveDataError
from snapproxy.families.apt.indexes import read_index, release_text
from snapproxy.families.apt.package_names import package_name
from snapproxy.families.apt.paths import HASH_FIELDS, by_hash_path, classify, folder_of
from snapproxy.formats.deb822 import stanzas
from snapproxy.formats.digests import DigestChecker

PARSER = "apt-1"
"""The version of what `indexes` yields: a promise table built by another version is built again."""

# `Sat, 11 Jul 2026 10:16:37 UTC`; other zones than UTC apt refuses (its RFC1123StrToTime). strptime would ask the locale.
_DATE = re.compile(
    r"[A-Za-z]{3}, +(?P<day>\d{1,2}) (?P<month>[A-Za-z]{3}) (?P<year>\d{4})"
    r" (?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d) (?:UTC|GMT|Z|[+-]0000)",
    re.ASCII,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Apt:
    """apt's format and its client's habits; fulfils `core.model.Family`."""

    name = "apt"
    # apt gives up on a silent server after 30 s (Acquire::http::Timeout).
    patience = 25.0
    parser = PARSER
    # A Release older than the stored one counts as unmodified, with exit code 0.
    keeps_newer_root = True
    how_to_clear_lists = "Empty its lists (rm -rf /var/lib/apt/lists/*) and update again."
    mirror_list_hint = ""
    # apt judges by the Date within the Release, not by the header.
    drops_older_dates = False
    roots_list_packages = False
    purl_type = "deb"
    # Its If-Modified-Since is the date we gave, and a root that bears none it could not compare.
    tells_root_dates = True
    scheme = OpenPgp()

    def classify(self, path: str) -> Place:
        return classify(path)

    def read_index(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, ExpectedFile]]:
        return read_index(path, data)

    def checker(self, expected: ExpectedFile) -> Checker:
        return DigestChecker(expected.size, expected.digests)

    def lasting_path(self, expected: ExpectedFile) -> str:
        if classify(expected.path).role is not Role.INDEX:
            return expected.path
        # Debian and Ubuntu have by-hash/SHA256; SHA512, where a Release lists it, need not have a folder.
        algorithm = next((name for name in ("sha256", *HASH_FIELDS) if name in expected.digests), None)
        return expected.path if algorithm is None else by_hash_path(expected, algorithm)

    def root_date(self, data: bytes) -> Instant | None:
        """Read the Date field. Total; None for a root that cannot be read, or whose date apt would not take."""
        try:
            record = next(stanzas([release_text(data)], wanted=("date",)), {})
            date = _DATE.fullmatch(record.get("date", ""))
            if date is None or date["month"] not in _MONTHS:
                return None
            day, year, hour, minute, second = (int(date[part]) for part in ("day", "year", "hour", "minute", "second"))
            month = _MONTHS.index(date["month"]) + 1
            return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
        except (ArchiveDataError, ValueError):
            return None

    def signature(self, path: str) -> str | None:
        return f"{path}.gpg" if path == f"{folder_of(path)}Release" else None

    def package_name(self, path: str) -> PackageName | None:
        return package_name(path)


APT = Apt()
