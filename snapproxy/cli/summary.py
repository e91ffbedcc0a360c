"""Summarize a run: one line for people, one object for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.filesize import decimal


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Counts of one run.

    `files` and `bytes` were sent to clients, `unverified` of the files without any proof. `unpinned` counts requests to
    hosts that are passed through, `refused` those whose answer was not a file.
    """

    files: int
    bytes: int
    from_cache: int
    from_upstream: int
    upstream_requests: int
    upstream_bytes: int
    unverified: int
    refused: int
    unpinned: int

    def line(self) -> str:
        """Return the last line of a run. It counts refusals and unpinned requests if there are any."""
        parts = [
            f"{self.files} files, {decimal(self.bytes)}",
            f"{self.from_cache} from cache",
            f"{self.from_upstream} from upstream ({self.upstream_requests} requests, {decimal(self.upstream_bytes)})",
            f"{self.unverified} unverified",
        ]
        parts += [
            f"{count} {word}" for count, word in ((self.refused, "refused"), (self.unpinned, "unpinned")) if count
        ]
        return "snapproxy: " + "; ".join(parts)

    def table(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


def summarize(stats: Mapping[str, Any]) -> RunSummary:
    """Summarize the application's counters. A joined download counts as from upstream: its file was not stored."""
    upstreams = stats["upstreams"].values()
    return RunSummary(
        files=stats["hits"] + stats["misses"] + stats["joined"],
        bytes=stats["bytes"],
        from_cache=stats["hits"],
        from_upstream=stats["misses"] + stats["joined"],
        upstream_requests=sum(each["requests"] for each in upstreams),
        upstream_bytes=sum(each["bytes"] for each in upstreams),
        unverified=stats["unverified"],
        refused=stats["refusals"],
        unpinned=stats["unpinned"],
    )
