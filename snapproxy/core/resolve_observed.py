"""Resolve a time from local observations of a root: spans with one digest, and the gaps between them.

Within a span the answer is exact for every history (bracketing). An archive whose past is known from observations only
is also answered between two spans, with the last observation before that time, if the gap is at most `max_gap`. The
functions do no I/O and never raise; `resolve` has the rules of the other histories.
"""

from __future__ import annotations

from snapproxy.core.model import LIVE, Archive, Instant, Match, ObservedRoot, Refusal, Resolved, Span, TimeSpec
from snapproxy.core.resolve import USE_PAST, refuse, span_words, why_bad
from snapproxy.core.time_spec import format_instant

_GONE = 410
_TOO_EARLY = 425
_NEAREST = "Append .nearest to select the last observation before it."


def resolve_bracketed(when: TimeSpec, observed: ObservedRoot, now: Instant) -> Resolved | None:
    """Resolve an instant inside a span; None outside.

    This covers gaps of the timeline, seconds between snapshots, and local observations.
    """
    if when.match is not Match.AT or when.instant is None or when.instant > now:
        return None
    span = observed.before
    if span is None or not span.first <= when.instant <= span.last:
        return None
    return Resolved(span.snapshot, span.first, (span.first, span.last), is_for_one_root=True)


def resolve_observed(archive: Archive, when: TimeSpec, observed: ObservedRoot, now: Instant) -> Resolved | Refusal:
    """Resolve `when` for a root that is known from local observations only.

    If the observation that answers is an absence, the refusal is a 404.
    """
    if when.match is Match.LIVE:
        return Resolved(LIVE, now)
    answer = _resolve(archive, when, observed, now)
    is_absence = observed.before is not None and observed.before.is_absence
    return _absent(archive, observed.root, answer) if is_absence and isinstance(answer, Resolved) else answer


def _resolve(archive: Archive, when: TimeSpec, observed: ObservedRoot, now: Instant) -> Resolved | Refusal:
    """Find the observation that answers, which may be an absence: it follows the rules of a root."""
    instant = now if when.instant is None else when.instant
    before, after = observed.before, observed.after
    if instant > now:
        why = f"The clock of this machine shows {format_instant(now)}."
        return refuse(_TOO_EARLY, "that time is in the future", why, _end(before), None, USE_PAST)
    if before is None and after is None and observed.passed is None:
        return never_observed(archive)
    if when.match in {Match.NEAREST, Match.LATEST}:
        return _nearest(observed, when, instant)
    if instant in archive.bad:
        return refuse(_GONE, "that observation is marked bad", why_bad(archive, instant), _end(before), _start(after))
    if when.match is Match.EXACT and not _is_named(before, instant):
        return refuse(_GONE, "no observation has exactly that instant", "", _end(before), _start(after))
    return _within(before, instant) or _between(archive, observed, instant)


def never_observed(archive: Archive) -> Refusal:
    """Refuse a time of an archive that was never observed."""
    why = f"Only snapproxy's own observations provide the past of {archive.name}, and this file was not observed yet."
    hint = f"Observe it from now on: `snapproxy observe {archive.name} PATH`, or [[watch]] in the configuration."
    return Refusal(_TOO_EARLY, "this file was never observed", why, hint)


def _absent(archive: Archive, root: str, resolved: Resolved) -> Refusal:
    headers = {"X-Snapproxy-Snapshot": f"{archive.name}/{resolved.name}"}
    if resolved.valid is not None:
        headers["X-Snapproxy-Valid"] = "/".join(map(format_instant, resolved.valid))
    if resolved.note:
        headers["X-Snapproxy-Note"] = resolved.note
    why = f"Upstream was asked for {root} when {archive.name} was observed, and had no such file."
    return Refusal(404, "Not in the archive at that time", why, headers=headers)


def _within(span: Span | None, instant: Instant) -> Resolved | None:
    """Answer for an instant within a span. The state at that instant is known, so its name is the instant itself."""
    if span is None or not span.first <= instant <= span.last:
        return None
    return _observed(span, instant)


def _observed(span: Span, named: Instant, valid: tuple[Instant, Instant] | None = None, note: str = "") -> Resolved:
    """Return the answer from a span under the name of an instant at which its state was observed or is proved.

    The name is not the beginning of the span, which depends on how early this store began to observe.
    """
    return Resolved(span.snapshot, span.first, valid or (span.first, span.last), note, format_instant(named))


def _between(archive: Archive, observed: ObservedRoot, instant: Instant) -> Resolved | Refusal:
    """Answer for an instant between two observations with the earlier one, if the gap is at most `max_gap`."""
    before, after = observed.before, observed.after
    if before is None:
        return refuse(_GONE, "that is before the first observation", "", None, _start(after))
    if after is None:
        if archive.frozen:
            return _observed(before, before.last, (before.first, instant), _skipped(observed))
        last = f"The last observation is of {format_instant(before.last)}"
        why = f"{last}; nothing proves the state of the archive after it yet. {_NEAREST}"
        return refuse(_TOO_EARLY, "that time is later than the last observation", why, before.last, None)
    gap = after.first - before.last
    if gap > archive.max_gap:
        limit = span_words(archive.max_gap)
        why = f"There was no observation for {span_words(gap)}, and max_gap is {limit}. {_NEAREST}"
        return refuse(_GONE, "that is in a gap of the observations", why, before.last, after.first)
    unsure = (
        f"sure up to {format_instant(before.last)}; from then until {format_instant(after.first)} it may have changed"
    )
    return _observed(before, before.last, note=_notes(_skipped(observed), unsure))


def _nearest(observed: ObservedRoot, when: TimeSpec, instant: Instant) -> Resolved | Refusal:
    before = observed.before
    if before is None:
        return refuse(_GONE, "that is before the first observation", "", None, _start(observed.after))
    if (exact := _within(before, instant)) is not None:
        return exact
    is_asked = when.instant is not None
    chosen = f"{format_instant(before.last)} is the last observation at or before that time" if is_asked else ""
    return _observed(before, before.last, note=_notes(_skipped(observed), chosen))


def _is_named(span: Span | None, instant: Instant) -> bool:
    """Return whether this instant names an observation: its span begins then, or its id is that instant.

    An absence has no id: each instant of its span names it.
    """
    if span is not None and span.is_absence:
        return span.first <= instant <= span.last
    return span is not None and (instant == span.first or format_instant(instant) == span.snapshot)


def _skipped(observed: ObservedRoot) -> str:
    return "" if observed.passed is None else f"{format_instant(observed.passed)} is marked bad and was skipped"


def _notes(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _start(span: Span | None) -> Instant | None:
    return None if span is None else span.first


def _end(span: Span | None) -> Instant | None:
    return None if span is None else span.last
