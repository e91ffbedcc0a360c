"""Lock files: read them, and write them after a build."""

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
    """Read a lock from a file. Raises RecordError, with the file's name."""
    try:
        with file.open("rb") as opened:
            data = opened.read(strict_json.LARGEST + 1)
    except OSError as error:
        raise RecordError(
            "The lock cannot be read",
            why=f"{file}: {error.strerror}.",
            hint="`snapproxy run --lock FILE -- COMMAND` writes one, and so does `snapproxy lock NAME --output FILE`.",
        ) from None
    try:
        return decode(data)
    except RecordError as error:
        raise RecordError(error.reason, why=f"{file}: {error.why}", hint=error.hint) from None


def read_nonempty_lock(file: Path) -> Record:
    """Read a lock that is to be replayed. Raises RecordError, or ConfigurationError for one that names nothing to replay."""
    record = read_lock(file)
    if not record.entries:
        raise ConfigurationError(
            "The lock is empty, so that everything would be refused",
            why=f"{file} says that nothing was served.",
            hint="Record the build again: snapproxy run --at WHEN --lock FILE -- COMMAND...",
        )
    return record


def check_can_be_written(file: Path) -> None:
    """Make sure, before a long build, that a lock can be written after it. Raises ConfigurationError."""
    folder = file.parent
    if file.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(
            "The lock could not be written",
            why=f"{file} is a folder." if file.is_dir() else f"{folder} is no folder that can be written to.",
            hint="Name a file in a folder of yours.",
        )


def write_lock(file: Path, record: Record, code: int) -> str:
    """Write down what a command was served, whether or not it went well; return the lock's sha256 (hex)."""
    data = lock.encode(record)
    write_file(file, data)
    files = sum(not entry.is_absence for entry in record.entries)
    doubt = f"; the command failed ({code}), so it may hold less than the build needs" if code else ""
    print(f"snapproxy: {file} locks {files} files and {len(record.entries) - files} absences{doubt}", file=sys.stderr)
    return lock.digest(record)
