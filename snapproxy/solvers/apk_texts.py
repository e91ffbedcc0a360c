"""The texts that apk reads and prints (its list of packages, its errors) and the entries of its indexes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from snapproxy.core.expected_files import DroppedEntries, identity
from snapproxy.core.model import ExpectedFile
from snapproxy.errors import ArchiveDataError
from snapproxy.families.apk.indexes import ADB, read_index
from snapproxy.formats import adb_index, apkindex
from snapproxy.solvers.model import ClosureFile, ClosureRequest, SolverError
from snapproxy.solvers.repositories import SolverRepository, check_words

# Options begin with a hyphen, `!name` removes a package, and apk reads a name with `.apk` as a file. `so:libc.so.6` and
# `cmd:sh` are names; constraints are those of apk-world(5).
_PACKAGE = re.compile(r"(?!.*\.apk)[A-Za-z0-9_./][A-Za-z0-9._+:/-]*([<>=~]{1,2}[A-Za-z0-9._~+-]+)?")
_INSTALLING = re.compile(r"\( *[0-9]+/[0-9]+\) Installing (?P<name>[^\s@]+)(@\S*)? \((?P<version>\S+)\)")
_ANY_CHANGE = re.compile(r"\(( *[0-9]+/[0-9]+|\?)\) ")
_MISSING = re.compile(r"^  (?P<name>\S+) \(no such package\):\n    required by: (?P<by>.+(?:\n {8,}.+)*)", re.MULTILINE)
_VERSION = re.compile(r"(apk-tools [0-9][^\s,]*)")


@dataclass(frozen=True, slots=True)
class IndexedPackage:
    """A package of an index: its architecture, '' if the index does not have it, and its file."""

    architecture: str
    expected: ExpectedFile
    archive: str


Indexed = Mapping[tuple[str, str], Sequence[IndexedPackage]]
"""The packages of all indexes by name and version, in the order of the repositories."""


def check_request(request: ClosureRequest) -> None:
    """Raise SolverError for a name that apk would read as something else."""
    check_words("name of a package for apk", _PACKAGE, request.packages)


def repository_line(repository: SolverRepository, index: str) -> str:
    """Return the line of /etc/apk/repositories for the repository whose index is at `index`."""
    return f"{'v3 ' if index.endswith(ADB) else ''}{repository.address}\n"


def version(printed: str) -> str:
    """Return the name of the solver from the output of `apk --version`."""
    found = _VERSION.match(printed)
    if found is None:
        raise SolverError("The version of apk cannot be read", why=f"apk prints {printed[:80]!r}.")
    return found[1]


def unknown_names(errors: str) -> tuple[str, ...]:
    """Return the requested names that no index has. apk's `world` are the requested packages."""
    return tuple(found["name"] for found in _MISSING.finditer(errors) if re.search(r"\bworld\[", found["by"]))


def installed_packages(printed: str) -> tuple[tuple[str, str], ...]:
    """Return name and version of each package that `apk add --simulate` lists. Raises SolverError for other changes."""
    found = []
    for line in printed.splitlines():
        if match := _INSTALLING.fullmatch(line):
            found.append((match["name"], match["version"]))
        elif _ANY_CHANGE.match(line):
            raise SolverError("apk printed a change that cannot be used", why=f"The line is {line[:300]!r}.")
    return tuple(found)


def indexed_packages(path: str, data: bytes, archive: str) -> Iterator[tuple[tuple[str, str], IndexedPackage]]:
    """Yield (name, version) and the file of each package that the index at `path` lists.

    Entries that the family `apk` cannot use are omitted. Raises SolverError if the index cannot be read.
    """
    dropped = DroppedEntries()
    try:
        files = {_identity(expected): expected for expected in read_index(path, [data], dropped.add)}
        for name, of_version, architecture, digest in _entries(path, data, dropped):
            if expected := files.get(digest):
                yield (name, of_version), IndexedPackage(architecture, expected, archive)
    except ArchiveDataError as error:
        raise SolverError("apk's index cannot be read", why=f"{path[:200]}: {error}") from error


def _identity(expected: ExpectedFile) -> str:
    found = identity(expected)
    return found[1] if found else ""


def _entries(path: str, data: bytes, dropped: DroppedEntries) -> Iterator[tuple[str, str, str, str]]:
    if path.endswith(ADB):
        for entry in adb_index.open_index(data).entries(dropped.add):
            yield entry.name, entry.version, entry.architecture, entry.identity.hex()
    else:
        for record in apkindex.records(apkindex.open_index(data).text, drop=dropped.add):
            yield record.name, record.version, record.architecture, record.digest


def closure_files(packages: Sequence[tuple[str, str]], indexed: Indexed) -> tuple[list[ClosureFile], list[str]]:
    """Return the files of packages, and notes. Raises SolverError for a package that no index lists.

    If several repositories list the same bytes, apk uses the first one. Which one of different bytes with one name and
    version it uses is not printed: all of them are returned, with a note.
    """
    files, notes = [], []
    for name, of_version in packages:
        found = indexed.get((name, of_version), ())
        distinct = list({_identity(each.expected): each for each in reversed(found)}.values())[::-1]
        if not distinct:
            raise SolverError("apk printed a package that no index lists", why=f"{name[:100]} {of_version[:100]}.")
        if len(distinct) > 1:
            notes.append(
                f"{len(distinct)} repositories list different files for {name} {of_version}; all are included."
            )
        files += [
            ClosureFile(
                name, of_version, each.architecture, each.expected.path, each.expected.size, archive=each.archive
            )
            for each in distinct
        ]
    return files, notes
