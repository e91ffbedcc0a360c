"""Read databases of installed packages: dpkg's status, pacman's `desc` files, apk's `installed`, a query of rpm.

Names, versions and architectures are compared with the archive's lists. The build dates, which pacman, apk and rpm
record, are lower limits of the time of installation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.deb822 import stanzas
from snapproxy.formats.pacman_db import fields
from snapproxy.formats.time_evidence.dates import lines_of, read_seconds

T = TypeVar("T")

MOST_PACKAGES = 100_000
"""Maximum number of packages of one database."""

_RPM_FIELDS = 5
_DESC = frozenset({"NAME", "VERSION", "ARCH", "BUILDDATE", "INSTALLDATE"})
_STATUS = ("package", "version", "architecture", "status")


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """An installed package. `built` and `installed` are instants in seconds, None if the database has no date."""

    name: str
    version: str
    architecture: str
    built: int | None = None
    installed: int | None = None


def read_dpkg_status(data: bytes) -> Iterator[InstalledPackage]:
    """Yield the installed packages of dpkg's status file; configuration files left of removed ones do not count.

    Raises ArchiveDataError for a file that is not one.
    """
    for record in _at_most(stanzas([data], wanted=_STATUS, drop=lambda *_: None)):
        # An image without dpkg has one stanza a file, without a status.
        is_installed = record.get("status", "installed").split()[-1:] == ["installed"]
        if is_installed and record.get("package") and record.get("version"):
            yield InstalledPackage(record["package"], record["version"], record.get("architecture", ""))


def read_pacman_desc(name: str, data: bytes) -> InstalledPackage:
    """Return the package of one `desc`. `name` is for messages. Raises ArchiveDataError if it is malformed."""
    record = fields(name, data, _DESC)
    values = {field: lines[0] if lines else "" for field, lines in record.items()}
    if not values.get("NAME") or not values.get("VERSION"):
        raise ArchiveDataError("An installed package has no name", why=f"{name[:140]!a} has no NAME or VERSION.")
    return InstalledPackage(
        values["NAME"],
        values["VERSION"],
        values.get("ARCH", ""),
        read_seconds(values.get("BUILDDATE", "")),
        read_seconds(values.get("INSTALLDATE", "")),
    )


def read_apk_installed(data: bytes) -> Iterator[InstalledPackage]:
    """Yield the packages of apk's `installed`: records of `P:`, `V:`, `A:` and `t:` lines, an empty line after each.

    Raises ArchiveDataError if there are too many.
    """
    return _at_most(_apk_records(data))


RPM_QUERY = r"%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\t%{BUILDTIME}\t%{INSTALLTIME}\n"
"""The format of rpm's query whose output `read_rpm_query` reads."""


def read_rpm_query(data: bytes) -> Iterator[InstalledPackage]:
    """Yield the packages of a query with `RPM_QUERY`. Keys, which are listed like packages, are skipped."""
    return _at_most(_rpm_lines(data))


def _rpm_lines(data: bytes) -> Iterator[InstalledPackage]:
    for _, line in lines_of(data):
        fields = line.split("\t")
        if len(fields) == _RPM_FIELDS and fields[0] != "gpg-pubkey":
            name, version, architecture, built, installed = fields
            yield InstalledPackage(name, version, architecture, read_seconds(built), read_seconds(installed))


def _apk_records(data: bytes) -> Iterator[InstalledPackage]:
    record: dict[str, str] = {}
    for _, line in lines_of(data + b"\n\n"):
        letter, colon, value = line[:1], line[1:2], line[2:]
        if not line and record.get("P") and record.get("V"):
            yield InstalledPackage(record["P"], record["V"], record.get("A", ""), read_seconds(record.get("t", "")))
        if not line:
            record = {}
        elif colon == ":" and letter in "PVAt":
            record.setdefault(letter, value)


def _at_most(found: Iterable[T]) -> Iterator[T]:
    for number, each in enumerate(found):
        if number == MOST_PACKAGES:
            raise ArchiveDataError("A database of packages is too large", why=f"It has over {MOST_PACKAGES} packages.")
        yield each
