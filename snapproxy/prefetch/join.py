"""The join resolver: the address of a repository and a path in it give an address; a path alone gives an archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from snapproxy.core.address import AddressBook
from snapproxy.core.history import History
from snapproxy.core.model import Archive, Match, TimeSpec
from snapproxy.formats.package_lists.model import ListEntry
from snapproxy.prefetch.direct import AddressedFile, read_file_address


def join_bases(entry: ListEntry, book: AddressBook) -> AddressedFile | str:
    """Return the file at the best of the entry's bases: the first one with a time, otherwise the first known one.

    If no base is known, return why the first one is out of reach.
    """
    path = entry.path.lstrip("/")
    found = [read_file_address(f"{base.rstrip('/')}/{path}", entry.family, book) for base in entry.bases]
    known = [each for each in found if isinstance(each, AddressedFile)]
    dated = [each for each in known if each.when is not None]
    return next(iter((*dated, *known, *found)))


def find_timeless(
    path: str, archives: Iterable[Archive], histories: Mapping[str, History]
) -> tuple[Archive, str, TimeSpec] | None:
    """Return the address outside every snapshot at which an archive keeps the file, None if none of them does.

    The address is returned as archive, path and the time by which it is requested.
    """
    for archive in archives:
        lasting = histories[archive.history].timeless(path)
        if lasting is not None and archive.snapshot:
            return archive, lasting, TimeSpec(lasting.partition("/")[0], None, Match.EXACT, verbatim=True)
    return None
