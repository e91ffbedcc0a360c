"""Check the reach of upstreams with one request to each host. Nothing is recorded about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from snapproxy.base.clock import Clock
from snapproxy.core.http_date import read_http_date
from snapproxy.core.model import Archive
from snapproxy.core.rate_limit import RatePolicy
from snapproxy.core.upstream_answer import (
    BodyFollows,
    Broken,
    CoolingDown,
    Forbidden,
    QueueFull,
    Throttled,
    UpstreamRequest,
)
from snapproxy.errors import SnapproxyError
from snapproxy.jobs.doctor.finding import Diagnosis, ok, problem, warning
from snapproxy.upstream.client import UpstreamClient
from snapproxy.upstream.egress import EgressPolicy
from snapproxy.upstream.rate_limit import RateLimiter

_HOST_SECONDS = 10.0
_MOST_CLOCK_ERROR = 300
"""Seconds by which this clock may differ from a server's: signatures and TLS certificates are dated."""


class _RatesInMemory:
    """The rates of the upstreams as recorded, with changes that are forgotten (`upstream.rate_limit.RateStore`)."""

    def __init__(self, recorded: Mapping[str, Any]) -> None:
        self._rates = dict(recorded)

    def fact(self, key: str, now: int) -> Any | None:  # noqa: ARG002 - the rows never expire
        return self._rates.get(key)

    async def update_fact(self, key: str, change: Callable[[Any | None], Any]) -> Any:
        self._rates[key] = change(self._rates.get(key))
        return self._rates[key]


class _FreeSlots:
    """One request is sent at a time, so no slot is counted."""

    def take(self, name: str, count: int) -> _FreeSlots:  # noqa: ARG002
        return self

    def release(self) -> None: ...


def recorded_limiter(rates: Mapping[str, Any], policies: Mapping[str, RatePolicy], clock: Clock) -> RateLimiter:
    """Return a rate limiter that obeys recorded cool-downs and rates (`rates`: facts by key), and records nothing."""
    return RateLimiter(clock=clock, store=_RatesInMemory(rates), slots=_FreeSlots(), policies=policies)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamChecks:
    """The checks of upstreams by an open client. `seconds` bounds all of them."""

    client: UpstreamClient
    clock: Clock
    seconds: float

    async def run(self, archives: Sequence[Archive]) -> AsyncIterator[Diagnosis]:
        """Send one request to each host of the archives that is not cooling down, and yield the findings."""
        bases = _bases(archives)
        until = self.clock.monotonic() + self.seconds
        for netloc, (base, archive) in bases.items():
            left = until - self.clock.monotonic()
            if left <= 0:
                hint = "Raise the limit with --seconds."
                yield warning(f"upstream {netloc}", "not asked: the time for these checks is over", hint)
                continue
            for each in await self._ask(netloc, base, archive, left):
                yield each

    async def _ask(self, netloc: str, base: str, archive: Archive, left: float) -> list[Diagnosis]:
        check = f"upstream {netloc}"
        request = UpstreamRequest(f"{base}/", page=True, head=True)
        try:
            async with (
                asyncio.timeout(min(left, _HOST_SECONDS)),
                self.client.fetch(request, EgressPolicy.of(archive), max_cool_down=0.0, max_wait=left) as response,
            ):
                return self._judge(check, netloc, response.answer)
        except TimeoutError:
            return [problem(check, "no answer in time", "Check the network and the firewall.")]
        except SnapproxyError as error:
            return [problem(check, error.sentences, f"Check the addresses of archives.{archive.name}.")]

    def _judge(self, check: str, netloc: str, answer: object) -> list[Diagnosis]:
        match answer:
            case CoolingDown(wait=wait, cause=cause):
                what = f"not asked: it is cooling down for another {wait:.0f} s (cause: {cause or 'many requests'})"
                return [warning(check, what, "Wait. Do not restart or delete the state: that would ask it again.")]
            case Throttled(status=status):
                what = f"it refuses requests at the moment ({status})"
                return [warning(check, what, "Wait; lower requests_per_second for this host if it happens often.")]
            case Broken():
                return [problem(check, answer.reason, "Check the network, DNS, the firewall and the address.")]
            case QueueFull():
                return [warning(check, "not asked: too many requests wait for it", "Try again in some minutes.")]
            case Forbidden(status=0, login=login):
                return [problem(check, f"not asked: {login}", "Correct the file of credentials.")]
            case Forbidden(status=status, login=login) if login:
                return [problem(check, f"it refuses access ({status}). {login}", "Check the login.")]
            case Forbidden(status=status):
                what = f"it refuses access to this machine ({status})"
                return [warning(check, what, "Ask the operator of the archive.")]
            case BodyFollows(offer=offer):
                return [ok(check, "it answers"), *self._clock(offer.date, netloc)]
            case _:
                return [ok(check, "it answers")]

    def _clock(self, date: str, netloc: str) -> list[Diagnosis]:
        return check_date(read_http_date(date), self.clock.now(), netloc)


def check_date(theirs: int | None, ours: int, netloc: str) -> list[Diagnosis]:
    """Return a finding if the clock of this machine differs much from that of a server."""
    if theirs is None or abs(ours - theirs) <= _MOST_CLOCK_ERROR:
        return []
    what = f"this machine is {abs(ours - theirs)} s {'ahead of' if ours > theirs else 'behind'} {netloc}"
    return [problem("clock", what, "Synchronise the clock (systemd-timesyncd, chrony): times decide what is settled.")]


def check_observed(observed: int | None, now: int) -> Diagnosis:
    """Return whether the clock is behind the newest root that the store has recorded."""
    if observed is not None and observed > now + _MOST_CLOCK_ERROR:
        what = f"the store has a root that is {observed - now} s later than this clock"
        return problem("clock", what, "Synchronise the clock (systemd-timesyncd, chrony).")
    return ok("clock", "it is not behind the newest recorded root")


def _bases(archives: Sequence[Archive]) -> dict[str, tuple[str, Archive]]:
    """Return the first base of each host, with its archive."""
    found: dict[str, tuple[str, Archive]] = {}
    for archive in archives:
        for base in (*archive.snapshot, *archive.mirrors):
            found.setdefault(urlsplit(base).netloc, (base.rstrip("/"), archive))
    return found
