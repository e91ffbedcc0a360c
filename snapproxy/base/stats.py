"""Statistics: one `Stats` for each process, filled by all packages that do I/O, read by pages and by `run`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from snapproxy.core.exchange import Outcome, Served
from snapproxy.core.model import Proof, Refusal


@dataclass(slots=True)
class Stats:
    """Counters since the start of the process. Bytes are body bytes; an upstream is a host with its port."""

    answers: Counter[str] = field(default_factory=Counter)
    refusals: Counter[int] = field(default_factory=Counter)
    upstream_requests: Counter[str] = field(default_factory=Counter)
    upstream_bytes: Counter[str] = field(default_factory=Counter)
    unverified: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    passed_bytes: Counter[str] = field(default_factory=Counter)
    bytes_sent: int = 0

    def outcome(self, outcome: Outcome) -> None:
        """Count an answer."""
        match outcome:
            case Served():
                self.answers[outcome.cache] += 1
                if outcome.proof is Proof.NONE:
                    self.unverified += 1
            case Refusal():
                self.refusals[outcome.status] += 1

    def sent(self, count: int) -> None:
        """Count body bytes sent to a client."""
        self.bytes_sent += count

    def asked(self, *urls: str) -> None:
        """Count requests to upstreams, redirects included."""
        self.upstream_requests.update(_authority(url) for url in urls)

    def received(self, url: str, count: int) -> None:
        """Count body bytes from an upstream."""
        self.upstream_bytes[_authority(url)] += count

    def unpinned(self, host: str, sent: int, received: int) -> None:
        """Count a request to a host of the `pass` setting, and its bytes (`core.exchange.TrafficCounter`)."""
        self.passed[host] += 1
        self.passed_bytes[host] += sent + received

    def as_json(self) -> dict[str, Any]:
        """Return all counters as JSON values."""
        return {
            "hits": self.answers["HIT"],
            "misses": self.answers["MISS"],
            "joined": self.answers["JOINED"],
            "bytes": self.bytes_sent,
            "unverified": self.unverified,
            "refusals": sum(self.refusals.values()),
            "refusals_by_status": {str(status): count for status, count in sorted(self.refusals.items())},
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
