"""The record of a draft (its .meta file) as bytes. It is rewritten in place while others read it, so it has a checksum.

A record is a header line (CRC-32 and length of the JSON), the JSON, and padding to whole blocks, so that overwriting it
needs no new block on a full disk. This module does no I/O.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from snapproxy_storage.protocols import Meta

_BLOCK = 4096
_HEADER = 18  # two numbers of eight hex digits, a space and a newline
_MAX_TEXT = 4096
MAX_BYTES = 64 * 1024
"""The maximum length of a record: a reader reads this many bytes."""


class State(StrEnum):
    """The state of a draft."""

    ARRIVING = "arriving"
    """Being written while the lock is held; orphaned when the lock is free."""
    KEPT = "kept"
    """Abandoned, with its bytes flushed to disk for a later resume. No reader follows this record."""
    WHOLE = "whole"
    """Committed: the file contains `meta.length` bytes."""
    FAILED = "failed"
    """Abandoned with a `reason`."""


@dataclass(frozen=True, slots=True)
class DraftRecord:
    """The state of the draft whose file has the inode number `inode`. `boot` is the boot id of its last write."""

    state: State
    inode: int
    boot: str
    meta: Meta = field(default_factory=Meta)
    digest: str = ""
    reason: str = ""

    def is_resumable(self, inode: int, boot: str) -> bool:
        """Return whether the bytes in the file can be trusted. A system crash loses bytes that were not flushed."""
        return self.inode == inode and (
            self.state is State.KEPT or (self.state is State.ARRIVING and self.boot == boot)
        )


def encode(record: DraftRecord) -> bytes:
    """Return the record, padded to whole blocks."""
    values = asdict(record)
    # A truncated validator would be wrong. Without one a resume restarts from zero, which is always correct.
    values["meta"] = {name: value if len(str(value)) <= _MAX_TEXT else "" for name, value in values["meta"].items()}
    values["reason"] = record.reason[:_MAX_TEXT]
    body = json.dumps(values, sort_keys=True).encode()
    data = b"%08x %08x\n%b" % (zlib.crc32(body), len(body), body)
    return data.ljust(-(-len(data) // _BLOCK) * _BLOCK)


def decode(data: bytes) -> DraftRecord | None:
    """Return the record, None if the bytes are torn, damaged or empty."""
    try:
        checksum, length = (int(number, 16) for number in data[:_HEADER].split())
        body = data[_HEADER : _HEADER + length]
        if len(body) != length or zlib.crc32(body) != checksum:
            return None
        values = json.loads(body)
        return DraftRecord(**(values | {"state": State(values["state"]), "meta": Meta(**values["meta"])}))
    except (ValueError, TypeError, KeyError):
        return None
