"""The helper process, from the proxy's side: start it, send it jobs, and stop it when it is idle or stuck."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any

from snapproxy.base.clock import Clock
from snapproxy.base.metrics import HELPER_DEATHS, HELPER_STARTS
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy_storage import Blob, Counters

log = logging.getLogger(__name__)

DRAIN_SECONDS = 1.0
"""How long to wait for the end of the pipe of a process that has ended, in seconds."""

IDLE_SECONDS = 20.0
"""How long the helper lives after its last job: an update requests its indexes within seconds of one another."""

JOB_SECONDS = 600.0
"""Timeout of one job; its index is then refused."""


class HelperDiedError(ArchiveDataError):
    """The helper died while it parsed an index: the index is the probable cause, but it may have been killed."""


class ParseTimeoutError(ArchiveDataError):
    """Parsing an index took too long: it is too large, or the machine too busy."""


class HelperProcess:
    """The one helper process. It processes one job at a time."""

    def __init__(self, cache_dir: Path, clock: Clock, counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._command = (sys.executable, "-I", "-m", "snapproxy.indexes.helper_main", str(cache_dir))
        self._process: Process | None = None
        self._one_job = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def build(self, family: str, path: str, table: str, blob: Blob, kind: str = "expected") -> None:
        """Build the table named `table` from the index `blob` at `path`. `kind` is a key of `helper_main.READERS`.

        Entries of the index that cannot be used are dropped, and logged in one line. Raise ArchiveDataError if the
        index cannot be parsed, StorageError if the table cannot be written.
        """
        async with self._one_job:
            if self._idle is not None:
                self._idle.cancel()
            try:
                async with self._clock.timeout(JOB_SECONDS):
                    job = {"kind": kind, "family": family, "path": path, "table": table, "size": blob.size}
                    result = await self._exchange(job, blob)
            except TimeoutError:
                self._kill()
                raise ParseTimeoutError(
                    "The index could not be parsed in time", why=f"Parsing it takes more than {JOB_SECONDS:.0f} s."
                ) from None
            except BaseException:
                self._kill()  # a part of a job may be in its pipe
                raise
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._kill)
        if result["reason"]:
            blame = ArchiveDataError if result["blame"] == "archive" else StorageError
            raise blame(result["reason"], why=result["why"])
        if result["dropped"]:
            log.warning(
                "Unusable entries of %s were dropped: %d. The first: %s", path, result["dropped"], result["first"]
            )

    async def _exchange(self, job: dict[str, Any], blob: Blob) -> dict[str, Any]:
        process = await self._running()
        if process.stdin is None or process.stdout is None:
            raise StorageError("The index helper process has no pipes")
        with contextlib.suppress(ConnectionError):  # a helper that died is detected by its empty answer
            process.stdin.write(json.dumps(job).encode() + b"\n")
            async for piece in blob.chunks(0, blob.size):
                process.stdin.write(piece)
                await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            self._kill()
            self._counters.add(HELPER_DEATHS.key())
            raise HelperDiedError(
                "The index could not be parsed",
                why="The helper process that parses it died, most likely at its limit of memory or CPU time.",
            )
        result: dict[str, Any] = json.loads(line)
        return result

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._counters.add(HELPER_STARTS.key())
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
            )
        return self._process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        ending = asyncio.create_task(_wait_ended(process))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End the process."""
        if self._idle is not None:
            self._idle.cancel()
        self._kill()
        await asyncio.gather(*self._ending)


async def _wait_ended(process: Process) -> None:
    """Wait until a killed process has ended and its pipes are closed: the event loop must not end before that."""
    await process.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            if process.stdout is not None:
                await process.stdout.read()
