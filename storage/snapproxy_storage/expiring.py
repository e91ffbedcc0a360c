"""A cache of JSON values that expire, in diskcache.

Values may be lost at any time, so a failure is logged and not raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import sqlite3
import zlib
from typing import Any

import diskcache

from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.threads import Threads

_log = logging.getLogger(__name__)

_MODE_RAW = 1  # diskcache.core.MODE_RAW
_BUSY_SECONDS = 0.5
_FILES = ("cache.db", "cache.db-wal", "cache.db-shm")


class JsonDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """Store text keys, and JSON values with a checksum, in the database itself.

    Refuses pickles and files that a row may refer to.
    """

    def put(self, key: Any) -> tuple[str, bool]:
        if not isinstance(key, str):
            raise TypeError(f"a key must be text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        if not raw or not isinstance(key, str):
            raise ValueError("refused a key that is not text")
        return key

    # diskcache's signatures
    def store(self, value: Any, read: bool, key: Any = None) -> tuple[int, int, None, str]:  # noqa: ARG002, FBT001
        text = json.dumps(value)
        return 0, _MODE_RAW, None, f"{zlib.crc32(text.encode()):08x} {text}"

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:  # noqa: ARG002, FBT001
        if mode != _MODE_RAW or filename is not None or not isinstance(value, str):
            raise ValueError("refused a row that is not JSON")
        checksum, _, text = value.partition(" ")
        if checksum != f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}":
            raise ValueError("refused a row whose checksum is wrong")
        return json.loads(text)


class LocalExpiring:
    """A bounded cache on disk that evicts the oldest entries first.

    It runs on one thread, because opening takes milliseconds and a write waits for an fsync.
    """

    def __init__(self, folder: OpenFolder, threads: Threads, *, max_bytes: int = 256 << 20) -> None:
        self._folder = folder
        self._thread = threads.expiring
        self._max_bytes = max_bytes
        self._cache: Any = None

    async def get(self, key: str) -> Any | None:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._get, key)

    async def put(self, key: str, value: Any, *, seconds: float) -> None:
        put = functools.partial(self._put, key, value, seconds)
        await asyncio.get_running_loop().run_in_executor(self._thread, put)

    def close(self) -> None:
        self._thread.submit(self._close).result()

    def _get(self, key: str) -> Any | None:
        try:
            return self._opened().get(key)
        except (ValueError, OSError, sqlite3.Error, diskcache.Timeout) as error:
            _log.warning("Cannot read %s from the cache, so it counts as absent: %s", key, error)
            self._discard_damaged(error)
            return None

    def _put(self, key: str, value: Any, seconds: float) -> None:
        try:
            self._opened().set(key, value, expire=seconds)
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            _log.warning("Cannot write %s to the cache: %s", key, error)
            self._discard_damaged(error)

    def _discard_damaged(self, error: Exception) -> None:
        """Remove the database if it is damaged, so that the next call creates another one."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return
        with contextlib.suppress(OSError, sqlite3.Error, diskcache.Timeout):
            self._close()
        for name in _FILES:
            with contextlib.suppress(OSError):
                self._folder.set_aside(name)

    def _close(self) -> None:
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    def _opened(self) -> Any:
        if self._cache is None:
            for name in _FILES:
                if self._folder.has(name) and self._folder.size_of_file(name) is None:
                    self._folder.set_aside(name)  # SQLite follows links, and fails on other kinds of entries
            self._cache = diskcache.Cache(
                str(self._folder.path), timeout=_BUSY_SECONDS, disk=JsonDisk, size_limit=self._max_bytes, cull_limit=16
            )
        return self._cache
