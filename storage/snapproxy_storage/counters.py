"""Counters on a local disk: a mapped file for each process, and one with the sums of processes that have ended.

A process holds a lock on its file, which the kernel releases when it dies; the mapped bytes remain. `fold` adds the
files without a lock to the sums: the new file of sums lists the added files, replaces the old one by a rename, and
only then the added files are removed. A process that is killed at any point therefore loses and doubles no count.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import mmap
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from snapproxy_storage.counter_page import PAGE_SIZE, CounterPage, read_page
from snapproxy_storage.counter_protocols import OTHER_COUNTER, CounterCell
from snapproxy_storage.failures import os_failure
from snapproxy_storage.layout import COUNTERS_LOCK, COUNTERS_SUM
from snapproxy_storage.locks import is_locked, try_lock, unlock
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.threads import Threads

MAX_KEPT = 8192
"""Maximum number of names in the file of sums."""

_TRIES = 20
"""How often a process tries to create its file, or to read while others fold."""

_NAME = re.compile(r"[0-9a-f]{16}")
_NEW = ".new"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _CounterSums:
    """The content of the file of sums. `included` names the files that are part of it but not removed yet."""

    totals: Mapping[str, int]
    included: frozenset[str]


class LocalCounters:
    """The counters of a folder. The file of this process is created with its first count."""

    def __init__(self, folder: OpenFolder, threads: Threads) -> None:
        self._folder = folder
        self._threads = threads
        self._page: CounterPage | None = None
        self._own: tuple[str, int] | None = None
        """The name and the descriptor of this process's file."""

    def cell(self, name: str) -> CounterCell:
        return self._opened().counter(name)

    def add(self, name: str, amount: int = 1) -> None:
        self._opened().counter(name)[0] += amount

    def set_gauge(self, name: str, value: int) -> None:
        gauge = self._opened().gauge(name)
        if gauge is not None:
            gauge[0] = value

    def totals(self) -> Mapping[str, int]:
        sums, pages = self._read_or_fail()
        totals = Counter(sums.totals)
        for counters, _ in pages.values():
            totals.update(counters)
        if self._page is not None and self._own is None:
            totals.update(self._page.read()[0])
        return dict(totals)

    def gauges(self) -> Sequence[Mapping[str, int]]:
        _, pages = self._read_or_fail()
        own = [self._page.read()[1]] if self._page is not None else []
        others = {name: gauges for name, (_, gauges) in pages.items() if not self._is_own(name)}
        with self._translated():
            return own + [gauges for name, gauges in others.items() if self._is_alive(name)]

    async def fold(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads.disk, self._fold)

    async def close(self) -> None:
        """Leave the counts of this process to the sums. A later count is lost."""
        own, self._own = self._own, None
        self._page = CounterPage(memoryview(bytearray(PAGE_SIZE)))
        if own is not None:
            fd = own[1]
            unlock(fd)  # the mapping has a duplicate of the descriptor, so closing it would release nothing
            os.close(fd)
            await self.fold()

    # --- the file of this process ------------------------------------------------------------------------------------

    def _opened(self) -> CounterPage:
        if self._page is None:
            buffer: mmap.mmap | bytearray
            try:
                name, fd = self._create()
                self._own = name, fd
                buffer = mmap.mmap(fd, PAGE_SIZE)
            except OSError as error:
                failure = os_failure(f"cannot create a file in {self._folder.path}", error)
                _log.warning("The counts of this process are kept in memory only: %s", failure)
                buffer = bytearray(PAGE_SIZE)
            self._page = CounterPage(memoryview(buffer))
        return self._page

    def _create(self) -> tuple[str, int]:
        """Create the file under a temporary name, lock it, and name it."""
        for _ in range(_TRIES):
            name = secrets.token_hex(8)
            fd = self._folder.open(name + _NEW, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                # All bytes are written, because a store to a mapping for which the disk has no room kills the process.
                if try_lock(fd) and os.pwrite(fd, bytes(PAGE_SIZE), 0) == PAGE_SIZE:
                    self._folder.rename(name + _NEW, self._folder, name)
                    return name, fd
            except FileNotFoundError:
                pass  # `_fold` of another process took it for the file of a process that has ended
            except OSError:
                os.close(fd)
                self._folder.remove(name + _NEW)
                raise
            os.close(fd)
            self._folder.remove(name + _NEW)
        raise OSError("the disk takes no whole file, or others remove it")

    # --- the files of all processes ----------------------------------------------------------------------------------

    def _is_own(self, name: str) -> bool:
        return self._own is not None and self._own[0] == name

    def _is_alive(self, name: str) -> bool:
        if self._is_own(name):
            return True
        with contextlib.suppress(FileNotFoundError), self._reading(name) as fd:
            return is_locked(fd)
        return False

    def _read_or_fail(self) -> tuple[_CounterSums, dict[str, tuple[dict[str, int], dict[str, int]]]]:
        with self._translated():
            return self._read_all()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise os_failure(f"cannot read the counters in {self._folder.path}", error) from error

    def _read_all(self) -> tuple[_CounterSums, dict[str, tuple[dict[str, int], dict[str, int]]]]:
        """Return the sums and the pages that they do not include, as of one moment."""
        for _ in range(_TRIES):
            before = self._identity()
            sums, pages = self._sums(), self._pages()
            if self._identity() == before:  # else a page may be missing that only the new sums include
                break
        return sums, {name: page for name, page in pages.items() if name not in sums.included}

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._folder.stat(COUNTERS_SUM)
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _pages(self) -> dict[str, tuple[dict[str, int], dict[str, int]]]:
        pages = {name: self._page_of(name) for name in self._folder.names() if _NAME.fullmatch(name)}
        return {name: page for name, page in pages.items() if page is not None}

    def _page_of(self, name: str) -> tuple[dict[str, int], dict[str, int]] | None:
        with contextlib.suppress(FileNotFoundError), self._reading(name) as fd:
            return read_page(os.pread(fd, PAGE_SIZE + 1, 0))
        return None

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[int]:
        fd = self._folder.open(name, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)

    def _sums(self) -> _CounterSums:
        try:
            with self._reading(COUNTERS_SUM) as fd:
                data = os.pread(fd, os.fstat(fd).st_size, 0)
            read = json.loads(data)
            totals = {str(name): int(value) for name, value in read["totals"].items()}
            return _CounterSums(totals, frozenset(map(str, read["included"])))
        except FileNotFoundError:
            return _CounterSums({}, frozenset())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _log.error("The sums in %s cannot be read and start at zero: %s", self._folder.path / COUNTERS_SUM, error)
            return _CounterSums({}, frozenset())

    # --- folding -----------------------------------------------------------------------------------------------------

    def _fold(self) -> None:
        """Add the files of processes that have ended to the sums, unless another process does."""
        try:
            lock = self._folder.open(COUNTERS_LOCK, os.O_RDWR | os.O_CREAT)
        except OSError:
            return  # the files stay, and count
        try:
            if try_lock(lock):
                self._fold_locked()
        except OSError as error:
            failure = os_failure(f"cannot write {self._folder.path / COUNTERS_SUM}", error)
            _log.warning("The counts of ended processes keep their files: %s", failure)
        finally:
            os.close(lock)

    def _fold_locked(self) -> None:
        sums = self._sums()
        for name in sums.included:
            if _NAME.fullmatch(name):
                self._folder.remove(name)
        ended = [name for name in self._folder.names() if self._has_ended(name)]
        named = [name for name in ended if not name.endswith(_NEW)]
        totals = Counter(sums.totals)
        for name in named:
            page = self._page_of(name)
            if page is None:
                _log.error("%s is damaged: its counts are lost", self._folder.path / name)
            else:
                totals.update(page[0])
        if named:
            self._write(_bounded(totals), named)
        for name in ended:
            self._folder.remove(name)

    def _has_ended(self, name: str) -> bool:
        """Return whether this is the file of a process that has ended."""
        if not _NAME.fullmatch(name.removesuffix(_NEW)) or self._is_own(name):
            return False
        return not self._is_alive(name)

    def _write(self, totals: Mapping[str, int], included: Sequence[str]) -> None:
        data = json.dumps({"included": sorted(included), "totals": totals}, sort_keys=True).encode()
        fd = self._folder.open(COUNTERS_SUM + _NEW, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            if os.pwrite(fd, data, 0) != len(data):
                raise OSError("the disk takes no whole file")
            os.fsync(fd)
        finally:
            os.close(fd)
        self._folder.rename(COUNTERS_SUM + _NEW, self._folder, COUNTERS_SUM)


def _bounded(totals: Mapping[str, int]) -> Mapping[str, int]:
    """Return at most MAX_KEPT sums; the smallest are added to OTHER_COUNTER."""
    if len(totals) <= MAX_KEPT:
        return totals
    by_size = sorted(totals.items(), key=lambda each: (each[0] == OTHER_COUNTER, each[1]), reverse=True)
    kept = dict(by_size[:MAX_KEPT])
    kept[OTHER_COUNTER] = kept.get(OTHER_COUNTER, 0) + sum(value for _, value in by_size[MAX_KEPT:])
    return kept


class MemoryCounters:
    """Counters of one process in memory, for work without a store and for tests."""

    def __init__(self) -> None:
        self._page = CounterPage(memoryview(bytearray(PAGE_SIZE)))

    def cell(self, name: str) -> CounterCell:
        return self._page.counter(name)

    def add(self, name: str, amount: int = 1) -> None:
        self._page.counter(name)[0] += amount

    def set_gauge(self, name: str, value: int) -> None:
        gauge = self._page.gauge(name)
        if gauge is not None:
            gauge[0] = value

    def totals(self) -> Mapping[str, int]:
        return self._page.read()[0]

    def gauges(self) -> Sequence[Mapping[str, int]]:
        return [self._page.read()[1]]

    async def fold(self) -> None:
        """Do nothing."""
