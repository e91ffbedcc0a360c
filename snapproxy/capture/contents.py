"""The files of a record, each once, under a unique name: the common input of artifacts, folders and bills of materials.

Each of these defines its own format. Absences are not files: only the lock contains them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packageurl import PackageURL

from snapproxy.archives.vendors import vendor_of
from snapproxy.core.model import Proof, Role
from snapproxy.core.package_name import PackageName
from snapproxy.core.paths import names_a_file
from snapproxy.core.record import Record, RecordEntry
from snapproxy.errors import RecordError
from snapproxy.families import FAMILIES


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file that a build was served. It is listed once, for any number of requests and requested times.

    `package`: None for other files.
    """

    title: str
    """The file's unique name within the record or the artifact; '' in an artifact whose blobs have no names."""
    archive: str
    snapshot: str
    path: str
    role: Role
    proof: Proof
    size: int
    sha256: str
    package: PackageName | None = None
    purl: str = ""
    """The package URL of `package`, '' without one."""


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file at its `path` in an export: relative, with slashes. `size` in bytes, `sha256` in hex.

    The bytes are in the store, unless the export generates the file: then `data` holds them.
    """

    path: str
    size: int
    sha256: str
    data: bytes = b""


def recorded_files(record: Record) -> tuple[RecordedFile, ...]:
    """Return the files of a record, sorted by title. If one snapshot answered several times, the weakest proof applies.

    Raises RecordError if one snapshot had two contents at one path, which is only possible if no index lists the path.
    """
    found: dict[str, RecordedFile] = {}
    for entry in sorted(record.entries, key=lambda each: each.key):  # of equal proofs, the first entry applies
        if entry.is_absence:
            continue
        new = recorded_file(entry, record.families[entry.archive])
        old = found.get(new.title, new)
        if old.sha256 != new.sha256:
            raise RecordError(
                "One name has two contents in this record",
                why=f"{new.title} has sha256 {old.sha256} for one of its times and {new.sha256} for another.",
                hint="Record each of the times in a separate capture; a lock can contain both.",
            )
        found[new.title] = min(old, new, key=lambda each: each.proof)
    check_names(found)
    return tuple(found[title] for title in sorted(found))


def sizes_by_digest(record: Record | None) -> dict[str, int]:
    """Return the size of every file of a record by its sha256 (hex); empty without a record."""
    return {entry.sha256: entry.size for entry in record.entries if not entry.is_absence} if record else {}


def check_names(names: Iterable[str]) -> None:
    """Check that files of these names fit into one folder. Raises RecordError.

    A name must not lead outside, be repeated, or be the folder of another.
    """
    files: set[str] = set()
    for name in names:
        if not names_a_file(name):
            raise _bad_name(name, "leads outside its folder, or is not in canonical form")
        if name in files:
            raise _bad_name(name, "is repeated")
        files.add(name)
    for name in files:
        folder = name
        while folder := folder.rpartition("/")[0]:
            if folder in files:
                raise _bad_name(folder, f"is a file, and the folder of {name[:100]!a}")


def _bad_name(name: str, problem: str) -> RecordError:
    return RecordError(
        "The file names do not fit into one folder",
        why=f"{name[:100]!a} {problem}.",
        hint="A folder or an artifact cannot contain them; a lock can: `snapproxy lock NAME`.",
    )


def recorded_file(entry: RecordEntry, family: str) -> RecordedFile:
    """Return the file of an entry, which must not be an absence.

    The answer of a service gets its digest as its name, because a call with its query cannot be a file name.
    """
    driver = FAMILIES[family]
    package = driver.package_name(entry.path)
    purl = "" if package is None else _purl(driver.purl_type, vendor_of(entry.archive), package)
    name = f"service/{entry.sha256}" if entry.is_service else f"{entry.snapshot}/{entry.path}"
    return RecordedFile(
        f"{entry.archive}/{name}",
        entry.archive,
        entry.snapshot,
        entry.path,
        entry.role,
        entry.proof,
        entry.size,
        entry.sha256,
        package,
        purl,
    )


def _purl(kind: str, vendor: str, package: PackageName) -> str:
    named = PackageURL(kind, vendor, package.name, package.version, {"arch": package.arch})
    return str(named.to_string())
