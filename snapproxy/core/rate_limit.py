"""Rate limit of one upstream: a token bucket, cool-downs with exponential back-off, one probe after each, and a pace.

The policy of an upstream is a guess, because the services publish no limits. A refusal shows that the guess was too
fast: from then on requests are sent at a slower *pace*, one at a time, and the pace recovers over hours.

Every function takes the state and the time and returns the next state, without I/O. The state of an upstream is one
small JSON row, shared by all processes of the machine and kept over restarts, so its times are wall-clock seconds.
`upstream.rate_limit` waits, and has the queues and connection slots; the configuration sets the policy of each host.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol

LONGEST_PAUSE = 3600.0
"""Upper bound in seconds of a pause, for any Retry-After and any policy; then one request is sent again."""

SHORTEST_ASKED = 1.0
"""The minimum Retry-After in seconds that is used: the header has whole seconds (RFC 9110, section 10.2.3).

A smaller value is the remainder of a date, and has no more information than zero.
"""

SPREAD = 0.25
"""Jitter lengthens a pause by up to this fraction and never shortens it.

Machines that were throttled together must not send requests together again.
"""

PROBE_LEASE = 120.0
"""Seconds after which a probe without a result (its process died) may be sent again.

This is longer than the timeout for the head of an answer.
"""

PROBE_POLL = 1.0
"""Poll interval in seconds while a probe is under way.

Another process may record its result, which sends no notification to this one.
"""

SLOW_DOWN = 1.5
"""Factor by which a refusal slows the pace.

The default of 0.7 requests a second is once slower than a service that allows one request in two seconds, and twice
slower than one that allows one in three. A smaller factor needs more refusals to find the limit, a larger one wastes
more of what the service allows.
"""

MOST_SLOW_DOWN = 8.0
"""Upper bound of the slow-down: the slowest pace is an eighth of the policy's rate.

A service that refuses more than one request in 11 seconds has blocked this address, and cool-downs apply.
"""

RECOVERY_SECONDS = 12 * 3600.0
"""Time without a refusal in which the pace recovers by the factor SLOW_DOWN.

A service counts requests in windows and blocks for hours. A recovery that is faster than a long prefetch would be
refused again in its middle.
"""

CLOCK_TOLERANCE = 1.0
"""How far ahead of this process's clock the record of another process may be, in seconds."""

_COUNTS = frozenset({"cool_down_epoch", "throttles", "breaks"})

MAX_QUEUED = 256
"""Maximum number of requests that wait for one upstream in one process: about six minutes at a snapshot service's rate.

A further request is refused immediately, because it would wait longer than any client does; or another client's, if
that one has more requests waiting.
"""

_CAUSE = re.compile(r"[A-Z0-9_]{1,20}")

_JSON_KEYS = {"cool_down_epoch": "storm"}
"""Fields that have another name in the rows on disk."""

_FULL = 1e-6
"""Tolerance in tokens: wall-clock floats have no finer resolution."""


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """The limits of requests to one upstream. Times in seconds.

    `requests_per_second` None sets no rate: the connections are the limit. `burst` is the number of requests that may
    be sent together after an idle time. `cool_down` doubles with every refusal in a row (429, 503, 509) up to
    `cool_down_most`; `rest` is the cool-down after a failure (refused, reset, stalled or cut connection, 5xx) and
    doubles likewise up to `rest_most`.
    """

    connections: int = 4
    requests_per_second: float | None = None
    burst: int = 1
    cool_down: float = 10.0
    cool_down_most: float = 900.0
    rest: float = 1.0
    failure_cool_down_most: float = 60.0


MIRROR = RatePolicy()
"""An ordinary mirror: four connections, no rate."""

BLOB_SOURCE = RatePolicy(connections=16, rest=5.0, failure_cool_down_most=300.0)
"""A source in an archive's `sources`: nearby, and under the user's control.

Its cool-downs are long because the other sources are used during them.
"""

SPARING = RatePolicy(connections=2, requests_per_second=0.7, burst=30)
"""A snapshot service.

0.7 a second is the best sustained rate without blocks in the measurements of devscripts' debootsnap.
"""


@dataclass(frozen=True, slots=True)
class RateState:
    """The recorded state of one upstream; all zero for one without requests so far.

    `spent` tokens are missing from the bucket as of `updated`. `until` is the end of the current cool-down.
    `cool_down_epoch` counts the cool-downs so far: the result of a request granted before the current one began is
    ignored. `throttles` and `breaks` count failures in a row; while either is not zero the upstream is suspect, and
    only one probe may be under way, until `probe`. `noted` is when the current cool-down began. `cause` is why it
    began: the status of an answer, or the name of an `upstream_answer.Fault`. `slow_down` is the factor by which the
    policy's rate was divided as of `slowed`, the time of the last refusal; below one it has no effect.
    """

    spent: float = 0.0
    updated: float = 0.0
    until: float = 0.0
    cool_down_epoch: int = 0
    throttles: int = 0
    breaks: int = 0
    probe: float = 0.0
    noted: float = 0.0
    cause: str = ""
    slow_down: float = 0.0
    slowed: float = 0.0

    @property
    def is_suspect(self) -> bool:
        """Whether the last result was a failure, so that one probe precedes all other requests."""
        return bool(self.throttles or self.breaks)

    def to_json(self) -> dict[str, float | str]:
        """Return the row that `from_json` reads."""
        return {_JSON_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, fact: Mapping[str, object] | None) -> RateState:
        """Read a stored state. Missing and invalid values get their defaults.

        A lost state is less harmful than a failed start.
        """
        stored = fact or {}
        sane: dict[str, Any] = {
            field.name: int(value) if field.name in _COUNTS else value
            for field in fields(cls)
            if field.name != "cause"
            and isinstance(value := stored.get(_JSON_KEYS.get(field.name, field.name)), int | float)
            and math.isfinite(value)
            and value >= 0
        }
        cause = stored.get("cause")
        return cls(**sane, cause=cause if isinstance(cause, str) and _CAUSE.fullmatch(cause) else "")


class Demand(Protocol):
    """The demand for one request: whether a client waits for it now, which may change while the request waits."""

    @property
    def is_background(self) -> bool:
        """Whether the requests of clients have priority."""

    @property
    def clients(self) -> frozenset[str]:
        """The clients for which the request is sent, at least one: the clients of an upstream take turns.

        '' is this program itself.
        """

    def give_way(self) -> bool:
        """Stop the request if nothing waits for its answer any more, so that a client's can be sent.

        Return whether it stops.
        """


@dataclass(frozen=True, slots=True)
class FixedDemand:
    """The demand of a caller that waits until its request is answered."""

    is_background: bool = False
    clients: frozenset[str] = frozenset({""})

    def give_way(self) -> bool:
        """Return False: the caller waits for the answer."""
        return False


CLIENT = FixedDemand()
BACKGROUND = FixedDemand(is_background=True)


def grant(state: RateState, policy: RatePolicy, now: float) -> tuple[RateState, float]:
    """Return (state, 0.0) if a request may be sent now, otherwise the state unchanged and the seconds to wait."""
    state = _as_of(state, now)
    if state.until > now:
        return state, state.until - now
    if state.is_suspect and state.probe > now:
        return state, min(PROBE_POLL, state.probe - now)
    after, wait = _spend(state, policy, now)
    if wait:
        return state, wait
    return (replace(after, probe=now + PROBE_LEASE) if state.is_suspect else after), 0.0


def slow_down(state: RateState, now: float) -> float:
    """Return the factor by which the policy's rate is divided now: 1.0 to MOST_SLOW_DOWN."""
    recovered = math.pow(SLOW_DOWN, min(max(0.0, now - state.slowed) / RECOVERY_SECONDS, 64.0))
    return max(1.0, min(state.slow_down, MOST_SLOW_DOWN) / recovered)


def pace(state: RateState, policy: RatePolicy, now: float) -> RatePolicy:
    """Return the policy as it applies now: after a refusal with a slower rate, and with single requests for a burst.

    A policy without a rate is unchanged: its connections are the limit.
    """
    factor = slow_down(state, now)
    if policy.requests_per_second is None or factor <= 1:
        return policy
    return replace(policy, requests_per_second=policy.requests_per_second / factor, burst=1)


def seconds_for(state: RateState, policy: RatePolicy, now: float, count: int) -> float:
    """Return the seconds until the last of `count` requests can be sent, if each is sent as early as possible.

    It includes the remaining cool-down and the recovery of the pace, and no further refusal.
    """
    state = _as_of(state, now)
    start = max(now, state.until)
    rate = policy.requests_per_second
    if count < 1 or rate is None:
        return start - now if count > 0 else 0.0
    missing = _spent(state, policy, start) + count - max(1, policy.burst)
    if missing <= 0:
        return start - now
    # The rate grows by the factor SLOW_DOWN in RECOVERY_SECONDS until it is that of the policy. The tokens of the
    # growing phase are its integral.
    factor, growth = slow_down(state, start), math.log(SLOW_DOWN) / RECOVERY_SECONDS
    while_growing = rate * (1 - 1 / factor) / growth
    if missing <= while_growing:
        return start - now + math.log1p(missing * growth * factor / rate) / growth
    return start - now + math.log(factor) / growth + (missing - while_growing) / rate


def throttled(
    state: RateState,
    policy: RatePolicy,
    now: float,
    *,
    cool_down_epoch: int,
    retry_after: float | None,
    jitter: float,
    cause: str = "",
) -> RateState:
    """Begin a cool-down after a refusal by the upstream (429, 503, 509). `jitter` is a number in [0, 1).

    A usable `retry_after` sets the first pause; from the second refusal in a row on, the back-off is the minimum. Zero
    has no information (the snapshot service sends it with a block that lasts hours), and so has less than a second.
    Requests that were under way together are refused together and count as one: `cool_down_epoch` is the count at the
    time of their grant. The first refusal in a row slows the pace. The refusal of a probe does not: the service still
    blocks, whatever the pace is.
    """
    asked = 0.0 if retry_after is None or retry_after < SHORTEST_ASKED else min(retry_after, LONGEST_PAUSE)
    if cool_down_epoch != state.cool_down_epoch:
        return replace(state, until=now + asked, noted=now) if asked and now + asked > state.until else state
    throttles = state.throttles + 1
    own = _doubled(policy.cool_down, policy.cool_down_most, throttles if not asked else throttles - 1)
    until = max(state.until, now + max(asked, own) * (1 + SPREAD * jitter))
    slower = max(state.slow_down, SLOW_DOWN) if state.throttles else slow_down(state, now) * SLOW_DOWN
    # The bucket is empty. At the slower pace it fills to one token only, for the probe: no burst follows the cool-down.
    return replace(
        state,
        spent=float(max(1, policy.burst)),
        updated=now,
        until=until,
        cool_down_epoch=cool_down_epoch + 1,
        throttles=throttles,
        probe=0.0,
        noted=now,
        cause=cause,
        slow_down=min(slower, MOST_SLOW_DOWN),
        slowed=now,
    )


def broken(
    state: RateState, policy: RatePolicy, now: float, *, cool_down_epoch: int, jitter: float, cause: str = ""
) -> RateState:
    """Begin a short cool-down after a failed connection or a broken answer.

    `cool_down_epoch` and `jitter` have the meaning that they have in `throttled`.
    """
    if cool_down_epoch != state.cool_down_epoch:
        return state
    breaks = state.breaks + 1
    pause = _doubled(policy.rest, policy.failure_cool_down_most, breaks) * (1 + SPREAD * jitter)
    return replace(
        state,
        until=max(state.until, now + pause),
        cool_down_epoch=cool_down_epoch + 1,
        breaks=breaks,
        probe=0.0,
        noted=now,
        cause=cause,
    )


def succeeded(state: RateState, *, cool_down_epoch: int) -> RateState:
    """Reset the failure counts after a complete answer, unless a cool-down began since the request was granted."""
    if cool_down_epoch != state.cool_down_epoch:
        return state
    return replace(state, throttles=0, breaks=0, probe=0.0, cause="")


def returned(state: RateState, *, cool_down_epoch: int) -> RateState:
    """Return a grant that ended without a result (its caller was cancelled).

    If it was the probe, another may be sent. Its token is not returned: upstream may have received the request.
    """
    return replace(state, probe=0.0) if cool_down_epoch == state.cool_down_epoch else state


def _spend(state: RateState, policy: RatePolicy, now: float) -> tuple[RateState, float]:
    """Return the state after one token is spent and 0.0; without a token the state and the seconds until there is one.

    An upstream without a rate needs no token.
    """
    rate, most = pace(state, policy, now).requests_per_second, max(1, policy.burst)
    if rate is None:
        return state, 0.0
    spent = _spent(state, policy, now)
    missing = spent + 1 - most
    if missing > _FULL:
        return state, missing / rate
    return replace(state, spent=min(spent + 1, most), updated=max(now, state.updated)), 0.0


def _spent(state: RateState, policy: RatePolicy, now: float) -> float:
    """Return the tokens that are missing from the bucket.

    While the pace is slowed the bucket has one token at most. It is measured against the size that the policy sets, so
    that no burst follows the recovery.
    """
    paced, most = pace(state, policy, now), max(1, policy.burst)
    spent = min(state.spent, most) - (paced.requests_per_second or 0.0) * max(0.0, now - state.updated)
    return max(spent, float(most - max(1, paced.burst)))


def _doubled(first: float, most: float, strikes: int) -> float:
    """Return `first` doubled for every strike after the first, at most `most`; 0 without a strike."""
    return min(first * 2.0 ** min(strikes - 1, 64), most, LONGEST_PAUSE) if strikes > 0 else 0.0


def _as_of(state: RateState, now: float) -> RateState:
    """Reset times from the future: a clock that was set back must not block an upstream until it catches up."""
    is_sane = (
        state.noted <= now + CLOCK_TOLERANCE
        and state.until <= now + LONGEST_PAUSE * (1 + SPREAD)
        and state.updated <= max(now + CLOCK_TOLERANCE, state.until)  # rows of earlier versions have the latter
        and state.probe <= now + PROBE_LEASE + CLOCK_TOLERANCE
        and state.slowed <= now + CLOCK_TOLERANCE
    )
    slowed = min(state.slowed, now)
    return state if is_sane else replace(state, spent=0.0, updated=now, until=0.0, probe=0.0, noted=0.0, slowed=slowed)
