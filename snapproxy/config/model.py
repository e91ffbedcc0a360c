"""What the settings come to: frozen values, every default filled in. How they are written stands in `settings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

from snapproxy.core.blob_sources import BlobSource
from snapproxy.core.model import Archive, TimeSpec
from snapproxy.core.rate_limit import BLOB_SOURCE, MIRROR, SPARING, RatePolicy


class UpstreamLimits(TypedDict, total=False):
    """What `[upstreams."host"]` sets, of the fields of a Policy."""

    connections: int
    requests_per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Watch:
    """`[[watch]]`: roots or indexes of an archive that are observed every `every` seconds.

    `packages`: "all" brings every package as well; "used" keeps what clients asked for; "none" holds none for its instant: what
    clients were served is found by its digest while the store has it, and nothing keeps it when space is made.
    """

    archive: str
    paths: tuple[str, ...]
    every: int
    packages: str


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
    default_when: TimeSpec | None
    passes: tuple[tuple[str, int], ...]
    connect: bool
    archives: tuple[Archive, ...]
    upstreams: Mapping[str, UpstreamLimits]
    patience: Mapping[str, float]
    watch: tuple[Watch, ...] = ()
    source: Path | None = None

    @property
    def blob_sources(self) -> tuple[BlobSource, ...]:
        """Who is asked by digest, for any archive."""
        return tuple(dict.fromkeys(blob_source for archive in self.archives for blob_source in archive.sources))

    @property
    def policies(self) -> Mapping[str, RatePolicy]:
        """How politely each host is asked: what is said of it laid over the manners of its kind.

        A host that some row reads the past from is asked sparingly; one that holds digests, freely; one that is not listed here is
        an ordinary mirror.
        """
        near = {urlsplit(blob_source.origin).hostname or "" for blob_source in self.blob_sources}
        past = {urlsplit(base).hostname or "" for archive in self.archives for base in archive.snapshot}
        usual = {**dict.fromkeys(near, BLOB_SOURCE), **dict.fromkeys(past, SPARING)}
        said = {host: replace(usual.get(host, MIRROR), **manners) for host, manners in self.upstreams.items()}
        return {**usual, **said}
