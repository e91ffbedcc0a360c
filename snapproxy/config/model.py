"""What the settings come to: frozen values, every default filled in. How they are written stands in `settings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

from snapproxy.core.model import Archive, When


@dataclass(frozen=True, slots=True)
class Upstream:
    """How politely one host is asked: parallel connections, a sustained rate, and how many requests may come at once before it binds."""

    connections: int
    requests_per_second: float
    burst: int


#: A host that remembers the past. No limit is published; these figures stay clear of the blocks that builders report.
ARCHIVE_HOST = Upstream(connections=2, requests_per_second=0.7, burst=30)

#: A regular mirror is made for clients: about what one busy machine asks of it by itself.
MIRROR_HOST = Upstream(connections=6, requests_per_second=20.0, burst=200)


class Manners(TypedDict, total=False):
    """What `[upstreams."host"]` sets, of the fields of `Upstream`."""

    connections: int
    requests_per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Config:
    """The effective settings.

    `listen` and `passes` are (host, port) pairs, IPv6 hosts without brackets. `default_when` is None when a request without
    a time gets a 407. `connect` lets live clients tunnel to the archives' hosts. `patience` maps a family to the seconds its
    client is held; one it lacks keeps the family's own. `source` is the file that was read, None when there was none.
    """

    listen: tuple[tuple[str, int], ...]
    state_dir: Path
    cache_dir: Path
    default_when: When | None
    passes: tuple[tuple[str, int], ...]
    connect: bool
    archives: tuple[Archive, ...]
    upstreams: Mapping[str, Manners]
    patience: Mapping[str, float]
    source: Path | None = None

    def upstream(self, host: str) -> Upstream:
        """Return the manners for `host`: what is configured, else those of a host that some row reads the past from, else a mirror's."""
        past = {urlsplit(base).hostname for row in self.archives for base in row.snapshot}
        usual = ARCHIVE_HOST if host in past else MIRROR_HOST
        return replace(usual, **self.upstreams.get(host, {}))
