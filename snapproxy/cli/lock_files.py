"""Read and write lock files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from snapproxy.base.atomic_files import write_file
from snapproxy.capture import lock
from snapproxy.capture.lock_reader import decode
from snapproxy.core.record import Record
from snapproxy.errors import ConfigurationError, RecordError
from snapproxy.formats import strict_json


def read_lock(file: Path) -> Record:
    """Read a lock. Raises RecordError, which names the file, if it cannot be read or is not a valid lock."""
    try:
        with file.open("rb") as opened:
            data = opened.read(strict_json.LARGEST + 1)
    except OSError as error:
        raise RecordError(
            "The lock cannot be read",
            why=f"{file}: {error.strerror}.",
            hint="Write one with `snapproxy run --lock FILE -- COMMAND` or `snapproxy lock NAME --output FILE`.",
        ) from None
    try:
        return decode(data)
    except RecordError as error:
        raise RecordError(error.reason, why=f"{file}: {error.why}", hint=error.hint) from None


def read_nonempty_lock(file: Path) -> Record:
    """Read a lock for a replay. Raises ConfigurationError if it has no entries, and the errors of `read_lock`."""
    record = read_lock(file)
    if not record.entries:
        raise ConfigurationError(
            "The lock is empty, so every request would be refused",
            why=f"{file} states that nothing was served.",
            hint="Record the build again: snapproxy run --at TIME --lock FILE -- COMMAND...",
        )
    return record


def check_can_be_written(file: Path) -> None:
    """Check, before a long build, that the lock can be written after it. Raises ConfigurationError."""
    folder = file.parent
    if file.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(
            "The lock cannot be written",
            why=f"{file} is a folder." if file.is_dir() else f"{folder} is not a writable folder.",
            hint="Name a file in a writable folder.",
        )


def write_lock(file: Path, record: Record, code: int) -> str:
    """Write the lock of a command that exited with `code`, print its counts, and return its sha256 (hex)."""
    data = lock.encode(record)
    write_file(file, data)
    files = sum(not entry.is_absence for entry in record.entries)
    warning = f"; the command failed ({code}), so it may contain less than the build needs" if code else ""
    print(f"snapproxy: {file} locks {files} files and {len(record.entries) - files} absences{warning}", file=sys.stderr)
    return lock.digest(record)
