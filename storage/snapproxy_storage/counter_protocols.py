"""The contract of the counters that all processes of a store share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

MAX_COUNTER_NAME = 119
"""Maximum length of a name in bytes of UTF-8."""

MAX_COUNTERS = 2048
"""Maximum number of names that one process uses."""

OTHER_COUNTER = "other"
"""The counter of all names that are too long, or too many."""


class CounterCell(Protocol):
    """One word with the index 0, such as a view of a mapped file."""

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


class Counters(Protocol):
    """Counters of all processes that use or used the store, and gauges of the running ones, by name.

    A name is any text. Count in the event loop's thread: an increment is not atomic. Nothing here raises
    because of a full disk; the counts of a process that could not create its file end with it.
    """

    def cell(self, name: str) -> CounterCell:
        """Return the count of this process as a cell. `cell[0] += 1` costs no call and no system call.

        Keep the cell of a name that is counted often. A name that is too long, or one too many, has the cell of
        OTHER_COUNTER.
        """

    def add(self, name: str, amount: int = 1) -> None:
        """Increase a counter by `amount`, which is not negative."""

    def set_gauge(self, name: str, value: int) -> None:
        """Set a gauge of this process. It is gone when the process ends."""

    def totals(self) -> Mapping[str, int]:
        """Return the sums over all processes, including those that have ended. No sum decreases, even across restarts.

        It reads a file for each process, some milliseconds for ten processes: call it in a thread.
        Raises StorageFailure.
        """

    def gauges(self) -> Sequence[Mapping[str, int]]:
        """Return the gauges of each running process. Call it in a thread, like `totals`."""

    async def fold(self) -> None:
        """Merge the files of processes that have ended into one, so that their number stays small."""
