"""Summarize a run: one line for people, one object for scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rich.filesize import decimal

from snapproxy.core.model import Role
from snapproxy.core.record import Record

_SHOWN_HOSTS = 5
"""Number of refused hosts that the line names."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Counts of one run.

    `files` and `bytes` were sent to clients, `unverified` of the files without any proof. `unpinned` counts requests to
    hosts that are passed through, `refused` those whose answer was not a file; `refused_by_status` and `refused_hosts`
    count the latter in detail. `roots` are the files that a client must request to be pinned; `without_root` names the
    archives of which files, but no root, were sent.
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
    roots: int = 0
    without_root: tuple[str, ...] = ()
    refused_by_status: Mapping[str, int] = field(default_factory=dict)
    refused_hosts: Mapping[str, int] = field(default_factory=dict)

    @property
    def unasked(self) -> str:
        """Return which archives the clients used without requesting a root, '' if a root of each one was sent.

        A package manager that keeps its metadata sends no request for some time, and then installs the packages of
        another time, or sends no request at all.
        """
        if self.without_root:
            return f"no root of {', '.join(self.without_root)} was requested"
        return "" if self.roots else "no root was served"

    def with_refused(self, hosts: Mapping[str, int]) -> RunSummary:
        """Return the summary with further requests that were refused with a 403, by host."""
        count = sum(hosts.values())
        if not count:
            return self
        statuses = Counter(self.refused_by_status) + Counter({"403": count})
        return replace(
            self,
            refused=self.refused + count,
            refused_by_status=dict(sorted(statuses.items())),
            refused_hosts=dict(sorted((Counter(self.refused_hosts) + Counter(hosts)).items())),
        )

    def with_roots_of(self, record: Record, time: str) -> RunSummary:
        """Return the summary of a run that continues a record: its roots at `time` ('' for any) count as requested."""
        recorded = {
            entry.archive
            for entry in record.entries
            if entry.role is Role.ROOT and not entry.is_absence and time in ("", entry.requested)
        }
        left = tuple(name for name in self.without_root if name not in recorded)
        return replace(self, roots=max(self.roots, len(recorded)), without_root=left)

    def line(self) -> str:
        """Return the last line of a run. It reports refusals, unpinned requests and missing roots if there are any."""
        parts = [
            f"{self.files} files, {decimal(self.bytes)}",
            f"{self.from_cache} from cache",
            f"{self.from_upstream} from upstream ({self.upstream_requests} requests, {decimal(self.upstream_bytes)})",
            f"{self.unverified} unverified",
        ]
        if self.refused:
            parts.append(f"{self.refused} refused{self._refusals()}")
        if self.unpinned:
            parts.append(f"{self.unpinned} unpinned")
        if self.unasked:
            parts.append(f"{self.unasked}: a client may have used metadata of another time")
        return "snapproxy: " + "; ".join(parts)

    def _refusals(self) -> str:
        """Return the statuses and the hosts of refused requests, for the line."""
        statuses = ", ".join(f"{count} x {status}" for status, count in self.refused_by_status.items())
        hosts = [f"{host} ({count})" for host, count in self.refused_hosts.items()]
        named = ", ".join(hosts[:_SHOWN_HOSTS])
        further = f" and {len(hosts) - _SHOWN_HOSTS} more" if len(hosts) > _SHOWN_HOSTS else ""
        return (f" ({statuses})" if statuses else "") + (f", by host: {named}{further}" if named else "")

    def table(self) -> dict[str, Any]:
        """Return the counts by name."""
        return asdict(self)


def summarize(stats: Mapping[str, Any]) -> RunSummary:
    """Summarize the application's counters. A joined download counts as from upstream: its file was not stored."""
    upstreams = stats["upstreams"].values()
    archives = stats["archives"]
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
        roots=sum(each["roots"] for each in archives.values()),
        without_root=tuple(name for name, each in archives.items() if not each["roots"]),
        refused_by_status=stats["refusals_by_status"],
        refused_hosts=stats["refused_hosts"],
    )
