"""The helper process that parses an index into a table: `python -m snapproxy.indexes.helper_main CACHE_DIR`.

Parsing 70,000 stanzas takes a second of one core, which would block the event loop, and a hostile index must not crash
the proxy: this process limits its own memory and CPU time, and if it dies, one index is refused. It reads jobs from
standard input, a line of JSON followed by the raw bytes of the index, and answers each with a line of JSON. It opens no
socket and reads no configuration.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from snapproxy.core.expected_files import DroppedEntries
from snapproxy.errors import ArchiveDataError, Drop
from snapproxy.families import FAMILIES, LISTERS
from snapproxy.indexes.table_format import dropped_rows, encode_expected, encode_package
from snapproxy_storage import StorageFailure, Tables, open_tables

MAX_MEMORY = 2 << 30
"""Maximum bytes of address space. sid's Packages takes a tenth of it.

Debian's Contents of all architectures, the largest index known, is not made into a table.
"""

MAX_CPU_SECONDS = 900
"""Maximum CPU time of one helper in seconds; a helper ends when idle."""

PIECE = 256 * 1024

Rows = Iterator[tuple[str, bytes]]


def _read_expected(job: dict[str, Any], data: Iterator[bytes], drop: Drop) -> tuple[str, Rows]:
    family = FAMILIES[job["family"]]
    found = family.read_index(job["path"], data, drop)
    return family.parser, ((name, encode_expected(expected)) for name, expected in found)


def _read_packages(job: dict[str, Any], data: Iterator[bytes], drop: Drop) -> tuple[str, Rows]:
    lister = LISTERS[job["family"]]
    return lister.parser, ((encode_package(package), b"") for package in lister.packages(job["path"], data, drop))


READERS = {"expected": _read_expected, "packages": _read_packages}
"""The kinds of tables: each reader returns the version of its parser, and the rows of the table."""


def _job_bytes(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0:
        data = stream.read(min(PIECE, size))
        if not data:
            raise EOFError("the proxy closed the pipe in the middle of an index")
        size -= len(data)
        yield data


def _build(tables: Tables, job: dict[str, Any], data: Iterator[bytes]) -> dict[str, Any]:
    dropped = DroppedEntries()
    version, rows = READERS[job["kind"]](job, data, dropped.add)
    try:
        tables.build(job["table"], version, _with_dropped(rows, dropped))
    except ArchiveDataError as error:
        return {"reason": error.reason, "why": error.why, "blame": "archive"}
    except StorageFailure as error:
        return {"reason": "The table of an index could not be written", "why": str(error), "blame": "storage"}
    except MemoryError:
        return {
            "reason": "The index is too large to parse",
            "why": f"Parsing it needs more than {MAX_MEMORY >> 20} MiB of memory.",
            "blame": "archive",
        }
    return {"reason": "", "dropped": dropped.count.count, "first": dropped.count.first}


def _with_dropped(rows: Rows, dropped: DroppedEntries) -> Rows:
    """Yield the rows of the usable entries, then those of the dropped ones, which are known at the end."""
    yield from dropped.some_of(rows)
    yield from dropped_rows(dropped)


def main() -> None:
    """Process jobs until standard input ends."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal sends it to all its processes; the server ignores it too
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    tables = open_tables(Path(sys.argv[1]))
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while line := stdin.readline():
        job = json.loads(line)
        data = _job_bytes(stdin, job["size"])
        result = _build(tables, job, data)
        for _ in data:  # drain the bytes that the parser has not read
            pass
        stdout.write(json.dumps(result).encode() + b"\n")
        stdout.flush()


if __name__ == "__main__":
    main()
