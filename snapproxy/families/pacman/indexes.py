"""Read the expected files from a pacman database.

They are the packages in its folder, and the signatures that entries contain.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator

from snapproxy.core.expected_files import distinct
from snapproxy.core.model import ExpectedFile
from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
from snapproxy.families.pacman.paths import is_database
from snapproxy.formats.digests import digest
from snapproxy.formats.pacman_db import Record, records

# repo-add writes no MD5SUM since pacman 6.1, and PGPSIG only with --include-sigs.
_DIGESTS = {"SHA256SUM": "sha256", "MD5SUM": "md5"}
_WANTED = frozenset({"FILENAME", "CSIZE", "PGPSIG", *_DIGESTS})
_SIZE = re.compile(r"[0-9]{1,18}")
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\\/]{1,255}")
_MAX_SIGNATURE = 16 << 10  # pacman's own limit


def read_index(path: str, data: Iterable[bytes], drop: Drop = refuse_entry) -> Iterator[tuple[str, ExpectedFile]]:
    """Yield (name, expected file) for every package of the database at `path`; nothing if it is not a database.

    Raises the errors of `core.model.Family.read_index`.
    """
    if not is_database(path):
        return
    folder = path[: path.rfind("/") + 1]
    for expected in distinct(_all_expected(folder, records(data, wanted=_WANTED, drop=drop), drop), drop):
        yield expected.path, expected


def _all_expected(folder: str, found: Iterable[Record], drop: Drop) -> Iterator[ExpectedFile]:
    for record in found:
        try:
            name = _file_name(record)
        except ArchiveDataError as error:
            drop(error)
            continue
        path = f"{folder}{name}"
        for read, each in ((_package, path), (_signature, f"{path}.sig")):
            try:
                expected = read(each, record)
            except ArchiveDataError as error:
                drop(error, each)
                continue
            if expected is not None:
                yield expected


def _file_name(record: Record) -> str:
    name = _single(record, "FILENAME")
    if not _NAME.fullmatch(name) or name in {".", ".."}:
        raise _invalid(f"Not a file name: {name[:140]!a}")
    return name


def _package(path: str, record: Record) -> ExpectedFile | None:
    size = _single(record, "CSIZE")
    if size and not _SIZE.fullmatch(size):
        raise _invalid(f"Not a size: {size[:140]!a}")
    digests = {
        algorithm: digest(algorithm, text) for field, algorithm in _DIGESTS.items() if (text := _single(record, field))
    }
    return ExpectedFile(path, int(size) if size else None, digests) if digests else None


def _signature(path: str, record: Record) -> ExpectedFile | None:
    """Return the expected detached signature. The entry contains the file itself, base64-encoded by repo-add."""
    text = _single(record, "PGPSIG")
    if not text:
        return None
    try:
        whole = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(f"The signature {path[:140]!a} is not base64.") from None
    if len(whole) > _MAX_SIGNATURE:
        raise _invalid(f"The signature {path[:140]!a} has {len(whole)} bytes; the limit is {_MAX_SIGNATURE}.")
    return ExpectedFile(path, len(whole), {"sha256": hashlib.sha256(whole).hexdigest()})


def _single(record: Record, field: str) -> str:
    values = record.get(field, ())
    if len(values) > 1:
        raise _invalid(f"The field {field} has {len(values)} lines, not one.")
    return values[0] if values else ""


def _invalid(why: str) -> ArchiveDataError:
    return ArchiveDataError("The package database has an invalid entry", why=why)
