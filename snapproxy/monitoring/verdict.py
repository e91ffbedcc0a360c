"""The verdict on a running service: one word, and the reasons for it.

A pure and total function of `ServiceSignals`: any values give a verdict, and a fault is never hidden by a milder state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

WARM_UP_SECONDS = 60.0
"""How long a service counts as starting: until then its ratios are those of a few requests."""

FEWEST_REQUESTS = 20
"""Number of recent requests below which the share of failures is not judged."""

WATCHED_FAILURES, DEGRADED_FAILURES = 0.02, 0.10
"""Shares of recent requests that failed, from which a service is watched and degraded."""

WATCHED_QUOTA, FULL_QUOTA = 0.96, 0.995
"""Shares of the quota. Stored files are removed from 95 % on, so more than that means that they cannot be."""

WATCHED_FREE = 256 << 20
"""Bytes of free space above the floor below which the disk is watched."""

MOST_NAMED = 3
"""Number of upstreams that a reason names."""


class VerdictLevel(IntEnum):
    """The state of a service; a greater value is worse."""

    HEALTHY = 0
    WARMING_UP = 1
    WATCHING = 2
    DEGRADED = 3

    @property
    def word(self) -> str:
        """The name as it is shown."""
        return self.name.replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSignals:
    """The measurements that a verdict is based on. Sizes are in bytes.

    `up_seconds`: since the start of the service. `store_fault`: why the store takes no bytes, '' if it does.
    `is_counted`: whether the stored files were counted. `limit`: the quota, None without one; `used`: of it. `free` is
    the free space of the file system, `floor` the part of it that the store leaves free. `requests` and `failures` are
    those of the last minutes; a failure is an answer for which the service or an upstream is responsible.
    `bad_files`: files in the last minutes whose bytes were not the listed ones. `is_protected`: whether protected files
    fill the quota. `cooling`: the upstreams that are cooling down, of `upstreams` that were used.
    """

    up_seconds: float
    store_fault: str = ""
    is_counted: bool = True
    used: int = 0
    limit: int | None = None
    free: int = 0
    floor: int = 0
    requests: int = 0
    failures: int = 0
    bad_files: int = 0
    is_protected: bool = False
    cooling: tuple[str, ...] = ()
    upstreams: int = 0


@dataclass(frozen=True, slots=True)
class ServiceVerdict:
    """A level, and one sentence for each reason, the worst first."""

    level: VerdictLevel
    reasons: tuple[str, ...]


def verdict(signals: ServiceSignals) -> ServiceVerdict:
    """Return the verdict. Never raises."""
    found = sorted(_findings(signals), key=lambda each: -each[0])
    if not found:
        return ServiceVerdict(VerdictLevel.HEALTHY, ("Requests are answered, and files are stored.",))
    return ServiceVerdict(found[0][0], tuple(reason for _, reason in found))


def _findings(signals: ServiceSignals) -> Iterator[tuple[VerdictLevel, str]]:
    if signals.store_fault:
        yield VerdictLevel.DEGRADED, f"Files cannot be stored: {signals.store_fault}."
    else:
        yield from _space(signals)
    if signals.bad_files > 0:
        yield VerdictLevel.DEGRADED, f"{_count(signals.bad_files, 'file')} had other bytes than their index lists."
    yield from _failures(signals)
    yield from _upstreams(signals)
    if not signals.up_seconds >= WARM_UP_SECONDS:
        yield VerdictLevel.WARMING_UP, "The service has started a moment ago."
    elif not signals.is_counted:
        yield VerdictLevel.WARMING_UP, "The stored files are being counted."


def _space(signals: ServiceSignals) -> Iterator[tuple[VerdictLevel, str]]:
    if signals.limit is not None and signals.is_counted:
        share = signals.used / signals.limit if signals.limit > 0 else math.inf
        if share >= FULL_QUOTA:
            yield VerdictLevel.DEGRADED, "The quota is full: new files are not stored."
        elif share >= WATCHED_QUOTA:
            yield VerdictLevel.WATCHING, f"{share:.0%} of the quota is used, and nothing can be removed."
    if signals.is_protected:
        yield VerdictLevel.WATCHING, "Captures and pins fill the quota: new captures are refused."
    if signals.floor > 0 and signals.free <= signals.floor:
        yield VerdictLevel.DEGRADED, "The disk has no more free space than must stay free: new files are not stored."
    elif signals.floor > 0 and signals.free < signals.floor + WATCHED_FREE:
        yield VerdictLevel.WATCHING, "The disk is almost full."


def _failures(signals: ServiceSignals) -> Iterator[tuple[VerdictLevel, str]]:
    if signals.requests < FEWEST_REQUESTS:
        return
    share = signals.failures / signals.requests
    if share >= WATCHED_FAILURES:
        level = VerdictLevel.DEGRADED if share >= DEGRADED_FAILURES else VerdictLevel.WATCHING
        yield level, f"{share:.0%} of the last {signals.requests} requests failed."


def _upstreams(signals: ServiceSignals) -> Iterator[tuple[VerdictLevel, str]]:
    if not signals.cooling:
        return
    named, more = ", ".join(signals.cooling[:MOST_NAMED]), len(signals.cooling) - MOST_NAMED
    text = f"{named} and {more} more are" if more > 0 else f"{named} {'is' if len(signals.cooling) == 1 else 'are'}"
    level = VerdictLevel.DEGRADED if len(signals.cooling) >= signals.upstreams > 1 else VerdictLevel.WATCHING
    every = "No upstream can be asked: " if level is VerdictLevel.DEGRADED else ""
    yield level, f"{every}{text} cooling down."


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
