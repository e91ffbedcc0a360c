"""Collect the dated evidence and the installed packages of a root, whatever its package manager is.

The files are named here, with a limit for each; `formats.time_evidence` reads them. A file that is damaged is skipped
with a note: a root need not be complete.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import translate

from snapproxy.core.address import AddressBook
from snapproxy.core.model import Instant
from snapproxy.core.time_evidence import EvidenceKind, TimeEvidence, not_after, not_before
from snapproxy.errors import ArchiveDataError
from snapproxy.formats.time_evidence.addresses import addresses, disabled_lines, snapshot_options
from snapproxy.formats.time_evidence.build_records import index_date
from snapproxy.formats.time_evidence.dates import quoted
from snapproxy.formats.time_evidence.install_logs import last_installation
from snapproxy.formats.time_evidence.installed import (
    InstalledPackage,
    read_apk_installed,
    read_dpkg_status,
    read_pacman_desc,
    read_rpm_query,
)
from snapproxy.jobs.layer_files import WantedPaths
from snapproxy.jobs.pinned_addresses import option_of, pinned
from snapproxy.jobs.root_files import RootFiles
from snapproxy.jobs.rpm_database import query_rpm

_KIB, _MIB = 1 << 10, 1 << 20

SOURCES = (
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*.list",
    "etc/apt/sources.list.d/*.sources",
    "etc/apt/mirrors/*.list",
    "etc/apt/apt.conf",
    "etc/apt/apt.conf.d/*",
    "etc/pacman.conf",
    "etc/pacman.d/mirrorlist",
    "etc/apk/repositories",
    "etc/apk/arch",
    "etc/yum.repos.d/*.repo",
    "etc/zypp/repos.d/*.repo",
    "etc/dnf/dnf.conf",
)
"""Files with the addresses of package sources, and with the architecture of a root of apk."""

LOGS = (
    "var/log/dpkg.log",
    "var/log/apt/history.log",
    "var/log/pacman.log",
    "var/log/dnf.rpm.log",
    "var/log/dnf5.log",
)
INDEXES = ("var/lib/apt/lists/*_InRelease", "var/lib/apt/lists/*_Release")
STATUS = ("var/lib/dpkg/status", "var/lib/dpkg/status.d/*")
PACMAN = ("var/lib/pacman/local/*/desc",)
APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
RPM = ("usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite")
CHANGELOGS = ("usr/share/doc/*/changelog.Debian.gz", "usr/share/doc/*/changelog.gz")
"""Files of packages that have the date of the package's source; only their times of change are read."""
FILE_LISTS = ("var/lib/dpkg/info/*.list",)
"""Files that dpkg writes when it installs a package; only their times of change are read."""

LIMITS = {
    **dict.fromkeys(SOURCES, 256 * _KIB),
    **dict.fromkeys(LOGS, 64 * _MIB),
    **dict.fromkeys(INDEXES, 4 * _MIB),
    **dict.fromkeys(STATUS, 64 * _MIB),
    **dict.fromkeys(PACMAN, _MIB),
    **dict.fromkeys(APK, 64 * _MIB),
    **dict.fromkeys(RPM, 256 * _MIB),
    **dict.fromkeys(CHANGELOGS, 0),
    **dict.fromkeys(FILE_LISTS, 0),
}
"""Every pattern of files that are evidence, and the maximum bytes that are read of each file."""

MOST_INDEXES = 100
MOST_PATHS = 20_000
"""Maximum number of files of one pattern."""

_ALL = re.compile("|".join(f"(?:{translate(pattern)})" for pattern in LIMITS))


def limit_of(path: str) -> int | None:
    """Return the maximum bytes to read of a file, None if it is not evidence."""
    for pattern, limit in LIMITS.items() if _ALL.fullmatch(path) else ():
        if re.fullmatch(translate(pattern), path) and path.count("/") == pattern.count("/"):
            return limit
    return None


def _folders_of(pattern: str) -> Iterator[str]:
    """Yield the patterns of the folders above the files of a pattern."""
    parts = pattern.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


_FOLDERS = re.compile("|".join(sorted({translate(each) for pattern in LIMITS for each in _folders_of(pattern)})))


def is_above(path: str) -> bool:
    """Return whether files of evidence may be in a folder, or in folders below it."""
    return _FOLDERS.fullmatch(path) is not None


WANTED = WantedPaths(limit_of, is_above)
"""The files of an image that are evidence."""


@dataclass(slots=True)
class RootEvidence:
    """The evidence of a root. `packages` are those of `family`, '' if no database was found; `sources` by path."""

    family: str = ""
    evidence: list[TimeEvidence] = field(default_factory=list)
    packages: list[InstalledPackage] = field(default_factory=list)
    sources: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def collect(files: RootFiles, book: AddressBook) -> RootEvidence:
    """Read all evidence of a root. Blocks."""
    found = RootEvidence()
    for path in _paths(files, SOURCES):
        _read_source(files, path, book, found)
    for path in LOGS:
        _read_log(files, path, found)
    for path in list(_paths(files, INDEXES))[:MOST_INDEXES]:
        data = files.read(path, LIMITS[INDEXES[0]])
        if data is not None and (dated := index_date(data)) is not None:
            found.evidence.append(not_before(EvidenceKind.INDEX, dated.first, path, dated.text, dated.line))
    _read_packages(files, found)
    found.evidence += _build_dates(found)
    found.evidence += _file_dates(files)
    found.notes += files.notes
    return found


def _paths(files: RootFiles, patterns: tuple[str, ...]) -> Iterator[str]:
    for pattern in patterns:
        folder, _, name = pattern.rpartition("/")
        if "*" not in pattern:
            yield pattern
            continue
        if "*" in folder:
            above, _, below = folder.partition("/*")
            names = files.names(above)[:MOST_PATHS]
            yield from (f"{above}/{each}{below}/{name}" for each in names)
            continue
        match = re.compile(translate(name)).fullmatch
        yield from [f"{folder}/{each}" for each in files.names(folder) if match(each)][:MOST_PATHS]


def _read_source(files: RootFiles, path: str, book: AddressBook, found: RootEvidence) -> None:
    data = files.read(path, LIMITS[SOURCES[0]])
    if data is None:
        return
    found.sources[path] = data
    disabled = disabled_lines(path, data)
    for address in addresses(data, disabled):
        if (evidence := pinned(address, path, book)) is not None:
            found.evidence.append(evidence)
    if path.startswith("etc/apt/"):
        options = (option_of(option, path) for option in snapshot_options(data, disabled))
        found.evidence += [each for each in options if each is not None]


def _read_log(files: RootFiles, path: str, found: RootEvidence) -> None:
    data = files.read(path, LIMITS[path])
    dated = None if data is None else last_installation(path.rpartition("/")[2], data)
    if dated is not None:
        found.evidence.append(not_after(EvidenceKind.LOG, dated.last, path, dated.text, dated.line))


def _read_packages(files: RootFiles, found: RootEvidence) -> None:
    """Read the first database of installed packages that exists."""
    readers: tuple[tuple[str, tuple[str, ...], Callable[[str, bytes], Iterator[InstalledPackage]]], ...] = (
        ("apt", STATUS, lambda _, data: read_dpkg_status(data)),
        ("pacman", PACMAN, lambda path, data: iter((read_pacman_desc(path, data),))),
        ("apk", APK, lambda _, data: read_apk_installed(data)),
        ("rpm", RPM, lambda _, data: read_rpm_query(query_rpm(data))),
    )
    for family, patterns, read in readers:
        for path in _paths(files, patterns):
            data = files.read(path, LIMITS[patterns[0]])
            try:
                found.packages += [] if data is None else read(path, data)
            except ArchiveDataError as error:
                found.notes.append(f"{path} was not read completely: {error.why}")
        if found.packages:
            found.family = family
            return


def _build_dates(found: RootEvidence) -> Iterator[TimeEvidence]:
    """Yield the newest build date, and the newest date of installation, that the database has."""
    built = [(each.built, each) for each in found.packages if each.built is not None]
    if built:
        newest, package = max(built, key=lambda pair: pair[0])
        says = quoted(f"{package.name} {package.version} is the newest of {len(built)} packages with a build date")
        yield not_before(EvidenceKind.BUILD, newest, "installed packages", says)
    installed = [(each.installed, each) for each in found.packages if each.installed is not None]
    if installed:
        newest, package = max(installed, key=lambda pair: pair[0])
        says = quoted(f"{package.name} {package.version} was installed last")
        yield not_after(EvidenceKind.LOG, newest, "installed packages", says)


def _file_dates(files: RootFiles) -> Iterator[TimeEvidence]:
    """Yield the newest time of change of the files that packages contain, and of those that an installation writes."""
    newest = _newest(files, CHANGELOGS)
    if newest is not None:  # dpkg keeps the date of the package's build, but copying the root sets another one
        says = "the newest changelog of a package has this date"
        yield not_before(EvidenceKind.FILE, newest[0], newest[1], says)
    newest = _newest(files, FILE_LISTS)
    if newest is not None:
        says = "the file was written when its package was installed"
        yield not_after(EvidenceKind.FILE, newest[0], newest[1], says)


def _newest(files: RootFiles, patterns: tuple[str, ...]) -> tuple[Instant, str] | None:
    dated = ((files.modified(path), path) for path in _paths(files, patterns))
    return max(((at, path) for at, path in dated if at is not None), default=None)
