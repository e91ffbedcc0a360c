"""A cache of JSON values that expire, in diskcache.

Values may be lost at any time, so a failure is logged and not raised.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import sqlite3
from typing import Any

import diskcache

from snapproxy_storage.layout import refuse_link
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.threads import Threads

_log = logging.getLogger(__name__)

_MODE_RAW = 1  # diskcache.core.MODE_RAW
_BUSY_SECONDS = 0.5
_DATABASE = "cache.db"


class JsonDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """Store text keys and JSON values in the database itself. Refuses pickles and files that a row may refer to."""

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
        return 0, _MODE_RAW, None, json.dumps(value)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:  # noqa: ARG002, FBT001
        if mode != _MODE_RAW or filename is not None or not isinstance(value, str):
            raise ValueError("refused a row that is not JSON")
        return json.loads(value)


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
            return None

    def _put(self, key: str, value: Any, seconds: float) -> None:
        try:
            self._opened().set(key, value, expire=seconds)
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            _log.warning("Cannot write %s to the cache: %s", key, error)

    def _close(self) -> None:
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    def _opened(self) -> Any:
        if self._cache is None:
            for name in (_DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm"):
                refuse_link(self._folder, name)
            self._cache = diskcache.Cache(
                str(self._folder.path), timeout=_BUSY_SECONDS, disk=JsonDisk, size_limit=self._max_bytes, cull_limit=16
            )
        return self._cache
