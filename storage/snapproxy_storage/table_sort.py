"""Sort the rows of a table in bounded memory: write sorted runs to temporary files and merge them."""

from __future__ import annotations

import contextlib
import heapq
import struct
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from snapproxy_storage.protocols import StorageFailure
from snapproxy_storage.table_format import Row

_LENGTHS = struct.Struct("<II")
_ROW_OVERHEAD = 150
"""Bytes of memory that Python needs for a row in addition to its content."""


@contextlib.contextmanager
def sorted_rows(rows: Iterable[tuple[str, bytes]], folder: Path, max_bytes: int) -> Iterator[Iterator[Row]]:
    """Provide the rows sorted by name, without repeated rows.

    It uses about `max_bytes` of memory, and files in `folder`.

    Iterating raises StorageFailure for a name with two different values.
    """
    with contextlib.ExitStack() as files:
        runs: list[IO[bytes]] = []
        rest: list[Row] = []
        size = 0
        for name, value in rows:
            rest.append((name.encode(), value))
            size += len(name) + len(value) + _ROW_OVERHEAD
            if size > max_bytes:
                runs.append(files.enter_context(_run(rest, folder)))
                rest, size = [], 0
        rest.sort()
        yield _unique(heapq.merge(*map(_read, runs), rest))


def _run(rows: list[Row], folder: Path) -> IO[bytes]:
    rows.sort()
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the caller's exit stack closes it
    for name, value in rows:
        file.write(_LENGTHS.pack(len(name), len(value)) + name + value)
    file.seek(0)
    return file


def _read(run: IO[bytes]) -> Iterator[Row]:
    while lengths := run.read(_LENGTHS.size):
        name, value = _LENGTHS.unpack(lengths)
        yield run.read(name), run.read(value)


def _unique(rows: Iterable[Row]) -> Iterator[Row]:
    last: Row | None = None
    for row in rows:
        if last is not None and row[0] == last[0]:
            if row[1] != last[1]:
                raise StorageFailure(f"two values for one name: {row[0].decode()}")
            continue
        last = row
        yield row
