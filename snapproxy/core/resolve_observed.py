"""Settles a *when* by what was seen of a root, here, at known moments: spans of one digest, and what lies between them.

Within a span the answer is exact, whichever way the archive remembers (bracketing). An archive that has no other memory is also
answered between two spans, with what was seen last before, as long as the observer was not away for longer than `max_gap`. Pure and
total; how the other histories settle a time stands in `resolve`.
"""

from __future__ import annotations

from snapproxy.core.model import LIVE, Archive, Instant, Match, ObservedRoot, Refusal, Resolved, Span, TimeSpec
from snapproxy.core.resolve import refuse, span_words, why_bad
from snapproxy.core.time_spec import format_instant

_GONE = 410
_TOO_EARLY = 425
_NEAREST = "A time that ends in .nearest takes what was observed last before it."


def resolve_bracketed(when: TimeSpec, sighting: ObservedRoot, now: Instant) -> Resolved | None:
    """Settle an instant inside a span: across gaps of the timeline, its seconds, and our own observations. None elsewhere."""
    if when.match is not Match.HELD or when.instant is None or when.instant > now:
        return None
    return _within(sighting.before, when.instant)


def resolve_observed(archive: Archive, when: TimeSpec, sighting: ObservedRoot, now: Instant) -> Resolved | Refusal:
    """Settle `when` for a root of which nothing is known but what was seen here."""
    if when.match is Match.LIVE:
        return Resolved(LIVE, now)
    instant = now if when.instant is None else when.instant
    before, after = sighting.before, sighting.after
    if instant > now:
        why = f"By this machine's clock it is {format_instant(now)}."
        return refuse(_TOO_EARLY, "that time is in the future", why, _end(before), None)
    if before is None and after is None and sighting.passed is None:
        return never_observed(archive)
    if when.match in {Match.NEAREST, Match.LATEST}:
        return _nearest(sighting, when, instant)
    if instant in archive.bad:
        return refuse(_GONE, "that observation is marked bad", why_bad(archive, instant), _end(before), _start(after))
    if when.match is Match.EXACT and not _bears(before, instant):
        return refuse(_GONE, "no observation bears that very instant", "", _end(before), _start(after))
    return _within(before, instant) or _between(archive, sighting, instant)


def never_observed(archive: Archive) -> Refusal:
    """Refuse a time of an archive of which nothing was ever seen here."""
    why = f"Nothing but what snapproxy saw itself is known of the past of {archive.name}, and it has not seen this yet."
    hint = f"Watch it from now on: `snapproxy observe {archive.name} PATH`, or [[watch]] in the configuration."
    return Refusal(_TOO_EARLY, "this was never observed", why, hint)


def _within(span: Span | None, instant: Instant) -> Resolved | None:
    if span is None or not span.first <= instant <= span.last:
        return None
    return Resolved(span.snapshot, span.first, (span.first, span.last))


def _between(archive: Archive, sighting: ObservedRoot, instant: Instant) -> Resolved | Refusal:
    """Answer for an instant at which nothing was seen: with what was seen last before, if the observer was not away for long."""
    before, after = sighting.before, sighting.after
    if before is None:
        return refuse(_GONE, "that is before the first observation", "", None, _start(after))
    if after is None:
        if archive.frozen:
            return Resolved(before.snapshot, before.first, (before.first, instant), _passed(sighting))
        why = f"It was seen last at {format_instant(before.last)}; nothing proves yet what the archive held after that. {_NEAREST}"
        return refuse(_TOO_EARLY, "that time is later than the last observation", why, before.last, None)
    gap = after.first - before.last
    if gap > archive.max_gap:
        why = f"Nobody looked for {span_words(gap)}, and at most {span_words(archive.max_gap)} is believed. {_NEAREST}"
        return refuse(_GONE, "that is in a gap of the observations", why, before.last, after.first)
    unsure = (
        f"sure up to {format_instant(before.last)}; from then until {format_instant(after.first)} it may have changed"
    )
    return Resolved(before.snapshot, before.first, (before.first, before.last), _notes(_passed(sighting), unsure))


def _nearest(sighting: ObservedRoot, when: TimeSpec, instant: Instant) -> Resolved | Refusal:
    before = sighting.before
    if before is None:
        return refuse(_GONE, "that is before the first observation", "", None, _start(sighting.after))
    if (exact := _within(before, instant)) is not None:
        return exact
    is_asked = when.instant is not None
    chosen = f"{format_instant(before.last)} is the last observation at or before that time" if is_asked else ""
    return Resolved(before.snapshot, before.first, (before.first, before.last), _notes(_passed(sighting), chosen))


def _bears(span: Span | None, instant: Instant) -> bool:
    """Whether an observation is called by this instant: its span begins then, or it was first seen then."""
    return span is not None and (instant == span.first or format_instant(instant) == span.snapshot)


def _passed(sighting: ObservedRoot) -> str:
    return "" if sighting.passed is None else f"{format_instant(sighting.passed)} is marked bad and was passed over"


def _notes(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _start(span: Span | None) -> Instant | None:
    return None if span is None else span.first


def _end(span: Span | None) -> Instant | None:
    return None if span is None else span.last
