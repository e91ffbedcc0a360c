"""What apt's indexes promise: Release names the indexes, those name packages, source files, patches and installer images.

One reader a kind of index. Each yields (name, promise); a name that would leave the archive is an error, not a promise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from snapproxy.core.expected_files import contradiction, distinct
from snapproxy.core.model import ExpectedFile
from snapproxy.errors import ArchiveDataError
from snapproxy.families.apt.paths import CHECKSUM_LISTS, HASH_FIELDS, base_of, by_hash_path, folder_of, index_kind
from snapproxy.formats import clearsigned
from snapproxy.formats.checksums import checksums
from snapproxy.formats.deb822 import stanzas
from snapproxy.formats.digests import digest
from snapproxy.formats.unpack import unpack

MAX_ROOT = 16 << 20
"""Bytes in a Release; Debian's and Ubuntu's are under 400 KB."""

Rows = Iterator[tuple[str, ExpectedFile]]

_RELEASE_FIELDS = {field.lower(): name for name, field in HASH_FIELDS.items()}
_PACKAGES_FIELDS = {"sha512": "sha512", "sha256": "sha256", "sha1": "sha1", "md5sum": "md5"}
_SOURCES_FIELDS = {"checksums-sha512": "sha512", "checksums-sha256": "sha256", "checksums-sha1": "sha1", "files": "md5"}
# `-Patches` gives the patches unpacked, `-Download` as they are served, `.gz`.
_DIFF_FIELDS = {
    f"{field.lower()}-{kind}": name for name, field in HASH_FIELDS.items() for kind in ("patches", "download")
}
# A row of a hash section: digest, size in bytes, name.
_ROW = re.compile(r"([0-9A-Fa-f]+)[ \t]+([0-9]{1,18})[ \t]+([^ \t].*)")
_SIZE = re.compile(r"[0-9]{1,18}")
_LONGEST_PATH = 2048
_NO_PATH = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
# A root cannot vouch for itself; `apt-ftparchive release . > Release` lists the empty file it is writing to.
_ROOTS = frozenset({"InRelease", "Release", "Release.gpg"})


def read_index(path: str, data: Iterable[bytes]) -> Rows:
    """Yield (name, promise) for everything the index or root at `path` vouches for; nothing when it is no index of promises.

    Raises ArchiveDataError as `core.model.Family.read_index` says.
    """
    reader = _READERS.get(index_kind(path))
    return reader(path, data) if reader else iter(())


def release_text(data: bytes) -> bytes:
    """Return the text of a Release, or that inside an InRelease."""
    return clearsigned.body(data) if clearsigned.is_clearsigned(data) else data


def _release(path: str, data: Iterable[bytes]) -> Rows:
    whole = _whole(data)
    if path.endswith("InRelease") and not clearsigned.is_clearsigned(whole):
        raise ArchiveDataError("InRelease is not a signed message", why="It does not begin as one.")
    # apt reads the first stanza and no further.
    record = next(stanzas([release_text(whole)], wanted=_RELEASE_FIELDS), {})
    if not record:
        raise ArchiveDataError("The root lists nothing", why="It has no MD5Sum, SHA1, SHA256 or SHA512 section.")
    folder = folder_of(path)
    listed = sorted(_sections(folder, record, _RELEASE_FIELDS), key=lambda expected: expected.path)
    roots = {folder + name for name in _ROOTS}
    return _with_by_hash([expected for expected in listed if expected.path not in roots])


def _with_by_hash(listed: list[ExpectedFile]) -> Rows:
    """Yield each promise by its name, then by its by-hash names. Files with equal bytes share one: the first by name has it."""
    yield from ((expected.path, expected) for expected in listed)
    yielded = {expected.path for expected in listed}
    for expected in listed:
        for algorithm in expected.digests:
            alias = by_hash_path(expected, algorithm)
            if alias not in yielded:
                yielded.add(alias)
                yield alias, expected


def _packages(path: str, data: Iterable[bytes]) -> Rows:
    found = distinct(_binaries(base_of(path) or "", data))
    return _named(found) if base_of(path) is not None else _flat(folder_of(path), found)


def _binaries(base: str, data: Iterable[bytes]) -> Iterator[ExpectedFile]:
    named = False
    empty = True
    for record in stanzas(unpack(data), wanted=("filename", "size", *_PACKAGES_FIELDS)):
        empty = False
        if "filename" not in record:
            continue  # apt lists such a package and cannot fetch it
        named = True
        digests = {name: digest(name, record[field]) for field, name in _PACKAGES_FIELDS.items() if field in record}
        if digests:  # a size alone proves nothing
            yield ExpectedFile(_inside(base, record["filename"]), _size(record.get("size")), digests)
    if not (named or empty):
        raise ArchiveDataError("The index names no package", why="None of its entries has a Filename.")


def _sources(path: str, data: Iterable[bytes]) -> Rows:
    base = base_of(path)
    records = stanzas(unpack(data), wanted=("directory", *_SOURCES_FIELDS))
    found = distinct(
        chain.from_iterable(
            _sections(_folder(base or "", record.get("directory", ".")), record, _SOURCES_FIELDS) for record in records
        )
    )
    return _named(found) if base is not None else _flat(folder_of(path), found)


def _diffs(path: str, data: Iterable[bytes]) -> Rows:
    record = next(stanzas(unpack(data), wanted=_DIFF_FIELDS), {})
    folder = folder_of(path)
    return _with_by_hash(sorted(_sections(folder, record, _DIFF_FIELDS), key=lambda expected: expected.path))


def _checksum_list(algorithm: str) -> Callable[[str, Iterable[bytes]], Rows]:
    def read(path: str, data: Iterable[bytes]) -> Rows:
        folder = folder_of(path)
        rows = checksums(data, algorithm)
        return _named(distinct(ExpectedFile(_inside(folder, name), None, {algorithm: value}) for name, value in rows))

    return read


def _sections(folder: str, record: Mapping[str, str], fields: Mapping[str, str]) -> Iterator[ExpectedFile]:
    """Merge the hash sections of a stanza, one an algorithm, into one promise a path."""
    sizes: dict[str, int] = {}
    digests: dict[str, dict[str, str]] = {}
    for field, algorithm in fields.items():
        for line in record.get(field, "").split("\n"):
            if not (stripped := line.strip(" \t\r")):
                continue
            row = _ROW.fullmatch(stripped)
            if row is None:
                raise ArchiveDataError("A hash section has a malformed row", why=f"Under {field}: {line[:140]!r}.")
            path, size, value = _inside(folder, row[3]), int(row[2]), digest(algorithm, row[1])
            if (
                sizes.setdefault(path, size) != size
                or digests.setdefault(path, {}).setdefault(algorithm, value) != value
            ):
                raise contradiction(path)
    return (ExpectedFile(path, size, digests[path]) for path, size in sizes.items())


def _named(found: Iterable[ExpectedFile]) -> Rows:
    return ((expected.path, expected) for expected in found)


def _flat(folder: str, found: Iterable[ExpectedFile]) -> Rows:
    """Yield the promises of a flat repository, whose base the path does not tell.

    `deb http://host/a/b ./` has names relative to a/b/, `deb http://host/a b/` to a/, and both read a/b/Packages. So each name is
    promised from every folder upwards, the index's own first; a name has but one promise.
    """
    listed = list(found)
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


def _inside(folder: str, name: str) -> str:
    """Return the path of `name` in `folder` ('' or with its slash), its empty and `.` segments dropped."""
    steps = [step for step in name.split("/") if step not in {"", "."}]
    if not steps or name.startswith("/") or ".." in steps or len(name) > _LONGEST_PATH or _NO_PATH.search(name):
        raise ArchiveDataError("An index names a path outside its archive", why=f"The path: {name[:140]!r}.")
    return folder + "/".join(steps)


def _folder(base: str, name: str) -> str:
    """Return the folder `name` under `base`, with its slash. A Sources entry may stand at the base itself, as `.`."""
    return base if not name.strip("./") and ".." not in name else _inside(base, name) + "/"


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    if not _SIZE.fullmatch(text):
        raise ArchiveDataError("An index gives a malformed size", why=f"It reads {text[:140]!r}.")
    return int(text)


_READERS: Mapping[str, Callable[[str, Iterable[bytes]], Rows]] = {
    "Release": _release,
    "Packages": _packages,
    "Sources": _sources,
    "Index": _diffs,
} | {name: _checksum_list(algorithm) for algorithm, name in CHECKSUM_LISTS.items()}
