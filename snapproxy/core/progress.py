"""The protocol by which long work reports its progress: transfers, exports, imports, observations, comparisons."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of each item. `path` is a file's path or a blob's digest; `done` and `total` are bytes."""

    def advance(self, path: str, done: int, total: int | None) -> None:
        """Report that `done` of `total` bytes (None: unknown) are processed. A retry may start below the last value."""

    def finish(self, path: str) -> None:
        """Report that an item is complete."""


class _Silent:
    def advance(self, path: str, done: int, total: int | None) -> None:
        """Ignore the report."""

    def finish(self, path: str) -> None:
        """Ignore the report."""


SILENT: Progress = _Silent()
"""Ignores every report: the default where no caller displays progress."""
