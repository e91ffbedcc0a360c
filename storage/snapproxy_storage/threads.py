"""The threads of a store, each for one kind of waiting. None is started before it has work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


class Threads:
    """`writer`: hashes and writes drafts, all of them, one piece at a time. `catalog`: all writes to the catalog.
    `disk`: what may take long (fsync, rename, sweeps), apart from the writer so that one commit stalls no other draft.
    `ephemera`: all use of diskcache, whose connection belongs to the thread that opened it.
    """  # noqa: D205 - four names, one sentence each

    def __init__(self) -> None:
        self.writer = ThreadPoolExecutor(1, "storage-writer")
        self.catalog = ThreadPoolExecutor(1, "storage-catalog")
        self.disk = ThreadPoolExecutor(2, "storage-disk")
        self.expiring = ThreadPoolExecutor(1, "storage-ephemera")

    def close(self) -> None:
        """Wait for what has begun."""
        for pool in (self.writer, self.catalog, self.disk, self.expiring):
            pool.shutdown(wait=True)
