"""The effective settings: frozen values with every default filled in. `settings` defines their form in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

from snapproxy.core.blob_sources import BlobSource
from snapproxy.core.model import Archive, TimeSpec
from snapproxy.core.rate_limit import BLOB_SOURCE, MIRROR, SPARING, RatePolicy

ADMIN_LISTEN = (("127.0.0.1", 3143),)
"""Where pages for operators are served by default."""


class UpstreamLimits(TypedDict, total=False):
    """The settings of `[upstreams."host"]`: fields of a RatePolicy."""

    connections: int
    requests_per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Watch:
    """`[[watch]]`: roots or indexes of an archive that are observed every `every` seconds.

    `packages`: "all" fetches every package as well. "used" keeps the packages that clients requested. "none" keeps no
    package for its instant: a package that was served is found by its digest while the store has it, but it may be
    deleted to reclaim space.
    """

    archive: str
    paths: tuple[str, ...]
    every: int
    packages: str


@dataclass(frozen=True, slots=True)
class MirroredSlice:
    """`[[mirror]]`: a slice of an archive, of which every `every` seconds each newly settled snapshot is fetched.

    `suites` are apt's. `components` are apt's components or the repositories of other families; empty: the usual ones.
    `architectures` empty: that of this machine.
    """

    archive: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    architectures: tuple[str, ...]
    every: int


@dataclass(frozen=True, slots=True)
class Config:
    """The effective settings.

    `listen` and `passes` are (host, port) pairs, IPv6 hosts without brackets. `default_when` is None if a request
    without a time gets a 407. `connect` allows live clients to tunnel to the archives' hosts. `patience` maps a family
    to its client timeout in seconds; a family that is missing has its own default. `source` is the file that was read,
    None without a file. A text is '' if its setting has no value.
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
    admin_listen: tuple[tuple[str, int], ...] = ()
    """Where pages for operators are served."""
    needs_admin: bool = False
    """Whether the settings name `admin_listen`: by default a port that is in use costs the pages alone."""
    tls_listen: tuple[tuple[str, int], ...] = ()
    """Where clients are answered over TLS."""
    tls_certificate: str = ""
    """The file of the certificate for these addresses, `tls_key` that of its private key."""
    tls_key: str = ""
    open_captures: int = 10_000
    """Maximum number of captures that are open at once."""
    serves_live: bool = True
    """Whether clients may request the present."""
    clients: tuple[str, ...] = ("loopback", "private")
    """Who may connect, in the form of `access.networks`."""
    tokens: str = "optional"
    """Which requests need a token, in the form of `access.gate.TokenRule`."""
    drain: int = 30
    """Seconds that running answers have to end when the server stops."""
    access_log: str = "short"
    """The form of the access log: short, combined, json or off."""
    log_level: str = "info"
    capture_keep: int = 30 * 86400
    """Seconds for which an open capture is kept after its last answer."""
    quota: int | None = None
    """Maximum bytes of stored files and downloads, None for no limit."""
    free_space: int | None = None
    """Bytes of the file system that stay free, None for the store's default."""
    fsck_every: int | None = 30 * 86400
    """Seconds between two checks of all stored files, None for no check."""
    fsck_rate: int = 20_000_000
    """Maximum bytes that are read for it in a second."""
    watch: tuple[Watch, ...] = ()
    mirror: tuple[MirroredSlice, ...] = ()
    metasnap: str = ""
    """Base address of a service that `prefetch` asks; `launchpad` likewise."""
    launchpad: str = ""
    upstream_proxy: str = ""
    upstream_proxy_credentials: str = ""
    upstream_proxy_except: tuple[str, ...] = ()
    upstream_ca: str = ""
    source: Path | None = None

    @property
    def blob_sources(self) -> tuple[BlobSource, ...]:
        """The sources from which digests are requested, of all archives."""
        return tuple(dict.fromkeys(blob_source for archive in self.archives for blob_source in archive.sources))

    @property
    def policies(self) -> Mapping[str, RatePolicy]:
        """The rate policy of each host: the settings of the host, over the defaults of its kind.

        The kinds: an upstream of the past (sparing), a blob source (generous), and an ordinary mirror, which every host
        is that is not in the result.
        """
        near = {urlsplit(blob_source.origin).hostname or "" for blob_source in self.blob_sources}
        past = {urlsplit(base).hostname or "" for archive in self.archives for base in archive.snapshot}
        past |= {urlsplit(base).hostname or "" for base in (self.metasnap, self.launchpad) if base}
        usual = {**dict.fromkeys(near, BLOB_SOURCE), **dict.fromkeys(past, SPARING)}
        configured = {host: replace(usual.get(host, MIRROR), **limits) for host, limits in self.upstreams.items()}
        return {**usual, **configured}
