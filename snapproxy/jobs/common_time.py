"""Find the newest time that several archives answer: each has its own latest snapshot, and another may refuse it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from snapproxy.core.model import Instant, Match, Refusal, Resolved, TimeSpec
from snapproxy.core.time_spec import format_instant

MAX_STEPS = 32
"""Maximum number of steps back. Each goes to an earlier snapshot of one of the archives, past its gaps."""

Resolve = Callable[[str, TimeSpec], Awaitable[Resolved | Refusal]]
"""Return the snapshot of an archive, given by its name, that answers for a time."""


@dataclass(frozen=True, slots=True)
class CommonTime:
    """A time that every archive answers, and the snapshot of each archive at it, by name."""

    instant: Instant
    snapshots: Mapping[str, Resolved]


async def newest_common(archives: tuple[str, ...], when: TimeSpec, resolve: Resolve) -> CommonTime | Refusal:
    """Return the newest known time that all archives answer: `latest`, or at or before a time with `.nearest`.

    Any other time is returned if all archives answer it. A refusal names the archive that refused.
    """
    if when.match not in (Match.LATEST, Match.NEAREST):
        return await _at(archives, when, resolve)
    newest: list[Instant] = []
    for name in archives:
        found = await resolve(name, when)
        if isinstance(found, Refusal):
            return _named(name, found)
        newest.append(found.answers)
    candidates = sorted(set(newest), reverse=True)
    for instant in candidates[:-1]:  # a later snapshot of one archive may be within the newest one of the others
        if isinstance(found_all := await _at(archives, _exactly(instant), resolve), CommonTime):
            return found_all
    return await _step_back(archives, candidates[-1], resolve)


async def _step_back(archives: tuple[str, ...], instant: Instant, resolve: Resolve) -> CommonTime | Refusal:
    """Go back from `instant` to the nearest snapshot of each archive that refuses it, until none does."""
    for _ in range(MAX_STEPS):
        found = await _at(archives, _exactly(instant), resolve)
        if isinstance(found, CommonTime):
            return found
        earlier = []
        for name in archives:
            nearest = await resolve(name, replace(_exactly(instant), match=Match.NEAREST))
            if isinstance(nearest, Refusal):
                return _named(name, nearest)
            earlier.append(nearest.answers)
        if min(earlier) >= instant:  # the archive that refused this time names no earlier one
            return found
        instant = min(earlier)
    return Refusal(
        424,
        "no time was found that all these archives answer",
        f"Each of the {MAX_STEPS} times before it, down to {format_instant(instant)}, is refused by one of them.",
        "Request a time with `snapproxy timeline ARCHIVE`, or one archive at a time.",
    )


async def _at(archives: tuple[str, ...], when: TimeSpec, resolve: Resolve) -> CommonTime | Refusal:
    snapshots: dict[str, Resolved] = {}
    for name in archives:
        found = await resolve(name, when)
        if isinstance(found, Refusal):
            return _named(name, found)
        snapshots[name] = found
    oldest = min(each.answers for each in snapshots.values())
    return CommonTime(oldest if when.instant is None else when.instant, snapshots)


def _exactly(instant: Instant) -> TimeSpec:
    return TimeSpec(format_instant(instant), instant, Match.AT)


def _named(name: str, refusal: Refusal) -> Refusal:
    return replace(refusal, why=f"{name}: {refusal.why}" if refusal.why else f"{name} refuses it.")
