"""What a run came to: one line for people, one object for machines. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.filesize import decimal


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Counts of one run.

    Files and bytes are those sent to clients; `unverified` were served without any proof, `unpinned` came from hosts that the
    caller let pass, `refused` got an answer other than a file.
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
        """Return the line that ends a run; refusals and what passed unpinned are told when there are any."""
        told = [
            f"{self.files} files, {decimal(self.bytes)}",
            f"{self.from_cache} from cache",
            f"{self.from_upstream} from upstream ({self.upstream_requests} requests, {decimal(self.upstream_bytes)})",
            f"{self.unverified} unverified",
        ]
        told += [f"{count} {word}" for count, word in ((self.refused, "refused"), (self.unpinned, "unpinned")) if count]
        return "snapproxy: " + "; ".join(told)

    def table(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


def summarize(stats: Mapping[str, Any]) -> RunSummary:
    """Read the application's figures. One that is joined to a running download counts as from upstream: so it was not there."""
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
