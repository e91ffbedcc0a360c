"""Estimate the files, bytes, requests and time of a prefetch, before it and while it runs. It does no I/O.

It is not known whether a mirror still has a file, so an estimate is a range: at best every file comes from the mirror,
at worst every file from the snapshot service. Observations narrow it (`Observed`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from yarl import URL

from snapproxy.core.history import History
from snapproxy.core.model import Family, Match, Role
from snapproxy.core.rate_limit import RatePolicy, RateState, pace, seconds_for
from snapproxy.prefetch.model import WantedFile
from snapproxy.upstream.egress import authority

HOPS = 2
"""Requests for one file of a snapshot service at worst: the file, and the redirect to its digest."""

REQUEST_SECONDS = 0.2
"""Assumed time of one short request, until it is observed."""

BYTES_PER_SECOND = 2_000_000.0
"""Assumed throughput, until it is observed. devscripts measured 1 MB/s at the snapshot service of that time."""

FEWEST = 10
"""Number of downloaded files from which observations are used."""

ARRIVING = 4
"""Files that arrive from a mirror at a time: as many as an ordinary mirror has connections."""


@dataclass(frozen=True, slots=True)
class UpstreamOutlook:
    """The limits of an upstream, and its state, as `upstream.rate_limit.RateLimiter` has them."""

    policy: RatePolicy
    state: RateState


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of an estimate. `mirror` and `past` are upstreams (host or host:port), '' if the archive has none.

    `size` in bytes, None if unknown; `is_stored`: no request is needed.
    """

    mirror: str
    past: str
    size: int | None = None
    is_stored: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """Observations of a running prefetch.

    `files` were downloaded, with so many `requests` by upstream and `bytes` in all, in `seconds` of transfer.
    `mirrored` of the files have a mirror, whether they came from it or not.
    """

    files: int = 0
    mirrored: int = 0
    requests: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """A range of a number, from the best case to the worst."""

    best: float
    worst: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """The remainder of a prefetch.

    `files` are to be downloaded, `stored` are in the store. `bytes` are those of the files whose size is known;
    `unsized` is the number of the others. `requests` by upstream, and `seconds`, are ranges. `slowest` is the upstream
    that takes longest at worst, '' if no upstream is needed.
    """

    files: int
    stored: int
    bytes: int
    unsized: int
    requests: Mapping[str, Bounds]
    seconds: Bounds
    slowest: str


def planned(file: WantedFile, family: Family, history: History, *, size: int | None, is_stored: bool) -> PlannedFile:
    """Return the upstreams of a wanted file.

    An observed archive, and every archive at the present, has its mirrors alone. A root of the past, and a file that no
    index lists, is requested from the service of the past alone.
    """
    archive = file.archive
    has_past = not history.is_observed and file.when.match is not Match.LIVE
    is_listed = family.classify(file.path).role in (Role.INDEX, Role.PACKAGE)
    mirror = _first_authority(archive.mirrors) if is_listed or not has_past else ""
    return PlannedFile(mirror, _first_authority(archive.snapshot) if has_past else "", size, is_stored)


def estimate(
    files: Iterable[PlannedFile],
    upstreams: Mapping[str, UpstreamOutlook],
    now: float,
    observed: Observed | None = None,
) -> Estimate:
    """Return the estimate for files that are not fetched yet. `now` in wall-clock seconds, as in the states."""
    observed = observed or Observed()
    every = list(files)
    missing = [file for file in every if not file.is_stored]
    requests = _requests(missing, observed)
    size = sum(file.size or 0 for file in missing)
    by_upstream = {
        name: Bounds(_seconds(upstreams[name], now, span.best), _seconds(upstreams[name], now, span.worst))
        for name, span in requests.items()
    }
    # The upstreams work at the same time, and share the line.
    transfer = size / _throughput(observed)
    best, worst = ([transfer, *(getattr(span, end) for span in by_upstream.values())] for end in ("best", "worst"))
    return Estimate(
        files=len(missing),
        stored=len(every) - len(missing),
        bytes=size,
        unsized=sum(file.size is None for file in missing),
        requests=requests,
        seconds=Bounds(max(best), max(worst)),
        slowest=max(by_upstream, key=lambda name: (by_upstream[name].worst, name), default=""),
    )


def _requests(missing: list[PlannedFile], observed: Observed) -> dict[str, Bounds]:
    """Return the requests to each upstream: known for a mirror, a range for the past of an archive with mirrors."""
    mirrors = Counter(file.mirror for file in missing if file.mirror)
    mirrored = Counter(file.past for file in missing if file.past and file.mirror)
    alone = Counter(file.past for file in missing if file.past and not file.mirror)
    share = _MirrorShare.of(sum(mirrors.values()), mirrors, mirrored, observed)
    spans = {name: Bounds(count * share.unasked, count * share.unasked) for name, count in mirrors.items()}
    for name in mirrored.keys() | alone.keys():
        few, many = _requests_of_past(alone[name], name, observed)
        spans[name] = Bounds(
            few + HOPS * mirrored[name] * share.lacking.best, many + HOPS * mirrored[name] * share.lacking.worst
        )
    return spans


@dataclass(frozen=True, slots=True)
class _MirrorShare:
    """Shares of the missing files that have a mirror: `unasked` of it so far, and `lacking` on it, as a range."""

    unasked: float
    lacking: Bounds

    @classmethod
    def of(
        cls, missing: int, mirrors: Mapping[str, int], mirrored: Mapping[str, int], observed: Observed
    ) -> _MirrorShare:
        """Derive the shares from the requests to the mirrors.

        Each file is requested from its mirror first, so a file that was requested and is not finished waits for the
        service of the past, apart from the few that arrive now. The share among the other files is that of a sample:
        it is uncertain by twice the standard deviation.
        """
        asked = sum(observed.requests.get(name, 0) for name in mirrors)
        if missing == 0 or asked < FEWEST:
            return cls(1.0, Bounds(0.0, 1.0))
        waiting = min(missing, max(0, asked - observed.mirrored))
        of_past = sum(observed.requests.get(name, 0) for name in mirrored) / HOPS
        arrived = max(0.0, of_past - (observed.files - observed.mirrored))
        share = min(1.0, (waiting + arrived) / asked)
        doubt = 2 * math.sqrt(share * (1 - share) / asked) + 1 / asked
        unasked = missing - waiting
        few = max(0, waiting - ARRIVING) + unasked * max(0.0, share - doubt)
        many = waiting + unasked * min(1.0, share + doubt)
        return cls(unasked / missing, Bounds(few / missing, many / missing))


def _requests_of_past(count: int, upstream: str, observed: Observed) -> tuple[float, float]:
    """Return the least and most requests for files that have no mirror: their redirects are soon observed."""
    if observed.files < FEWEST:
        return count, HOPS * count
    each, doubt = observed.requests.get(upstream, 0) / observed.files, HOPS / observed.files
    few, many = (min(max(value, 1.0), HOPS) for value in (each - doubt, each + doubt))
    return few * count, many * count


def _seconds(upstream: UpstreamOutlook, now: float, count: float) -> float:
    """Return the seconds until so many requests to an upstream are answered."""
    if count <= 0:
        return 0.0
    by_rate = seconds_for(upstream.state, upstream.policy, now, math.ceil(count))
    if pace(upstream.state, upstream.policy, now).requests_per_second is not None:
        return by_rate
    by_connections = count * REQUEST_SECONDS / upstream.policy.connections
    return by_rate + by_connections


def _throughput(observed: Observed) -> float:
    """Return bytes a second, observed or assumed."""
    is_known = observed.files >= FEWEST and observed.seconds > 0 and observed.bytes > 0
    return observed.bytes / observed.seconds if is_known else BYTES_PER_SECOND


def _first_authority(bases: tuple[str, ...]) -> str:
    return authority(URL(bases[0], encoded=True)) if bases else ""
