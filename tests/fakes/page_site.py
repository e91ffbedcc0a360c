"""The pages of a made-up service: a real store with snapshots and captures, and fixed measurements.

The tests of the pages read it, a browser walks it, and the pictures in docs/ are taken of it.
"""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

from snapproxy.archives import BUILTIN
from snapproxy.base.clock import SystemClock
from snapproxy.capture.captures import Captures
from snapproxy.capture.reading import CaptureReader
from snapproxy.core.exchange import Page, PageRequest
from snapproxy.core.listing import PackageVersion
from snapproxy.core.model import Archive, ExpectedFile, Instant, Proof, Role, Window
from snapproxy.core.record import RecordEntry
from snapproxy.families import FAMILIES, LISTERS
from snapproxy.indexes.helper_process import HelperProcess
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.indexes.table_format import encode_expected, encode_package, table_name
from snapproxy.monitoring.verdict import ServiceSignals
from snapproxy.pages.archives import ArchivePages
from snapproxy.pages.captures import CapturePages
from snapproxy.pages.packages import PackagePages
from snapproxy.pages.service import DiskUse, TrafficSample, TrafficTotals, TransferState, UpstreamUse
from snapproxy.pages.setup import SetupPage
from snapproxy.pages.site import PageSite
from snapproxy.web.admin import AdminServer
from snapproxy_storage import Name, Store, open_store

NOW: Instant = 1_732_881_720  # 2024-11-29 12:02 UTC
GIB, MIB = 1 << 30, 1 << 20
DIGESTS = {"7.88.1-10": f"{1:064x}", "7.88.1-10+deb12u5": f"{2:064x}", "8.11.0-1": f"{3:064x}"}
HOSTILE = '<b onclick="x">&"\'</b>'
DAY, HOUR = 86400, 3600
SNAPSHOTS = tuple(range(1_717_200_000, NOW, 6 * HOUR))
"""Four dumps a day from 2024-06-01 on."""
BAD = SNAPSHOTS[41]
STORED = ("20240601T000000Z", "20240815T120000Z", "20241120T060000Z")


class FixedService:
    """The measurements of a service; `signals_now` may be changed."""

    def __init__(self) -> None:
        self.signals_now = ServiceSignals(
            up_seconds=5 * DAY,
            used=61 * GIB,
            limit=100 * GIB,
            free=200 * GIB,
            floor=5 * GIB,
            requests=4200,
            failures=3,
            cooling=("snapshot.debian.org",),
            upstreams=4,
        )
        self.transfers_now: tuple[TransferState, ...] = (
            TransferState(
                space="debian/20241120T060000Z",
                path="pool/main/l/linux/linux-image-6.11.7-amd64_6.11.7-1_amd64.deb",
                upstream="ftp.debian.org",
                arrived=41 * MIB,
                length=103 * MIB,
                readers=12,
            ),
            TransferState(
                space="ubuntu/20241101T000000Z",
                path="pool/main/g/gcc-14/gcc-14_14.2.0-4ubuntu2_amd64.deb",
                upstream="snapshot.ubuntu.com",
                arrived=2 * MIB,
                length=None,
                readers=1,
            ),
            TransferState(
                space="debian/20240601T000000Z",
                path="dists/bookworm/main/binary-amd64/Packages.xz",
                upstream="",
                arrived=0,
                length=None,
                readers=3,
            ),
        )

    def now(self) -> Instant:
        return NOW

    async def signals(self) -> ServiceSignals:
        return self.signals_now

    def totals(self) -> TrafficTotals:
        return TrafficTotals(
            hits=412_310,
            joined=8_040,
            misses=21_877,
            sent=913 * GIB,
            saved=842 * GIB,
            fetched=71 * GIB,
            unverified=312,
            unpinned=18,
            files={"debian": 391_020, "debian-security": 31_002, "archlinux": 20_205},
            refusals={404: 5120, 407: 41, 424: 12, 503: 7},
        )

    def last_day(self) -> Sequence[TrafficSample]:
        samples = []
        for step in range(288):
            at = NOW - DAY + step * 300
            work = max(0.0, math.sin((at % DAY - 6 * HOUR) / DAY * 2 * math.pi)) + 0.08 + 0.15 * (step * 7919 % 13) / 13
            files = int(work * 130)
            misses = files // (4 if step % 41 < 3 else 18)
            samples.append(
                TrafficSample(
                    at=at,
                    hits=files - misses,
                    misses=misses,
                    refusals=step % 3,
                    sent=files * 900_000,
                    fetched=misses * 900_000,
                )
            )
        return samples

    def transfers(self) -> Sequence[TransferState]:
        return self.transfers_now

    def upstreams(self) -> Sequence[UpstreamUse]:
        return (
            UpstreamUse(name="ftp.debian.org", requests=19_021, fetched=58 * GIB),
            UpstreamUse(
                name="snapshot.debian.org",
                requests=2_110,
                fetched=9 * GIB,
                queued=4,
                cool_down=418,
                cause="429",
                slow_down=2.25,
            ),
            UpstreamUse(name="snapshot.ubuntu.com", requests=611, fetched=3 * GIB),
            UpstreamUse(name="archive.archlinux.org", requests=902, fetched=GIB),
        )

    def disk(self) -> DiskUse:
        return DiskUse(used=61 * GIB, limit=100 * GIB, free=200 * GIB, floor=5 * GIB, is_counted=True)


def entry(
    path: str, digest: int, *, proof: Proof = Proof.GPG, role: Role = Role.PACKAGE, at: str = STORED[0]
) -> RecordEntry:
    """Return an answer of a capture."""
    return RecordEntry("debian", "20240601T000000Z", STORED[0], path, role, proof, digest * 1000, f"{digest:064x}")


async def fill(store: Store, captures: Captures) -> None:
    """Write a timeline, stored roots, index tables and captures."""
    catalog = store.catalog
    for start, end in ((1_717_200_000, 1_719_792_000), (1_719_792_000, 1_735_689_600)):
        window = Window(start, end, tuple(each for each in SNAPSHOTS if start <= each < end), asked=NOW)
        await catalog.put_fact(f"timeline/debian/{start}-{end}", asdict(window))
    for snapshot, version in zip(STORED, DIGESTS, strict=True):
        root = f"{9000 + list(DIGESTS).index(version):064x}"
        await catalog.put_name(f"roots:debian/{snapshot}", "dists/bookworm/InRelease", Name(root, 5000, 3))
        packages = "dists/bookworm/main/binary-amd64/Packages.xz"
        lists = {packages: DIGESTS[version], "dists/bookworm/contrib/binary-amd64/Packages.xz": "f" * 64}
        rows = [(name, encode_expected(ExpectedFile(name, 5, {"sha256": digest}))) for name, digest in lists.items()]
        store.tables.build(table_name(root, "dists/bookworm/InRelease"), FAMILIES["apt"].parser, sorted(rows))
        listed = [
            encode_package(PackageVersion(name, "amd64", each, name, each))
            for name, each in (("curl", version), ("dash", "0.5.12"), (HOSTILE.replace(" ", "_"), "1"))
        ]
        stored = table_name(DIGESTS[version], packages)
        store.tables.build(stored, LISTERS["apt"].parser, sorted((each, b"") for each in listed))
    for at in (NOW - 9 * DAY, NOW - 8 * DAY, NOW - 3 * DAY):
        await catalog.observe("root/vendor/dists/stable/InRelease", at, "e" * 64)
    await catalog.observe("root/vendor/dists/stable/InRelease", NOW - DAY, "d" * 64)
    await _capture(captures, "web-image-2024-06", versions=1, closed=True)
    await _capture(captures, "web-image-2024-11", versions=2, closed=True)
    await _capture(captures, "nightly", versions=1, closed=False)


async def _capture(captures: Captures, name: str, *, versions: int, closed: bool) -> None:
    writer = await captures.open(name)
    writer.note(entry("dists/bookworm/InRelease", 1, role=Role.ROOT))
    writer.note(entry("dists/bookworm/main/binary-amd64/Packages.xz", 2, role=Role.INDEX))
    for number in range(130):
        writer.note(
            entry(f"pool/main/p/part{number:03}/part{number:03}_{versions}.{number}_amd64.deb", 100 + number * versions)
        )
    writer.note(entry(f"pool/main/c/curl/curl_{7 + versions}.1-1_amd64.deb", 90 + versions))
    writer.note(entry("pool/main/o/old/old_1_amd64.deb", 80, proof=Proof.INDEX))
    writer.note(entry(f"extra/{HOSTILE}.txt", 81, proof=Proof.NONE, role=Role.OTHER))
    writer.note(replace(entry("dists/bookworm/main/i18n/Translation-de.xz", 0, role=Role.INDEX), sha256=""))
    writer.add(b'["passed", "github.com:443"]')
    if closed:
        await captures.close(name)


ARCHIVES = (
    *(
        replace(each, bad=(BAD,), because=((BAD, f"dump during a push {HOSTILE}"),)) if each.name == "debian" else each
        for each in BUILTIN
    ),
    Archive("vendor", "apt", "captured", mirrors=("https://packages.example.org/debian",)),
)


class MadeUpSite:
    """The pages over a store in `folder`, which is filled first if it is empty. Use as an async context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.service = FixedService()

    async def __aenter__(self) -> Self:
        self.store = await asyncio.to_thread(open_store, self._folder / "state", self._folder / "cache")
        families = {each.name: each.family for each in ARCHIVES}
        self.captures = Captures(self.store, families=families, now=lambda: NOW - DAY)
        if not self.captures.names():
            await fill(self.store, self.captures)
        self.tables = IndexTables(self.store, HelperProcess(self._folder / "cache", SystemClock(), self.store.counters))
        named = {each.name: each for each in ARCHIVES}
        self.site = PageSite(
            self.service,
            archives=ArchivePages(named, self.store.overview, lambda archive: archive, self.service),
            captures=CapturePages(CaptureReader(self.store, families), families),
            packages=PackagePages(named, self.store, self.tables),
            setup=SetupPage(ARCHIVES, "http://proxy.example.org:3142"),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.captures.close_writers()
        await self.tables.close()
        await self.store.close()

    async def get(self, path: str, accept: str = "text/html", **query: str) -> Page:
        """Return a page."""
        page = await self.site.answer(PageRequest(path, query, accept))
        assert isinstance(page, Page)
        return page


class ServedSite:
    """The pages on a loopback port, served by a thread, for a browser. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: threading.Event = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.url = ""

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with MadeUpSite(self._folder) as made_up:
            listener = socket.create_server(("127.0.0.1", 0))
            server = AdminServer(made_up.site, refuse=lambda _, __: None, instance="test", now=lambda: NOW)
            await server.start([listener])
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._started.set()
            await self._stop.wait()
            await server.close()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(30), "the pages are not served"
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)


PLACES: Mapping[str, str] = {
    "now": "/",
    "archives": "/archives",
    "archive": "/archives/debian?year=2024",
    "day": "/archives/debian?day=2024-06-11",
    "observed": "/archives/vendor?year=2024",
    "captures": "/captures",
    "capture": "/captures/web-image-2024-06",
    "open": "/captures/nightly",
    "compare": "/compare?one=web-image-2024-06&other=web-image-2024-11",
    "packages": "/packages",
    "package": "/packages?archive=debian&name=curl",
    "setup": "/setup?distro=debian&suite=bookworm&at=2024-06-01",
    "mistake": "/setup?distro=debian&suite=bokworm&at=2024-06-01",
    "missing": "/nothing",
}
"""Every kind of page, by a name."""
