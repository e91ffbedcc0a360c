"""Connect the pages to the application of the current configuration, and to its measurements."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from snapproxy.base import metrics
from snapproxy.base.protected_space import is_quota_protected
from snapproxy.capture.reading import CaptureReader
from snapproxy.core.exchange import Page, PageRequest
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.rate_limit import slow_down
from snapproxy.core.routes import format_authority
from snapproxy.download.flight import Flight
from snapproxy.monitoring.recent import RecentTraffic, TrafficReading
from snapproxy.monitoring.samples import TotalsSample
from snapproxy.monitoring.verdict import ServiceSignals
from snapproxy.pages.archives import ArchivePages
from snapproxy.pages.captures import CapturePages
from snapproxy.pages.packages import PackagePages
from snapproxy.pages.service import DiskUse, TrafficSample, TrafficTotals, TransferState, UpstreamUse
from snapproxy.pages.setup import SetupPage
from snapproxy.pages.site import PageSite
from snapproxy.wiring.application import App
from snapproxy_storage import StorageFailure

PROBE_SECONDS = 10.0
"""How long the result of a probe of the store is used: each writes to the disk."""

COUNT_SECONDS = 1.0
"""How long a look at the counters is used: it reads a file for each process."""

_ANYWHERE = frozenset({"0.0.0.0", "::"})


class ServicePages:
    """The pages of the current application (`core.exchange.PageAnswerer`), which a reload may replace."""

    def __init__(self, app: Callable[[], App], last_day: Callable[[], Sequence[TotalsSample]]) -> None:
        """`last_day` returns the samples of the last day, as `DaySamples` does."""
        self._app = app
        self._measured = MeasuredService(app, last_day)
        self._first_look = asyncio.create_task(self._measured.refresh())
        self._built: tuple[App, PageSite] | None = None

    async def answer(self, request: PageRequest) -> Page | Refusal:
        """Return the page for a request. Raises StorageFailure if the counters cannot be read."""
        with contextlib.suppress(StorageFailure):
            await self._first_look
        await self._measured.refresh()
        app = self._app()
        if self._built is None or self._built[0] is not app:
            self._built = app, _site(app, self._measured)
        return await self._built[1].answer(request)


def _site(app: App, measured: MeasuredService) -> PageSite:
    families = {archive.name: archive.family for archive in app.archives.values()}
    return PageSite(
        measured,
        archives=ArchivePages(app.archives, app.store.overview, app.bad_snapshots.applied, measured),
        captures=CapturePages(CaptureReader(app.store, families), families),
        packages=PackagePages(app.archives, app.store, app.tables),
        setup=SetupPage(tuple(app.archives.values()), _base(app)),
    )


def _base(app: App) -> str:
    """Return the first address on which clients are served, this machine's own if it is any address."""
    host, port = app.config.listen[0] if app.config.listen else ("127.0.0.1", 3142)
    return f"http://{format_authority('127.0.0.1' if host in _ANYWHERE else host, port)}"


class MeasuredService:
    """The measurements of the store, whose counters are those of all processes (`pages.service.RunningService`)."""

    def __init__(self, app: Callable[[], App], last_day: Callable[[], Sequence[TotalsSample]]) -> None:
        self._app = app
        self._last_day = last_day
        self._clock = app().clock
        self._counted = app().store.counters
        self._counts = _SharedFigures({})
        self._looked: float | None = None
        self._started = self._clock.monotonic()
        self._recent = RecentTraffic(self._reading())
        self._looking = asyncio.Lock()
        self._probing = asyncio.Lock()
        self._probed: tuple[float, str] | None = None

    async def refresh(self) -> None:
        """Read the counters, unless they were read a moment ago. Recent traffic is counted from the first look on."""
        async with self._looking:
            now = self._clock.monotonic()
            if self._looked is not None and now - self._looked < COUNT_SECONDS:
                return
            self._counts = _SharedFigures(await asyncio.to_thread(self._counted.totals))
            if self._looked is None:
                self._recent = RecentTraffic(self._reading())
            self._looked = now

    def now(self) -> Instant:
        return self._clock.now()

    async def signals(self) -> ServiceSignals:
        reading, disk, upstreams = self._recent.since(self._reading()), self.disk(), self.upstreams()
        return ServiceSignals(
            up_seconds=self._clock.monotonic() - self._started,
            store_fault=await self._store_fault(),
            is_counted=disk.is_counted,
            used=disk.used,
            limit=disk.limit,
            free=disk.free,
            floor=disk.floor,
            requests=reading.requests,
            failures=reading.failures,
            bad_files=reading.bad_files,
            is_protected=is_quota_protected(self._app().store),
            cooling=tuple(each.name for each in upstreams if each.cool_down > 0),
            upstreams=len(upstreams),
        )

    def totals(self) -> TrafficTotals:
        counts = self._counts
        outcomes, sent = counts.by_label(metrics.REQUESTS, 1), counts.by_label(metrics.SENT_BYTES, 1)
        statuses = counts.by_label(metrics.REFUSALS, 1)
        return TrafficTotals(
            hits=outcomes["hit"],
            joined=outcomes["joined"],
            misses=outcomes["miss"],
            sent=counts.total(metrics.SENT_BYTES),
            saved=sum(sent[outcome] for outcome in metrics.SAVING),
            fetched=counts.total(metrics.UPSTREAM_BYTES),
            unverified=counts.total(metrics.UNVERIFIED),
            unpinned=counts.total(metrics.UNPINNED),
            files=dict(counts.by_label(metrics.REQUESTS, 0)),
            refusals={int(status): count for status, count in statuses.items() if status.isdigit()},
        )

    def last_day(self) -> Sequence[TrafficSample]:
        return [
            TrafficSample(
                at=each.at,
                hits=each.hits + each.joined,
                misses=each.misses,
                refusals=each.refusals,
                sent=each.sent,
                fetched=each.fetched,
            )
            for each in self._last_day()
        ]

    def transfers(self) -> Sequence[TransferState]:
        return tuple(map(_transfer, self._app().downloads.flights()))

    def upstreams(self) -> Sequence[UpstreamUse]:
        counts, limiter, now = self._counts, self._app().limiter, self._clock.time()
        requests, fetched = (counts.by_label(each, 0) for each in (metrics.UPSTREAM_REQUESTS, metrics.UPSTREAM_BYTES))
        found = []
        for name in metrics.upstream_hosts(counts.keys):
            state = limiter.state(name)
            found.append(
                UpstreamUse(
                    name=name,
                    requests=requests[name],
                    fetched=fetched[name],
                    queued=limiter.queued(name),
                    cool_down=max(0.0, state.until - now),
                    cause=state.cause if state.until > now else "",
                    slow_down=slow_down(state, now),
                )
            )
        return tuple(found)

    def disk(self) -> DiskUse:
        space = self._app().store.space
        return DiskUse(
            used=space.stored + space.kept + space.reserved,
            limit=space.limit,
            free=space.free,
            floor=space.floor,
            is_counted=space.is_counted,
        )

    def _reading(self) -> TrafficReading:
        counts, totals = self._counts, self.totals()
        failures = sum(count for status, count in totals.refusals.items() if metrics.is_failure(status))
        requests = totals.answers + sum(totals.refusals.values())
        return TrafficReading(self._clock.monotonic(), requests, failures, counts.total(metrics.VERIFICATION_FAILURES))

    async def _store_fault(self) -> str:
        async with self._probing:
            now = self._clock.monotonic()
            if self._probed is None or now - self._probed[0] >= PROBE_SECONDS:
                fault = await self._app().ready()
                self._probed = now, fault.rstrip(".")
            return self._probed[1]


class _SharedFigures:
    """The shared counters at one time."""

    def __init__(self, totals: Mapping[str, int]) -> None:
        self.keys = totals.keys()
        self._rows = [(*metrics.values_of(key), value) for key, value in totals.items()]

    def total(self, metric: metrics.Metric) -> int:
        """Return the sum of a metric over all its labels."""
        return sum(value for name, _, value in self._rows if name == metric.name)

    def by_label(self, metric: metrics.Metric, label: int) -> Counter[str]:
        """Return the sums of a metric by the values of one of its labels, by its place."""
        found: Counter[str] = Counter()
        for name, labels, value in self._rows:
            if name == metric.name and len(labels) > label:
                found[labels[label]] += value
        return found


def _transfer(flight: Flight) -> TransferState:
    draft, source = flight.draft, flight.source
    host = "" if source is None else urlsplit(source.url).hostname or ""
    return TransferState(
        space=flight.step.reported_space,
        path=flight.step.path,
        upstream=host,
        arrived=0 if draft is None else draft.size,
        length=None if draft is None else draft.meta.length,
        readers=flight.readers,
    )
