"""apt: Debian, Ubuntu and every archive in their format.

A root (InRelease, or Release and Release.gpg) lists the indexes of a suite; Packages and Sources list the files of the
pool. `paths` classifies paths, `indexes` reads indexes; `core.signatures` decides on signatures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from snapproxy.core.model import Checker, ExpectedFile, Instant, Place, Role
from snapproxy.core.package_name import PackageName
from snapproxy.core.signature_schemes import OpenPgp
from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
from snapproxy.families.apt.indexes import read_index, release_text
from snapproxy.families.apt.package_names import package_name
from snapproxy.families.apt.paths import HASH_FIELDS, base_of, by_hash_path, classify, folder_of
from snapproxy.families.apt.suites import NAMES, contradiction
from snapproxy.formats.deb822 import stanzas
from snapproxy.formats.digests import DigestChecker

PARSER = "apt-2"
"""The version of the entries that `indexes` yields. An index table built by another version is rebuilt."""

# `Sat, 11 Jul 2026 10:16:37 UTC`. apt refuses zones other than UTC (RFC1123StrToTime). strptime depends on the locale.
_DATE = re.compile(
    r"[A-Za-z]{3}, +(?P<day>\d{1,2}) (?P<month>[A-Za-z]{3}) (?P<year>\d{4})"
    r" (?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d) (?:UTC|GMT|Z|[+-]0000)",
    re.ASCII,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Apt:
    """apt's format and its client's behaviour; implements `core.model.Family`."""

    name = "apt"
    # apt gives up on a silent server after 30 s (Acquire::http::Timeout).
    patience = 25.0
    parser = PARSER
    # apt treats a Release older than its own copy as unmodified, and exits 0.
    keeps_newer_root = True
    how_to_clear_lists = "Empty its lists (rm -rf /var/lib/apt/lists/*) and update again."
    mirror_list_hint = ""
    # apt compares the Date in the Release, not the Last-Modified header.
    drops_older_dates = False
    roots_list_packages = False
    purl_type = "deb"
    # apt sends the Last-Modified that it received as If-Modified-Since. Without one it could not revalidate a root.
    tells_root_dates = True
    waits_for_challenge = False
    scheme = OpenPgp()

    def classify(self, path: str) -> Place:
        return classify(path)

    def read_index(
        self, path: str, data: Iterable[bytes], drop: Drop = refuse_entry
    ) -> Iterator[tuple[str, ExpectedFile]]:
        return read_index(path, data, drop)

    def checker(self, expected: ExpectedFile) -> Checker:
        return DigestChecker(expected.size, expected.digests)

    def lasting_path(self, expected: ExpectedFile) -> str:
        if classify(expected.path).role is not Role.INDEX:
            return expected.path
        # Debian and Ubuntu publish by-hash/SHA256. A SHA512 section in a Release does not imply a by-hash/SHA512
        # folder.
        algorithm = next((name for name in ("sha256", *HASH_FIELDS) if name in expected.digests), None)
        return expected.path if algorithm is None else by_hash_path(expected, algorithm)

    def root_date(self, data: bytes) -> Instant | None:
        """Return the Date field, None if the root cannot be parsed or apt would refuse its date. Never raises."""
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

    def contradiction(self, path: str, data: bytes) -> str:
        """Return the Suite and Codename of a root whose path names another suite. Never raises."""
        base = base_of(path)
        suite = "" if base is None else folder_of(path)[len(base) + len("dists/") : -1]
        try:
            return contradiction(suite, next(stanzas([release_text(data)], wanted=NAMES), {}))
        except ArchiveDataError:
            return ""

    def signature(self, path: str) -> str | None:
        return f"{path}.gpg" if path == f"{folder_of(path)}Release" else None

    def root_forms(self, path: str) -> tuple[str, ...]:
        folder = folder_of(path)
        return (f"{folder}InRelease", f"{folder}Release")

    def signed_file(self, path: str) -> str | None:
        return None

    def beside_root(self, path: str) -> tuple[str, ...]:
        return ()

    def package_name(self, path: str) -> PackageName | None:
        return package_name(path)


APT = Apt()
