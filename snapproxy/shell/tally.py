"""What was done, in numbers. One Tally a process; every room that acts adds to it, pages and the closing line of `run` read it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from snapproxy.core.exchange import Outcome, Served
from snapproxy.core.model import Proof, Refusal


@dataclass(slots=True)
class Tally:
    """Counts since the process started. Bytes are body bytes; an upstream is a host with its port."""

    answers: Counter[str] = field(default_factory=Counter)
    refusals: Counter[int] = field(default_factory=Counter)
    upstream_requests: Counter[str] = field(default_factory=Counter)
    upstream_bytes: Counter[str] = field(default_factory=Counter)
    unverified: int = 0
    unpinned: int = 0
    bytes_sent: int = 0
    bytes_from_cache: int = 0

    def outcome(self, outcome: Outcome) -> None:
        """Count an answer."""
        match outcome:
            case Served():
                self.answers[outcome.cache] += 1
                if outcome.proof is Proof.NONE:
                    self.unverified += 1
            case Refusal():
                self.refusals[outcome.status] += 1

    def sent(self, cache: str, count: int) -> None:
        """Count body bytes that went to a client."""
        self.bytes_sent += count
        if cache == "HIT":
            self.bytes_from_cache += count

    def as_json(self) -> dict[str, Any]:
        """Return everything, ready for `json.dumps`."""
        return {
            "answers": dict(self.answers),
            "refusals": {str(status): count for status, count in self.refusals.items()},
            "upstream": {
                host: {"requests": count, "bytes": self.upstream_bytes[host]}
                for host, count in sorted(self.upstream_requests.items())
            },
            "unverified": self.unverified,
            "unpinned": self.unpinned,
            "bytes_sent": self.bytes_sent,
            "bytes_from_cache": self.bytes_from_cache,
        }
