"""Resolve a time: find the snapshot that answers it, or the reason for a refusal.

Implements the rules for times (docs/explain/design.md, section 2). A time is answered only if the state of the archive
at that instant is known and can no longer change; it is never silently answered with another day. The functions do no
I/O and never raise: windows of the timeline are the input, a missing window is returned as a NeedWindow. The archive's
history reads its timeline; the executor serves the files.
"""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.core.model import LIVE, Archive, Instant, Match, NeedWindow, Refusal, Resolved, TimeSpec, Window
from snapproxy.core.time_spec import format_instant
from snapproxy.core.timeline import UNSETTLED_SECONDS, Timeline

_GONE = 410
_TOO_EARLY = 425
_HOUR = 3600
MAX_WINDOWS = 8
"""Maximum number of windows that `resolve_listed` requests from a service that lists the snapshots of a window."""
_NEAREST = "Append .nearest to select the newest settled snapshot before it."
USE_PAST = "Request a time in the past; if the clock of this machine is wrong, correct it."
_USE_LIVE = "Try again later, or use live for the current files."


def resolve_listed(
    archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
) -> Resolved | Refusal | NeedWindow:
    """Resolve `when` for an archive that keeps snapshots at listed instants.

    `windows` are those that have not expired (`timeline.window_expires`); the caller answers a need by adding the
    requested window. It returns at most MAX_WINDOWS needs in a row.
    """
    if when.match is Match.LIVE:
        return Resolved(LIVE, now)
    line = Timeline.of(archive, windows.values(), now)
    instant = now if when.instant is None else when.instant
    if instant > now:
        return _future(archive, line)
    if when.match in {Match.NEAREST, Match.LATEST}:
        return _nearest(archive, line, when, instant)
    return _held(archive, line, when, instant)


def resolve_any(archive: Archive, when: TimeSpec, now: Instant) -> Resolved | Refusal:
    """Resolve `when` for an archive whose server answers for every second; the id is the instant itself.

    `latest` and an unsettled `.nearest` are rounded down to the full hour, so that builds started minutes apart request
    the same files.
    """
    if when.match is Match.LIVE:
        return Resolved(LIVE, now)
    settled = now - archive.settle_after
    newest = settled - settled % _HOUR
    instant = newest if when.instant is None else when.instant
    if instant > now:
        return refuse(_TOO_EARLY, "that time is in the future", _not_yet(now), newest, None)
    if archive.first is not None and instant < archive.first:
        return refuse(_GONE, "that is before the archive's record begins", "", None, archive.first)
    if when.match is Match.NEAREST or when.instant is None:
        usable = _good(archive, instant if instant <= settled else newest)
        if archive.first is not None and usable < archive.first:
            return refuse(_TOO_EARLY, "the archive has no settled instant yet", "", None, None, _USE_LIVE)
        return Resolved(format_instant(usable), usable, note=_note(archive, usable, instant, when))
    if instant > settled:
        settle_after = span_words(archive.settle_after)
        may_change = f"The archive may still change for it; it becomes settled {settle_after} after that instant"
        why = f"{may_change}. {_NEAREST}"
        return refuse(_TOO_EARLY, "that time is not settled yet", why, _good(archive, newest), None)
    if instant in archive.bad:
        return refuse(_GONE, "that instant is marked bad", why_bad(archive, instant), _good(archive, instant), None)
    return Resolved(format_instant(instant), instant)


def refuse_moving(resolved: Resolved) -> Refusal:
    """Refuse `latest` unless a capture freezes it: it would change between a client's update and its install."""
    why = "latest changes with the archive, even between two requests of one build; only a capture freezes it."
    return refuse(_TOO_EARLY, "latest is not a fixed time", why, resolved.instant, None)


def _held(archive: Archive, line: Timeline, when: TimeSpec, instant: Instant) -> Resolved | Refusal | NeedWindow:
    """Answer with the newest snapshot at or before `instant`, if a later one proves that it was still the newest."""
    before = line.at_or_before(instant)
    if isinstance(before, NeedWindow):
        return before
    if before == instant and _is_old(archive, line, before):
        return Resolved(format_instant(before), before)
    if before is None:
        return _before_first(archive, line, instant)
    after = _follower(archive, line, before, instant)
    if isinstance(after, NeedWindow):
        return after
    objection = _objection(archive, when, instant, before, after)
    if objection is not None:
        usable = _settled(archive, line, instant)
        if isinstance(usable, NeedWindow):
            return usable
        is_usable = after is not None and _is_old(archive, line, after)
        return refuse(_GONE, *objection, usable, after if is_usable else None)
    if after is None:
        return _at_the_end(archive, line, when, instant, before)
    if after - before > archive.max_gap:  # the exact id of a snapshot before a gap
        return Resolved(format_instant(before), before)
    valid = (before, min(after, line.seen_to(instant)) - 1)
    return Resolved(format_instant(before), before, valid, _note(archive, before, instant, when))


def _objection(
    archive: Archive, when: TimeSpec, instant: Instant, before: Instant, after: Instant | None
) -> tuple[str, str] | None:
    """Return the (reason, why) against an instant between two snapshots; None without an objection."""
    if instant in archive.bad:
        return "that snapshot is marked bad", why_bad(archive, instant)
    if before == instant or after is None:
        return None
    if when.match is Match.EXACT:
        return "no snapshot has exactly that instant", ""
    if after - before > archive.max_gap:
        apart, limit = span_words(after - before), span_words(archive.max_gap)
        gap = f"the surrounding snapshots are {apart} apart, and max_gap is {limit}"
        return "that time is in a gap of the archive", f"Its state at that time is unknown: {gap}. {_NEAREST}"
    return None


def _follower(archive: Archive, line: Timeline, before: Instant, instant: Instant) -> Instant | NeedWindow | None:
    """Return a snapshot that follows `before`; None if nothing proves `before` the newest at `instant`."""
    after = line.after(instant, enough=before + archive.max_gap)
    # If a window was requested before that time had passed, an unknown snapshot may lie between the two.
    is_seen = archive.frozen or line.seen_to(before) > instant
    return after if is_seen or isinstance(after, NeedWindow) else None


def _at_the_end(
    archive: Archive, line: Timeline, when: TimeSpec, instant: Instant, before: Instant
) -> Resolved | Refusal | NeedWindow:
    """Answer for an instant that no snapshot follows; `before` is the newest snapshot."""
    if archive.frozen and when.match is Match.AT and _is_old(archive, line, before):
        return Resolved(format_instant(before), before, (before, line.now), _note(archive, before, instant, when))
    usable = _settled(archive, line, instant)
    if isinstance(usable, NeedWindow):
        return usable
    if before == instant:
        why = (
            f"A snapshot is settled once a later one exists, or {span_words(archive.settle_after)} after it was taken."
        )
        return refuse(_TOO_EARLY, "that snapshot is not settled yet", why, usable, None)
    return _later_than_known(before, usable)


def _later_than_known(newest: Instant, usable: Instant | None) -> Refusal:
    known = f"The newest known snapshot is {format_instant(newest)}"
    why = f"{known}; nothing proves the state of the archive after it yet. {_NEAREST}"
    return refuse(_TOO_EARLY, "that time is later than the newest snapshot", why, usable, None)


def _nearest(archive: Archive, line: Timeline, when: TimeSpec, instant: Instant) -> Resolved | Refusal | NeedWindow:
    """Answer with the newest settled snapshot at or before `instant`, however old."""
    usable = _settled(archive, line, instant)
    if isinstance(usable, NeedWindow):
        return usable
    if (
        usable is not None
        and when.instant is not None
        and line.seen_to(usable) <= min(instant, line.now - UNSETTLED_SECONDS)
    ):
        return _later_than_known(usable, usable)
    if usable is not None:
        return Resolved(format_instant(usable), usable, note=_note(archive, usable, instant, when))
    return _before_first(archive, line, instant)


def refuse_future(now: Instant) -> Refusal:
    """Refuse a time in the future without naming a usable one, because the timeline is not available."""
    return refuse(_TOO_EARLY, "that time is in the future", _not_yet(now), None, None, USE_PAST)


def _future(archive: Archive, line: Timeline) -> Refusal | NeedWindow:
    usable = _settled(archive, line, line.now)
    if isinstance(usable, NeedWindow):
        return usable
    return refuse(_TOO_EARLY, "that time is in the future", _not_yet(line.now), usable, None, USE_PAST)


def _settled(archive: Archive, line: Timeline, instant: Instant) -> Instant | NeedWindow | None:
    """Return the newest settled snapshot at or before `instant`: it is old enough, or a later one exists."""
    newest = line.at_or_before(instant)
    if newest is None or isinstance(newest, NeedWindow) or _is_old(archive, line, newest):
        return newest
    later = line.after(newest, enough=line.now)
    if isinstance(later, NeedWindow):
        return later
    return newest if later is not None else line.at_or_before(newest - 1)


def _is_old(archive: Archive, line: Timeline, snapshot: Instant) -> bool:
    return line.now - snapshot >= archive.settle_after


def _good(archive: Archive, instant: Instant) -> Instant:
    """Return the last instant at or before this one that is not marked bad."""
    while instant in archive.bad:
        instant -= 1
    return instant


def _note(archive: Archive, chosen: Instant, instant: Instant, when: TimeSpec) -> str:
    """Return the note for the client if the answer is not simply the snapshot of that time."""
    skipped = sorted(bad for bad in archive.bad if chosen < bad <= instant)
    notes = [f"{format_instant(skipped[-1])} is marked bad and was skipped"] if skipped else []
    if when.match is Match.NEAREST and chosen != instant:
        notes.append(f"{format_instant(chosen)} is the newest settled snapshot at or before that time")
    return "; ".join(notes)


def why_bad(archive: Archive, instant: Instant) -> str:
    """Return the reason why an instant is marked bad: the text given when it was marked, or the configuration."""
    given = dict(archive.because).get(instant)
    reason = f"It was marked bad by hand: {given}" if given else "The configuration marks it bad (the archive's `bad`)"
    return f"{reason}; locks that name it can still be replayed."


def _not_yet(now: Instant) -> str:
    return f"The clock of this machine shows {format_instant(now)}."


def _before_first(archive: Archive, line: Timeline, instant: Instant) -> Refusal | NeedWindow:
    first = line.after(instant, enough=line.now - archive.settle_after)
    if isinstance(first, NeedWindow):
        return first
    if first is None or not _is_old(archive, line, first):
        return refuse(_TOO_EARLY, "the archive has no settled snapshot yet", "", None, None, _USE_LIVE)
    return refuse(_GONE, "that is before the archive's first snapshot", "", None, first)


def span_words(seconds: int) -> str:
    """Format a duration in the largest suitable unit."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


def refuse(status: int, what: str, why: str, before: Instant | None, after: Instant | None, hint: str = "") -> Refusal:
    """Return a refusal that names the nearest usable instants; without one its hint is `hint`.

    They are in the reason phrase too, because some clients print nothing else.
    """
    ids = [format_instant(each) for each in (before, after) if each is not None]
    named = " or ".join(ids)
    if not ids:
        return Refusal(status, what, why, hint)
    return Refusal(status, f"{what}: use {named}", why, f"Request {named}.")
