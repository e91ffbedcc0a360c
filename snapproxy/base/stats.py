"""Statistics: one `Stats` for each process, filled by all packages that do I/O, read by pages and by `run`.

Its fields count this process alone, since its start. It also counts into the counters that all processes share
(`base.shared_counts`), which metrics and the pages for operators read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from snapproxy.base.metrics import OTHERS
from snapproxy.base.shared_counts import SharedCells, SharedCounts
from snapproxy.core.exchange import Served
from snapproxy.core.model import Proof, Role

MAX_REFUSED_HOSTS = 32
"""Maximum number of hosts of refused requests that are counted one by one: clients choose the names."""


@dataclass(slots=True)
class Stats:
    """Counters since the start of the process. Bytes are body bytes; an upstream is a host with its port.

    `files` and `roots` are counted by archive, `refusals` by status, `refused_hosts` by the host that a client tried to
    reach past the archives.
    """

    answers: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    roots: Counter[str] = field(default_factory=Counter)
    refusals: Counter[int] = field(default_factory=Counter)
    refused_hosts: Counter[str] = field(default_factory=Counter)
    upstream_requests: Counter[str] = field(default_factory=Counter)
    upstream_bytes: Counter[str] = field(default_factory=Counter)
    unverified: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    passed_bytes: Counter[str] = field(default_factory=Counter)
    bytes_sent: int = 0
    shared: SharedCounts = field(default_factory=SharedCounts)
    _cells: dict[tuple[str, str], SharedCells] = field(default_factory=dict)

    def served(self, served: Served) -> None:
        """Count a file that is sent (`core.exchange.TrafficCounter`)."""
        key = served.archive, served.cache
        cells = self._cells.get(key)
        if cells is None:
            cells = self._cells[key] = self.shared.cells(*key)
        cells.files[0] += 1
        self.answers[served.cache] += 1
        self.files[served.archive] += 1
        if served.role is Role.ROOT:
            self.roots[served.archive] += 1
        if served.proof is Proof.NONE:
            self.unverified += 1
            self.shared.unverified(served.archive)

    def refused(self, status: int, host: str = "", archive: str = "") -> bool:
        """Count a refusal, and return whether it is the first one for `host` (`core.exchange.TrafficCounter`)."""
        self.refusals[status] += 1
        self.shared.refused(status, archive)
        if not host:
            return False
        is_listed = host in self.refused_hosts
        has_room = len(self.refused_hosts) < MAX_REFUSED_HOSTS
        self.refused_hosts[host if is_listed or has_room else OTHERS] += 1
        return has_room and not is_listed

    def sent(self, served: Served, count: int) -> None:
        """Count body bytes sent to a client (`core.exchange.TrafficCounter`)."""
        self.bytes_sent += count
        cells = self._cells.get((served.archive, served.cache)) or self.shared.cells(served.archive, served.cache)
        cells.sent[0] += count

    def asked(self, *urls: str) -> None:
        """Count requests to upstreams, redirects included."""
        self.upstream_requests.update(_authority(url) for url in urls)

    def received(self, url: str, count: int) -> None:
        """Count body bytes from an upstream."""
        self.upstream_bytes[_authority(url)] += count
        self.shared.received(_authority(url), count)

    def unpinned(self, host: str, sent: int, received: int) -> None:
        """Count a request to a host of the `pass` setting, and its bytes (`core.exchange.TrafficCounter`)."""
        self.passed[host] += 1
        self.passed_bytes[host] += sent + received
        self.shared.unpinned(sent + received)

    def as_json(self) -> dict[str, Any]:
        """Return all counters as JSON values."""
        return {
            "hits": self.answers["HIT"],
            "misses": self.answers["MISS"],
            "joined": self.answers["JOINED"],
            "bytes": self.bytes_sent,
            "unverified": self.unverified,
            "archives": {
                name: {"files": count, "roots": self.roots[name]} for name, count in sorted(self.files.items())
            },
            "refusals": sum(self.refusals.values()),
            "refusals_by_status": {str(status): count for status, count in sorted(self.refusals.items())},
            "refused_hosts": dict(sorted(self.refused_hosts.items())),
            "unpinned": sum(self.passed.values()),
            "unpinned_by_host": {
                host: {"requests": count, "bytes": self.passed_bytes[host]}
                for host, count in sorted(self.passed.items())
            },
            "upstreams": {
                host: {"requests": count, "bytes": self.upstream_bytes[host]}
                for host, count in sorted(self.upstream_requests.items())
            },
        }


def _authority(url: str) -> str:
    return urlsplit(url).netloc
