"""Write files atomically: the whole file, or nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(target: Path, data: bytes) -> None:
    """Write a file. If that fails, an existing file stays unchanged. Raises OSError."""
    with _draft_of(target) as draft:
        draft.write_bytes(data)


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a file, with the owner and mode of the calling user. Raises OSError."""
    with _draft_of(target) as draft:
        shutil.copyfile(source, draft)


@contextmanager
def _draft_of(target: Path) -> Iterator[Path]:
    """Yield a path beside `target`, and rename it to `target` if the block succeeds."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
