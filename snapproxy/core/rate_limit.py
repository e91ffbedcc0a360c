"""How often one upstream may be asked: a token bucket, cool-downs that back off, and one probe after each.

Pure: every function takes the state and the time and returns the next state. The state of an upstream is one small
JSON row shared by all processes of the machine and kept over restarts, so its times are wall-clock seconds. Waiting,
queues and connection slots belong to `upstream.rate_limit`; which host has which policy belongs to the configuration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

LONGEST_PAUSE = 3600.0
"""Seconds: no Retry-After and no policy holds us longer without asking once more."""

SHORTEST_ASKED = 1.0
"""Seconds: a Retry-After is in whole ones (RFC 9110, section 10.2.3). Less is what is left of a date, and says no more than zero does."""

SPREAD = 0.25
"""Jitter lengthens a pause by up to this part, never shortens it: machines throttled together must not come back together."""

PROBE_LEASE = 120.0
"""Seconds after which a probe that never reported (its process died) may be sent again; longer than any head may take."""

PROBE_POLL = 1.0
"""Seconds between looks at a probe that is out: its verdict may be written by another process, which wakes nobody here."""

_COUNTS = frozenset({"cool_down_epoch", "throttles", "breaks"})

_JSON_KEYS = {"cool_down_epoch": "storm"}
"""Fields that have another name in the rows on disk."""

_FULL = 1e-6
"""A token is whole when it lacks less than this: wall-clock floats carry no finer time."""


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """How politely an upstream is treated. Times in seconds.

    `requests_per_second` None sets no rate: the connections bound it. `burst` is how many requests may go at once after
    a rest. `cool_down` doubles with every refusal in a row (429, 503, 509) up to `cool_down_most`; `rest` likewise with
    every break (refused, reset, stalled, cut, 5xx) up to `rest_most`.
    """

    connections: int = 4
    requests_per_second: float | None = None
    burst: int = 1
    cool_down: float = 10.0
    cool_down_most: float = 900.0
    rest: float = 1.0
    rest_most: float = 60.0


MIRROR = RatePolicy()
"""An ordinary mirror: made to be asked; four connections, no rate."""

BLOB_SOURCE = RatePolicy(connections=16, rest=5.0, rest_most=300.0)
"""Who is named beside an archive: near and ours to load, and nobody is to wait for it while it is unwell."""

SPARING = RatePolicy(connections=2, requests_per_second=0.7, burst=30)
"""A snapshot service. 0.7 a second is the best sustained rate without blocks in the measurements of devscripts' debootsnap."""


@dataclass(frozen=True, slots=True)
class RateState:
    """What is remembered of one upstream; all zero for one never asked.

    `spent` tokens are missing from the bucket as of `updated`. `until` ends the present cool-down. `cool_down_epoch`
    counts the cool-downs so far: a verdict on a request granted before the present one began is old news. `throttles` and `breaks`
    count failures in a row; while either is not zero the upstream is suspect, and only one probe may be out, until `probe`.
    """

    spent: float = 0.0
    updated: float = 0.0
    until: float = 0.0
    cool_down_epoch: int = 0
    throttles: int = 0
    breaks: int = 0
    probe: float = 0.0

    @property
    def is_suspect(self) -> bool:
        """Whether the last verdict was bad, so that one probe goes before everybody else."""
        return bool(self.throttles or self.breaks)

    def to_json(self) -> dict[str, float]:
        """Return the row that `from_json` reads."""
        return {_JSON_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, archive: Mapping[str, object] | None) -> RateState:
        """Read a row; what is missing or no sane number starts afresh, since a lost pace harms less than a refusal to start."""
        row = archive or {}
        sane: dict[str, Any] = {
            field.name: int(value) if field.name in _COUNTS else value
            for field in fields(cls)
            if isinstance(value := row.get(_JSON_KEYS.get(field.name, field.name)), int | float)
            and math.isfinite(value)
            and value >= 0
        }
        return cls(**sane)


def grant(state: RateState, policy: RatePolicy, now: float) -> tuple[RateState, float]:
    """Return (state, 0.0) when a request may go now, else the state unchanged and the seconds after which to ask again."""
    state = _as_of(state, now)
    if state.until > now:
        return state, state.until - now
    if state.is_suspect:
        if state.probe > now:
            return state, min(PROBE_POLL, state.probe - now)
        return replace(state, probe=now + PROBE_LEASE), 0.0
    rate = policy.requests_per_second
    if rate is None:
        return state, 0.0
    spent = max(0.0, state.spent - rate * max(0.0, now - state.updated))
    missing = spent + 1 - max(1, policy.burst)
    if missing > _FULL:
        return state, missing / rate
    return replace(state, spent=min(spent + 1, max(1, policy.burst)), updated=max(now, state.updated)), 0.0


def throttled(
    state: RateState, policy: RatePolicy, now: float, *, cool_down_epoch: int, retry_after: float | None, jitter: float
) -> RateState:
    """Begin a cool-down: the upstream refused (429, 503, 509). `jitter` is a number in [0, 1).

    A usable `retry_after` is believed the first time; from the second refusal in a row on, our own back-off is the least.
    Zero is no information (the snapshot service sends it with a block that lasts hours), nor is less than a second. Requests
    that were out together are refused together: that is one cool-down, one strike (`cool_down_epoch` is the count that
    their grant carried).
    """
    asked = 0.0 if retry_after is None or retry_after < SHORTEST_ASKED else min(retry_after, LONGEST_PAUSE)
    if cool_down_epoch != state.cool_down_epoch:
        return replace(state, until=max(state.until, now + asked)) if asked else state
    throttles = state.throttles + 1
    own = _doubled(policy.cool_down, policy.cool_down_most, throttles if not asked else throttles - 1)
    until = max(state.until, now + max(asked, own) * (1 + SPREAD * jitter))
    # An empty bucket that fills only after the cool-down: no burst the moment it ends.
    return replace(
        state,
        spent=float(policy.burst),
        updated=until,
        until=until,
        cool_down_epoch=cool_down_epoch + 1,
        throttles=throttles,
        probe=0.0,
    )


def broken(state: RateState, policy: RatePolicy, now: float, *, cool_down_epoch: int, jitter: float) -> RateState:
    """Begin a short rest: the connection failed or the answer broke. `cool_down_epoch` and `jitter` as in `throttled`."""
    if cool_down_epoch != state.cool_down_epoch:
        return state
    breaks = state.breaks + 1
    pause = _doubled(policy.rest, policy.rest_most, breaks) * (1 + SPREAD * jitter)
    return replace(
        state, until=max(state.until, now + pause), cool_down_epoch=cool_down_epoch + 1, breaks=breaks, probe=0.0
    )


def succeeded(state: RateState, *, cool_down_epoch: int) -> RateState:
    """Clear the upstream, which answered in good order, of suspicion, unless a cool-down began since the request was granted."""
    return replace(state, throttles=0, breaks=0, probe=0.0) if cool_down_epoch == state.cool_down_epoch else state


def forgone(state: RateState, *, cool_down_epoch: int) -> RateState:
    """Take back a grant that ended without a verdict (its caller left): if it was the probe, another may go."""
    return replace(state, probe=0.0) if cool_down_epoch == state.cool_down_epoch else state


def _doubled(first: float, most: float, strikes: int) -> float:
    """Return `first` doubled for every strike after the first, at most `most`; nothing without a strike."""
    return min(first * 2.0 ** min(strikes - 1, 64), most, LONGEST_PAUSE) if strikes > 0 else 0.0


def _as_of(state: RateState, now: float) -> RateState:
    """Forget times that cannot be: a clock that was set back must not hold an upstream for as long as it was wrong."""
    farthest = now + LONGEST_PAUSE * (1 + SPREAD)
    if max(state.until, state.updated, state.probe) <= farthest:
        return state
    return replace(state, spent=0.0, updated=now, until=0.0, probe=0.0)
