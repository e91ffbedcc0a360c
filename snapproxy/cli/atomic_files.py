"""Write files atomically: whole, or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_atomically(target: Path, data: bytes) -> None:
    """Write a file, or leave what stands there as it is."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a file to where the user wants it: whole or not at all, with the user's own owner and mode."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(source, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
