"""Write files atomically: the whole file, or nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_atomically(target: Path, data: bytes) -> None:
    """Write a file. If that fails, an existing file stays unchanged. Raises OSError."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a file, with the owner and mode of the calling user. Raises OSError."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(source, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
