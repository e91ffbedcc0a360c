"""The thread pools of a store, one for each kind of blocking work. A thread starts with its first work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


class Threads:
    """The thread pools.

    - `writer` hashes and writes the bytes of all drafts, one piece at a time. - `catalog` runs all writes to the
    catalog. - `disk` runs slow operations (fsync, rename, sweep), so that a commit does not delay the other drafts. -
    `checks` hashes blobs of unknown identity. - `counts` counts the stored files. - `expiring` runs all calls of
    diskcache, whose connection can only be used in the thread that opened it.
    """

    def __init__(self) -> None:
        self.writer = ThreadPoolExecutor(1, "storage-writer")
        self.catalog = ThreadPoolExecutor(1, "storage-catalog")
        self.disk = ThreadPoolExecutor(2, "storage-disk")
        self.checks = ThreadPoolExecutor(2, "storage-check")
        self.counts = ThreadPoolExecutor(1, "storage-count")
        self.expiring = ThreadPoolExecutor(1, "storage-expiring")

    def close(self) -> None:
        """Wait for the work that was submitted."""
        for pool in (self.writer, self.catalog, self.disk, self.checks, self.counts, self.expiring):
            pool.shutdown(wait=True)
