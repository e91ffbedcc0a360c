"""Read the expected files from rpm's metadata.

repomd.xml lists the other metadata, primary.xml the packages, prestodelta.xml the deltas. Names are normalised like the
paths of requests (`core.paths`): `../noarch/x.rpm` is a file beside the repository. A name that leaves the archive is
dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from snapproxy.core.expected_files import DroppedEntries, distinct
from snapproxy.core.model import ExpectedFile
from snapproxy.core.paths import referenced_path
from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
from snapproxy.families.rpm.paths import base_of, index_kind
from snapproxy.formats import repomd
from snapproxy.formats.unpack import unpack

MAX_ROOT = 1 << 20
"""Maximum bytes in a repomd.xml; openSUSE's and Fedora's are under 20 KB."""

Rows = Iterator[tuple[str, ExpectedFile]]
_Reader = Callable[[Iterable[bytes], Drop], Iterator[repomd.RpmPackage]]


def read_index(path: str, data: Iterable[bytes], drop: Drop = refuse_entry) -> Rows:
    """Yield (name, expected file) for every file that the metadata at `path` list; nothing for other paths.

    Raises ArchiveDataError as described in `core.model.Family.read_index`.
    """
    kind = index_kind(path)
    if kind == "repomd":
        return _of_root(base_of(path), data, drop)
    reader = _READERS.get(kind)
    found = () if reader is None else _distinct_files(base_of(path), reader, data, drop)
    return ((expected.path, expected) for expected in found)


def _of_root(base: str, data: Iterable[bytes], drop: Drop) -> Rows:
    """Yield the files of a root after all of it was read. A root without a usable entry is refused, as by its clients.

    A truncated root yields an error, not a part of its files.
    """
    entries = DroppedEntries()

    def collect(error: ArchiveDataError, path: str = "") -> None:
        drop(error, path)
        entries.add(error, path)

    found = entries.some_of(_distinct_files(base, _root, data, collect))
    listed = [expected for expected in list(found) if expected.path not in entries.paths]
    if not listed:
        raise ArchiveDataError("The root lists nothing", why="It lists no metadata of this repository.")
    yield from ((expected.path, expected) for expected in listed)


def _distinct_files(base: str, reader: _Reader, data: Iterable[bytes], drop: Drop) -> Iterator[ExpectedFile]:
    def drop_href(error: ArchiveDataError, path: str = "") -> None:
        drop(error, _path_or_nothing(base, path))

    return distinct(_expected_files(base, reader(data, drop_href), drop), drop)


def _path_or_nothing(base: str, href: str) -> str:
    try:
        return referenced_path(base, href) if href else ""
    except ArchiveDataError:
        return ""


def _root(data: Iterable[bytes], drop: Drop) -> Iterator[repomd.RpmPackage]:
    whole = bytearray()
    for chunk in data:
        whole += chunk
        if len(whole) > MAX_ROOT:
            raise ArchiveDataError("The root is too large", why=f"It has more than {MAX_ROOT} bytes.")
    return repomd.repomd(bytes(whole), drop)


def _primary(data: Iterable[bytes], drop: Drop) -> Iterator[repomd.RpmPackage]:
    return repomd.primary(unpack(data, drop=drop), drop)


def _deltas(data: Iterable[bytes], drop: Drop) -> Iterator[repomd.RpmPackage]:
    return repomd.deltas(unpack(data, drop=drop), drop)


def _expected_files(base: str, found: Iterable[repomd.RpmPackage], drop: Drop) -> Iterator[ExpectedFile]:
    for listed in found:
        try:
            path = referenced_path(base, listed.href)
        except ArchiveDataError as error:
            drop(error)
            continue
        yield ExpectedFile(path, listed.size, {listed.algorithm: listed.digest})


_READERS: Mapping[str, _Reader] = {
    "primary": _primary,
    "prestodelta": _deltas,
}
