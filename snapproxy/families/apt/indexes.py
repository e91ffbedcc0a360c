"""Read the expected files from apt's indexes.

Release lists the indexes; these list packages, source files, patches and installer images. There is one reader for each
kind of index. It yields (name, expected file). An entry that is malformed, or whose name would leave the archive, is
dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from snapproxy.core.expected_files import contradiction, distinct
from snapproxy.core.model import ExpectedFile
from snapproxy.core.paths import listed_path
from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
from snapproxy.families.apt.paths import CHECKSUM_LISTS, HASH_FIELDS, base_of, by_hash_path, folder_of, index_kind
from snapproxy.formats import clearsigned
from snapproxy.formats.checksums import checksums
from snapproxy.formats.deb822 import stanzas
from snapproxy.formats.digests import digest
from snapproxy.formats.unpack import unpack

MAX_ROOT = 16 << 20
"""Maximum bytes in a Release; Debian's and Ubuntu's are under 400 KB."""

Rows = Iterator[tuple[str, ExpectedFile]]
_Reader = Callable[[str, Iterable[bytes], Drop], Rows]

_RELEASE_FIELDS = {field.lower(): name for name, field in HASH_FIELDS.items()}
_PACKAGES_FIELDS = {"sha512": "sha512", "sha256": "sha256", "sha1": "sha1", "md5sum": "md5"}
_SOURCES_FIELDS = {"checksums-sha512": "sha512", "checksums-sha256": "sha256", "checksums-sha1": "sha1", "files": "md5"}
# `-Patches` lists the uncompressed patches, `-Download` the served files, with `.gz`.
_DIFF_FIELDS = {
    f"{field.lower()}-{kind}": name for name, field in HASH_FIELDS.items() for kind in ("patches", "download")
}
# A line of a hash section: digest, size in bytes, name.
_ROW = re.compile(r"([0-9A-Fa-f]+)[ \t]+([0-9]{1,18})[ \t]+([^ \t].*)")
_SIZE = re.compile(r"[0-9]{1,18}")
# A root cannot list itself. `apt-ftparchive release . > Release` lists the empty file that it is writing.
_ROOTS = frozenset({"InRelease", "Release", "Release.gpg"})


def read_index(path: str, data: Iterable[bytes], drop: Drop = refuse_entry) -> Rows:
    """Yield (name, expected file) for every file that the index or root at `path` lists; nothing for other paths.

    Raises ArchiveDataError as described in `core.model.Family.read_index`.
    """
    reader = _READERS.get(index_kind(path))
    return reader(path, data, drop) if reader else iter(())


def release_text(data: bytes) -> bytes:
    """Return the text of a Release, or the signed text of an InRelease."""
    return clearsigned.body(data) if clearsigned.is_clearsigned(data) else data


def _release(path: str, data: Iterable[bytes], drop: Drop) -> Rows:
    whole = _whole(data)
    if path.endswith("InRelease") and not clearsigned.is_clearsigned(whole):
        raise ArchiveDataError(
            "InRelease is not a signed message", why="It does not begin with the header of a signed message."
        )
    # apt reads the first stanza only.
    record = next(stanzas([release_text(whole)], wanted=_RELEASE_FIELDS), {})
    if not record:
        raise ArchiveDataError("The root lists nothing", why="It has no MD5Sum, SHA1, SHA256 or SHA512 section.")
    folder = folder_of(path)
    listed = sorted(_sections(folder, record, _RELEASE_FIELDS, drop), key=lambda expected: expected.path)
    roots = {folder + name for name in _ROOTS}
    return _with_by_hash([expected for expected in listed if expected.path not in roots])


def _with_by_hash(listed: list[ExpectedFile]) -> Rows:
    """Yield each expected file by its path, then by its by-hash names.

    Files with equal content have the same by-hash name: it is yielded for the first of them by path.
    """
    yield from ((expected.path, expected) for expected in listed)
    yielded = {expected.path for expected in listed}
    for expected in listed:
        for algorithm in expected.digests:
            alias = by_hash_path(expected, algorithm)
            if alias not in yielded:
                yielded.add(alias)
                yield alias, expected


def _packages(path: str, data: Iterable[bytes], drop: Drop) -> Rows:
    base = base_of(path)
    if base is None:
        return _flat(folder_of(path), lambda collect: _binaries("", data, collect), drop)
    return _named(distinct(_binaries(base, data, drop), drop))


def _binaries(base: str, data: Iterable[bytes], drop: Drop) -> Iterator[ExpectedFile]:
    named = False
    empty = True
    for record in stanzas(unpack(data, drop=drop), wanted=("filename", "size", *_PACKAGES_FIELDS), drop=drop):
        empty = False
        if "filename" not in record:
            continue  # apt lists such a package and cannot download it
        named = True
        path = ""
        try:
            path = listed_path(base, record["filename"])
            digests = {name: digest(name, record[field]) for field, name in _PACKAGES_FIELDS.items() if field in record}
            size = _size(record.get("size"))
        except ArchiveDataError as error:
            drop(error, path)
            continue
        if digests:  # a size alone does not identify a file
            yield ExpectedFile(path, size, digests)
    if not (named or empty):
        raise ArchiveDataError("The index lists no package files", why="None of its entries has a Filename field.")


def _sources(path: str, data: Iterable[bytes], drop: Drop) -> Rows:
    base = base_of(path)
    if base is None:
        return _flat(folder_of(path), lambda collect: _source_files("", data, collect), drop)
    return _named(distinct(_source_files(base, data, drop), drop))


def _source_files(base: str, data: Iterable[bytes], drop: Drop) -> Iterator[ExpectedFile]:
    for record in stanzas(unpack(data, drop=drop), wanted=("directory", *_SOURCES_FIELDS), drop=drop):
        try:
            folder = _folder(base, record.get("directory", "."))
        except ArchiveDataError as error:
            drop(error)
            continue
        yield from _sections(folder, record, _SOURCES_FIELDS, drop)


def _diffs(path: str, data: Iterable[bytes], drop: Drop) -> Rows:
    record = next(stanzas(unpack(data, drop=drop), wanted=_DIFF_FIELDS, drop=drop), {})
    folder = folder_of(path)
    return _with_by_hash(sorted(_sections(folder, record, _DIFF_FIELDS, drop), key=lambda expected: expected.path))


def _checksum_list(algorithm: str) -> _Reader:
    def read(path: str, data: Iterable[bytes], drop: Drop) -> Rows:
        return _named(distinct(_checksummed(folder_of(path), data, algorithm, drop), drop))

    return read


def _checksummed(folder: str, data: Iterable[bytes], algorithm: str, drop: Drop) -> Iterator[ExpectedFile]:
    for name, value in checksums(data, algorithm, drop=drop):
        try:
            path = listed_path(folder, name)
        except ArchiveDataError as error:
            drop(error)
            continue
        yield ExpectedFile(path, None, {algorithm: value})


def _sections(folder: str, record: Mapping[str, str], fields: Mapping[str, str], drop: Drop) -> Iterator[ExpectedFile]:
    """Merge the hash sections of a stanza, one for each algorithm, into one expected file for each path.

    A path with a malformed digest, or with two sizes or two digests of one algorithm, is dropped.
    """
    sizes: dict[str, int] = {}
    digests: dict[str, dict[str, str]] = {}
    dropped: set[str] = set()
    for field, algorithm in fields.items():
        for line in record.get(field, "").split("\n"):
            if not (stripped := line.strip(" \t\r")):
                continue
            path = ""
            try:
                row = _row(field, stripped)
                path, size = listed_path(folder, row[3]), int(row[2])
                value = digest(algorithm, row[1])
                if (
                    sizes.setdefault(path, size) != size
                    or digests.setdefault(path, {}).setdefault(algorithm, value) != value
                ):
                    raise contradiction(path)
            except ArchiveDataError as error:
                drop(error, path)
                dropped.add(path)
    return (ExpectedFile(path, size, digests[path]) for path, size in sizes.items() if path not in dropped)


def _row(field: str, line: str) -> re.Match[str]:
    row = _ROW.fullmatch(line)
    if row is None:
        raise ArchiveDataError("A hash section has a malformed line", why=f"Under {field}: {line[:140]!r}.")
    return row


def _named(found: Iterable[ExpectedFile]) -> Rows:
    return ((expected.path, expected) for expected in found)


def _flat(folder: str, read: Callable[[Drop], Iterator[ExpectedFile]], drop: Drop) -> Rows:
    """Yield the files of a flat repository, whose base cannot be read from the path.

    In `deb http://host/a/b ./` names are relative to a/b/, in `deb http://host/a b/` to a/; both read a/b/Packages.
    Each file is therefore yielded relative to the index's folder and to every folder above it. The first file of a name
    is used.
    """
    dropped: set[str] = set()

    def collect(error: ArchiveDataError, path: str = "") -> None:
        dropped.add(path)
        drop(error, f"{folder}{path}" if path else "")

    listed = [expected for expected in list(distinct(read(collect), collect)) if expected.path not in dropped]
    yielded: set[str] = set()
    steps = folder.split("/")[:-1]
    for depth in range(len(steps), -1, -1):
        base = "".join(f"{step}/" for step in steps[:depth])
        for expected in listed:
            name = base + expected.path
            if name not in yielded:
                yielded.add(name)
                yield name, ExpectedFile(name, expected.size, expected.digests)


def _whole(data: Iterable[bytes]) -> bytes:
    whole = bytearray()
    for chunk in data:
        whole += chunk
        if len(whole) > MAX_ROOT:
            raise ArchiveDataError("The root is too large", why=f"It has more than {MAX_ROOT} bytes.")
    return bytes(whole)


def _folder(base: str, name: str) -> str:
    """Return the folder `name` under `base`, with a trailing slash. `.` in a Sources entry is the base itself."""
    return base if not name.strip("./") and ".." not in name else listed_path(base, name.rstrip("/")) + "/"


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    if not _SIZE.fullmatch(text):
        raise ArchiveDataError("An index has a malformed size", why=f"The size: {text[:140]!r}.")
    return int(text)


_READERS: Mapping[str, _Reader] = {
    "Release": _release,
    "Packages": _packages,
    "Sources": _sources,
    "Index": _diffs,
} | {name: _checksum_list(algorithm) for algorithm, name in CHECKSUM_LISTS.items()}
