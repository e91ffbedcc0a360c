"""Read the expected files from rpm's metadata.

repomd.xml lists the other metadata, primary.xml the packages, prestodelta.xml the deltas. Names are normalised like the
paths of requests (`core.paths`); a name that would leave the repository is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from snapproxy.core.expected_files import distinct
from snapproxy.core.model import ExpectedFile
from snapproxy.core.paths import canonical_path
from snapproxy.errors import ArchiveDataError, ClientError
from snapproxy.families.rpm.paths import base_of, index_kind
from snapproxy.formats import repomd
from snapproxy.formats.unpack import unpack

MAX_ROOT = 1 << 20
"""Maximum bytes in a repomd.xml; openSUSE's and Fedora's are under 20 KB."""

Rows = Iterator[tuple[str, ExpectedFile]]


def read_index(path: str, data: Iterable[bytes]) -> Rows:
    """Yield (name, expected file) for every file that the metadata at `path` list; nothing for other paths.

    Raises ArchiveDataError as described in `core.model.Family.read_index`.
    """
    reader = _READERS.get(index_kind(path))
    if reader is None:
        return
    base = base_of(path)
    for expected in distinct(_expected_file(base, listed) for listed in reader(data)):
        yield expected.path, expected


def _root(data: Iterable[bytes]) -> Iterator[repomd.RpmPackage]:
    """Return the files of a root after parsing all of it: a truncated root yields an error, not a part of its files."""
    whole = bytearray()
    for chunk in data:
        whole += chunk
        if len(whole) > MAX_ROOT:
            raise ArchiveDataError("The root is too large", why=f"It has more than {MAX_ROOT} bytes.")
    listed = list(repomd.repomd(bytes(whole)))
    if not listed:
        raise ArchiveDataError("The root lists nothing", why="It lists no metadata of this repository.")
    return iter(listed)


def _primary(data: Iterable[bytes]) -> Iterator[repomd.RpmPackage]:
    return repomd.primary(unpack(data))


def _deltas(data: Iterable[bytes]) -> Iterator[repomd.RpmPackage]:
    return repomd.deltas(unpack(data))


def _expected_file(base: str, listed: repomd.RpmPackage) -> ExpectedFile:
    return ExpectedFile(_inside(base, listed.href), listed.size, {listed.algorithm: listed.digest})


def _inside(base: str, href: str) -> str:
    """Return the path that a client requests for `href` in the repository at `base`."""
    try:
        path = canonical_path(href)
    except ClientError as error:
        raise _outside(href) from error
    if href.startswith("/") or not path or path.endswith("/"):
        raise _outside(href)
    return base + path


def _outside(href: str) -> ArchiveDataError:
    return ArchiveDataError("An index names a path outside its archive", why=f"The path: {href[:140]!r}.")


_READERS: Mapping[str, Callable[[Iterable[bytes]], Iterator[repomd.RpmPackage]]] = {
    "repomd": _root,
    "primary": _primary,
    "prestodelta": _deltas,
}
