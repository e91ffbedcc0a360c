"""The helper process that turns an index into a table, of what it promises or of what it lists: `python -m snapproxy.indexes.helper_main CACHE_DIR`.

Parsing 70,000 stanzas takes a second of one core and must not hold up the event loop, nor may a hostile index take the proxy down
with it: this process limits its own memory and time, and its death is one refused index. It reads jobs from standard input, a line of
JSON followed by the raw bytes of the index, and answers each with a line of JSON. It opens no socket and reads no configuration.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from snapproxy.core.listing import PackageVersion
from snapproxy.core.model import ExpectedFile
from snapproxy.errors import ArchiveDataError
from snapproxy.families import FAMILIES, LISTERS
from snapproxy_storage import StorageFailure, Tables, open_tables

MAX_MEMORY = 2 << 30
"""Bytes of address space. The largest index known (Debian's Contents of all architectures) is not tabulated; sid's Packages takes a tenth."""

MAX_CPU_SECONDS = 900
"""For the life of one helper, which ends when idle."""

PIECE = 256 * 1024

Rows = Iterator[tuple[str, bytes]]


def encode(expected: ExpectedFile) -> bytes:
    """Return a table row for `promise`."""
    return json.dumps([expected.path, expected.size, dict(expected.digests)], separators=(",", ":")).encode()


def decode(row: bytes) -> ExpectedFile:
    """Return the promise that `encode` wrote."""
    path, size, digests = json.loads(row)
    return ExpectedFile(path, size, digests)


def spell(package: PackageVersion) -> str:
    """Return the table's name for a package: the row itself is empty. Its words hold no blanks (`core.listing.listed`)."""
    return f"{package.name} {package.architecture} {package.version} {package.source} {package.source_version}"


def unspell(name: str) -> PackageVersion:
    """Return the package that `spell` wrote."""
    return PackageVersion(*name.split(" "))


def _promised(job: dict[str, Any], data: Iterator[bytes]) -> tuple[str, Rows]:
    family = FAMILIES[job["family"]]
    return family.parser, ((name, encode(expected)) for name, expected in family.read_index(job["path"], data))


def _listed(job: dict[str, Any], data: Iterator[bytes]) -> tuple[str, Rows]:
    lister = LISTERS[job["family"]]
    return lister.parser, ((spell(package), b"") for package in lister.packages(job["path"], data))


def _bytes_of_job(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0:
        data = stream.read(min(PIECE, size))
        if not data:
            raise EOFError("the proxy went away in the middle of an index")
        size -= len(data)
        yield data


READINGS = {"promises": _promised, "packages": _listed}
"""What can be read out of an index: each returns the version of what reads it, and the table's rows."""


def _build(tables: Tables, job: dict[str, Any], data: Iterator[bytes]) -> dict[str, Any]:
    version, rows = READINGS[job["reading"]](job, data)
    try:
        tables.build(job["table"], version, rows)
    except ArchiveDataError as error:
        return {"reason": error.reason, "why": error.why, "blame": "archive"}
    except StorageFailure as error:
        return {"reason": "The table of an index could not be written", "why": str(error), "blame": "storage"}
    except MemoryError:
        return {
            "reason": "The index is too large to read",
            "why": f"More than {MAX_MEMORY >> 20} MiB of memory.",
            "blame": "archive",
        }
    return {"reason": ""}


def main() -> None:
    """Serve jobs until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    tables = open_tables(Path(sys.argv[1]))
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while line := stdin.readline():
        job = json.loads(line)
        data = _bytes_of_job(stdin, job["size"])
        result = _build(tables, job, data)
        for _ in data:  # what the parser left unread still stands in the pipe
            pass
        stdout.write(json.dumps(result).encode() + b"\n")
        stdout.flush()


if __name__ == "__main__":
    main()
