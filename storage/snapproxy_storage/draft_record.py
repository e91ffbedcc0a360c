"""What a draft's meta file says, as bytes: rewritten in place while others read it, so a torn read must be noticed.

A record is a header line (checksum and length of what follows), JSON, and padding to whole blocks: overwriting it on a full
disk needs no new block. Pure.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from snapproxy_storage.protocols import Meta

_BLOCK = 4096
_HEADER = 18  # two numbers of eight hex digits, a space and a newline
_LONGEST = 4096
MOST_BYTES = 64 * 1024
"""A record is never longer than this: read so much."""


class State(StrEnum):
    """Where a draft stands."""

    ARRIVING = "arriving"
    """Being written while its lock is held; an orphan when it is free."""
    KEPT = "kept"
    """Given up, with its bytes forced to disk for a later resume. Nobody follows this record."""
    WHOLE = "whole"
    """Committed: the file holds `meta.length` bytes."""
    FAILED = "failed"
    """Given up for `reason`."""


@dataclass(frozen=True, slots=True)
class DraftRecord:
    """The state of the draft whose file has this `inode`, last written under this `boot` of the machine."""

    state: State
    inode: int
    boot: str
    meta: Meta = field(default_factory=Meta)
    digest: str = ""
    reason: str = ""

    def is_resumable(self, inode: int, boot: str) -> bool:
        """Whether the bytes in the file can be trusted to be what was written: a crash of the machine loses what nobody forced to disk."""
        return self.inode == inode and (
            self.state is State.KEPT or (self.state is State.ARRIVING and self.boot == boot)
        )


def encode(record: DraftRecord) -> bytes:
    """Return the record as whole blocks."""
    values = asdict(record)
    # A validator cut short would be a wrong one; without it a resume starts over, which is always right.
    values["meta"] = {name: value if len(str(value)) <= _LONGEST else "" for name, value in values["meta"].items()}
    values["reason"] = record.reason[:_LONGEST]
    body = json.dumps(values, sort_keys=True).encode()
    data = b"%08x %08x\n%b" % (zlib.crc32(body), len(body), body)
    return data.ljust(-(-len(data) // _BLOCK) * _BLOCK)


def decode(data: bytes) -> DraftRecord | None:
    """Return the record, None when the bytes are torn, damaged or none."""
    try:
        checksum, length = (int(number, 16) for number in data[:_HEADER].split())
        body = data[_HEADER : _HEADER + length]
        if len(body) != length or zlib.crc32(body) != checksum:
            return None
        values = json.loads(body)
        return DraftRecord(**(values | {"state": State(values["state"]), "meta": Meta(**values["meta"])}))
    except (ValueError, TypeError, KeyError):
        return None
