"""snapproxy in the test's own process, without its HTTP server.

It is the real wiring on a real store; tests call its executor.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import urlsplit

from snapproxy.archives import HISTORIES
from snapproxy.base.clock import Clock
from snapproxy.capture.replay import Replayed
from snapproxy.config import Config, MirroredSlice, Watch
from snapproxy.core.address import AddressBook
from snapproxy.core.exchange import Conditions, FileTarget, Outcome, Prefetch, Present, Served, ServiceTarget
from snapproxy.core.model import Archive, Instant, Refusal
from snapproxy.core.rate_limit import RatePolicy, RateState
from snapproxy.core.time_spec import parse_time
from snapproxy.upstream.client import Timeouts, UpstreamClient
from snapproxy.upstream.rate_limit import RateLimiter
from snapproxy.wiring import upstream
from snapproxy.wiring.application import assemble
from snapproxy_storage import DraftFailed, DraftOrphaned, Store, open_store
from tests.fakes.leaping_clock import LeapingClock

UNHURRIED = RatePolicy(connections=16, rest=0.01, failure_cool_down_most=0.01, cool_down=10.0, cool_down_most=10.0)
"""Practically no rate limit; a refusal still causes a cool-down of ten seconds, every time."""

QUICK = Timeouts(connect=1.0, idle=0.3, head=2.0, drain=0.2)

PATIENT = Timeouts()
"""The production timeouts, for tests whose upstream waits until it is released."""


@dataclass(frozen=True)
class _Settings(Config):
    """A configuration with the rate limits of the test, including the fields that no setting reaches."""

    manners: RatePolicy = UNHURRIED

    @property
    def policies(self) -> Mapping[str, RatePolicy]:
        return dict.fromkeys(("127.0.0.1", "127.0.0.2", "127.0.0.3"), self.manners)


@dataclass(frozen=True)
class Got:
    """An answer, read to its end. `broke` is the reason why its body was cut, '' if it was complete."""

    outcome: Outcome
    data: bytes = b""
    broke: str = ""

    @property
    def status(self) -> int:
        return self.outcome.status if isinstance(self.outcome, Refusal) else 200

    @property
    def proof(self) -> str:
        return self.served.proof.word

    @property
    def stale(self) -> str:
        """The staleness that the answer reports, '' if it is fresh."""
        return self.served.headers.get("X-Snapproxy-Stale", "")

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that the answer adds to the body."""
        return self.outcome.headers if isinstance(self.outcome, Refusal) else self.served.headers

    @property
    def refusal(self) -> Refusal:
        assert isinstance(self.outcome, Refusal), self.outcome
        return self.outcome

    @property
    def served(self) -> Served:
        assert isinstance(self.outcome, Served), self.outcome
        return self.outcome


async def read(outcome: Outcome) -> Got:
    """Read an outcome to its end and close it, as the HTTP server would."""
    if not isinstance(outcome, Served):
        return Got(outcome)
    body, data = outcome.body, b""
    try:
        while body.size is None or len(data) < body.size:
            ready = await body.wait(len(data))
            async for piece in body.chunks(len(data), ready):
                data += piece
    except (DraftFailed, DraftOrphaned) as failure:
        return Got(outcome, data, str(failure))
    finally:
        body.close()
    return Got(outcome, data)


@dataclass
class House:
    """One process of snapproxy.

    Two in one folder stand for two processes, or for one process and its restart. Use as an async context manager.
    """

    folder: Path
    rows: tuple[Archive, ...]
    clock: Clock = field(default_factory=LeapingClock)
    manners: RatePolicy = UNHURRIED
    patience: float = 20.0
    offline: bool = False
    timeouts: Timeouts = QUICK
    watch: tuple[Watch, ...] = ()
    mirror: tuple[MirroredSlice, ...] = ()
    replayed: Replayed | None = None
    metasnap: str = ""
    launchpad: str = ""
    quota: int | None = None
    capture_keep: int = 30 * 86400

    async def __aenter__(self) -> Self:
        config = _Settings(
            listen=(),
            state_dir=self.folder / "state",
            cache_dir=self.folder / "cache",
            default_when=None,
            passes=(),
            connect=False,
            archives=self.rows,
            upstreams={},
            patience={"apt": self.patience},
            watch=self.watch,
            mirror=self.mirror,
            manners=self.manners,
            metasnap=self.metasnap,
            launchpad=self.launchpad,
            capture_keep=self.capture_keep,
            quota=self.quota,
        )
        self._stack = AsyncExitStack()
        self.store: Store = open_store(config.state_dir, config.cache_dir, quota=self.quota)
        # These have no setting: timeouts are tenths of a second here, and pauses have no jitter.
        exact = {
            "UpstreamClient": functools.partial(UpstreamClient, timeouts=self.timeouts),
            "RateLimiter": functools.partial(RateLimiter, jitter=lambda: 0.0),
        }
        with patch.multiple(upstream, **exact):
            self.app = await self._stack.enter_async_context(
                assemble(
                    config,
                    self.store,
                    AddressBook(archives=self.rows, histories=HISTORIES),
                    offline=self.offline,
                    clock=self.clock,
                    replayed=self.replayed,
                )
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._stack.aclose()

    async def ask(
        self, when: str, path: str, *, since: Instant | None = None, row: int = 0, capture: str = "", peer: str = ""
    ) -> Outcome:
        """Request a file as the client at the address `peer`. The caller reads and closes the body."""
        target = FileTarget(self.rows[row], parse_time(when), path, capture)
        return await self.app.answerer.answer(target, Conditions(since=since, client=Present(peer=peer)))

    async def get(self, when: str, path: str, *, since: Instant | None = None, row: int = 0, capture: str = "") -> Got:
        """Request a file and read the answer to its end."""
        return await read(await self.ask(when, path, since=since, row=row, capture=capture))

    async def call(self, path: str, sha1: str = "", capture: str = "", *, is_listing: bool = False) -> Got:
        """Call the archive's own interface."""
        target = ServiceTarget(self.rows[0], path, sha1, capture, is_listing)
        return await read(await self.app.answerer.answer(target, Conditions()))

    def prefetch(self, when: str, path: str) -> Prefetch | None:
        return self.app.executor.prefetch(FileTarget(self.rows[0], parse_time(when), path), Conditions())

    def evict(self, digest: str) -> None:
        """Delete a blob without notifying snapproxy."""
        (self.folder / "state/blobs/sha256" / digest).unlink()

    @property
    def drafts(self) -> list[str]:
        """The names in the folder of drafts."""
        return sorted(path.name for path in (self.folder / "state/drafts").iterdir())

    def named(self, when: str, path: str, row: int = 0) -> bool:
        """Whether the catalog has an entry for a file's name."""
        return self.store.catalog.name(f"{self.rows[row].name}/{when}", path) is not None

    def cool_downs(self, url: str) -> int:
        """The number of cool-downs of a server."""
        return RateState.from_json(self.store.catalog.fact(f"pace/{urlsplit(url).netloc}", 0)).cool_down_epoch


async def until(condition: Any, seconds: float = 5.0) -> None:
    """Wait until a condition is true that a concurrent task brings about."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
