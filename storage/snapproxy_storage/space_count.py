"""Count the bytes of all blobs and drafts. All functions block, and run on a thread; they raise OSError.

The store is used while its blobs are counted. They are counted in buckets of digests, so that few sizes are in memory.
A bucket is listed without a lock; then, under the lock of changes, the blobs that have changed meanwhile are looked at
again. A later change of a bucket that is counted adjusts the sum (`Figures.count_change`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from snapproxy_storage.layout import draft_of, is_digest
from snapproxy_storage.locks import is_locked
from snapproxy_storage.open_folder import NOT_A_FILE, OpenFolder
from snapproxy_storage.space_file import Figures, SpaceFile, bucket_of
from snapproxy_storage.space_protocols import blocks

_BUCKET_BLOBS = 50_000
"""Number of blobs whose sizes are in memory at a time (about 10 MB)."""


def count_blobs(file: SpaceFile, blobs: OpenFolder, is_stopped: Callable[[], bool] = lambda: False) -> bool:
    """Count the blobs, and record their bytes. Return False if another process counts them, or if it is stopped."""
    slot = file.slot()
    buckets = 1 + _count_entries(blobs) // _BUCKET_BLOBS
    with file.changing(), file.figures() as figures:
        if figures.counter is not None and figures.counter != slot and file.is_alive(figures.counter):
            return False
        dead = {each for each in figures.used_slots if not file.is_alive(each)}
        figures.begin_count(slot, buckets)
    try:
        for bucket in range(buckets):
            if is_stopped():
                return False
            _count_bucket(file, blobs, bucket, buckets, dead)
    finally:
        with file.figures() as figures:
            if figures.counter == slot:  # it did not reach its end
                figures.abandon_count()
    return True


def _count_bucket(file: SpaceFile, blobs: OpenFolder, bucket: int, buckets: int, dead: set[int]) -> None:
    sizes = _sizes(blobs, bucket, buckets)
    with file.changing(), file.figures() as figures:
        for digest in file.changes(figures):
            if bucket_of(digest, buckets) == bucket:
                sizes[digest] = size_on_disk(blobs, digest)
        figures.add_bucket(sum(sizes.values()))
        if bucket == buckets - 1:
            figures.end_count()
            for each in dead:  # one that died during the count may have changed a bucket after it was counted
                figures.mark(each, is_changing=False)
            file.forget_changes()


def settle(file: SpaceFile, figures: Figures, drafts: OpenFolder) -> bool:
    """Count the drafts without a writer, and take back what dead processes reserved.

    Return whether a count of the blobs is needed, because a process died while it changed one.
    """
    dead = [slot for slot in figures.used_slots if not file.is_alive(slot)]
    for slot in dead:
        if not figures.is_marked(slot):
            figures.clear(slot)
    figures.kept = _kept_bytes(drafts)
    return any(figures.is_marked(slot) for slot in dead)


def size_on_disk(folder: OpenFolder, name: str) -> int:
    """Return the bytes that a file takes on disk, 0 if there is none."""
    return blocks(folder.size_of_file(name) or 0)


def _count_entries(folder: OpenFolder) -> int:
    with folder.entries() as entries:
        return sum(1 for _ in entries)


def _sizes(blobs: OpenFolder, bucket: int, buckets: int) -> dict[str, int]:
    sizes = {}
    with blobs.entries() as entries:
        for entry in entries:
            if is_digest(entry.name) and bucket_of(entry.name, buckets) == bucket:
                sizes[entry.name] = size_on_disk(blobs, entry.name)
    return sizes


def _kept_bytes(drafts: OpenFolder) -> int:
    """Return the bytes of the drafts that no process writes, with their records."""
    is_written: dict[str, bool] = {}
    total = 0
    for name in drafts.names():
        draft = draft_of(name)
        if draft is not None:
            if draft not in is_written:
                is_written[draft] = _has_writer(drafts, draft)
            total += 0 if is_written[draft] else size_on_disk(drafts, name)
    return total


def _has_writer(drafts: OpenFolder, name: str) -> bool:
    try:
        fd = drafts.open(name, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in NOT_A_FILE:
            return False
        raise
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode) and is_locked(fd)
    finally:
        os.close(fd)
