"""Settles a *when*: which snapshot answers it, or why none may. The rules of honest time (docs/design.md, section 2) stand here.

A time is answered only when what the archive held at that instant is known and can no longer change: never by another day in
silence. Pure and total: facts come in as windows of the timeline, what is missing goes out as a NeedWindow. How an archive is
asked for its timeline is its history's business; what is served then, the executor's.
"""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.core.model import LIVE, Archive, Instant, Match, NeedWindow, Refusal, Resolved, When, Window
from snapproxy.core.timeline import UNSETTLED_SECONDS, Timeline
from snapproxy.core.when import spell

_GONE = 410
_TOO_EARLY = 425
_HOUR = 3600
_NEAREST = "A time that ends in .nearest takes the newest settled one before it."


def resolve_listed(
    row: Archive, when: When, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
) -> Resolved | Refusal | NeedWindow:
    """Settle `when` for an archive that keeps snapshots at listed instants.

    `windows` are those that have not expired (`timeline.window_expires`); a need is answered by adding the window it led to.
    At most eight needs follow one another.
    """
    if when.match is Match.LIVE:
        return Resolved(LIVE, now)
    line = Timeline.of(row, windows.values(), now)
    instant = now if when.instant is None else when.instant
    if instant > now:
        return _future(row, line)
    if when.match in {Match.NEAREST, Match.LATEST}:
        return _nearest(row, line, when, instant)
    return _held(row, line, when, instant)


def resolve_any(row: Archive, when: When, now: Instant) -> Resolved | Refusal:
    """Settle `when` for an archive whose server answers for every second; the id is the instant itself.

    `latest` and an unsettled `.nearest` are taken to the full hour, so that builds started minutes apart ask for the same files.
    """
    if when.match is Match.LIVE:
        return Resolved(LIVE, now)
    settled = now - row.settle_after
    newest = settled - settled % _HOUR
    instant = newest if when.instant is None else when.instant
    if instant > now:
        return refuse(_TOO_EARLY, "that time is in the future", _not_yet(now), newest, None)
    if row.first is not None and instant < row.first:
        return refuse(_GONE, "that is before the archive's record begins", "", None, row.first)
    if when.match is Match.NEAREST or when.instant is None:
        usable = _good(row, instant if instant <= settled else newest)
        if row.first is not None and usable < row.first:
            return refuse(_TOO_EARLY, "the archive has no settled instant yet", "", None, None)
        return Resolved(spell(usable), usable, note=_note(row, usable, instant, when))
    if instant > settled:
        why = f"The archive may still change what it held then; an instant is settled {span_words(row.settle_after)} later. {_NEAREST}"
        return refuse(_TOO_EARLY, "that time is not settled yet", why, _good(row, newest), None)
    if instant in row.bad:
        return refuse(_GONE, "that instant is marked bad", why_bad(row, instant), _good(row, instant), None)
    return Resolved(spell(instant), instant)


def refuse_moving(when: When, resolved: Resolved) -> Refusal | None:
    """Refuse `latest` where no capture freezes it: it would move between a client's update and its install."""
    if when.match is not Match.LATEST:
        return None
    why = "latest moves on with the archive, between two requests of one build too; only a capture holds it still."
    return refuse(_TOO_EARLY, "latest is not a fixed time", why, resolved.instant, None)


def _held(row: Archive, line: Timeline, when: When, instant: Instant) -> Resolved | Refusal | NeedWindow:
    """Answer with what the archive held at `instant`: the newest snapshot at or before it, if a later one ends its reign."""
    before = line.at_or_before(instant)
    if isinstance(before, NeedWindow):
        return before
    if before == instant and _is_old(row, line, before):
        return Resolved(spell(before), before)
    if before is None:
        return _before_first(row, line, instant)
    after = _follower(row, line, before, instant)
    if isinstance(after, NeedWindow):
        return after
    objection = _objection(row, when, instant, before, after)
    if objection is not None:
        usable = _settled(row, line, instant)
        if isinstance(usable, NeedWindow):
            return usable
        is_usable = after is not None and _is_old(row, line, after)
        return refuse(_GONE, *objection, usable, after if is_usable else None)
    if after is None:
        return _at_the_end(row, line, when, instant, before)
    if after - before > row.max_gap:  # an equal id inside a gap
        return Resolved(spell(before), before)
    valid = (before, min(after, line.seen_to(instant)) - 1)
    return Resolved(spell(before), before, valid, _note(row, before, instant, when))


def _objection(
    row: Archive, when: When, instant: Instant, before: Instant, after: Instant | None
) -> tuple[str, str] | None:
    """Say what stands against an instant between two snapshots, and why; None for nothing."""
    if instant in row.bad:
        return "that snapshot is marked bad", why_bad(row, instant)
    if before == instant or after is None:
        return None
    if when.match is Match.EXACT:
        return "no snapshot bears that very instant", ""
    if after - before > row.max_gap:
        gap = f"{span_words(after - before)}, and at most {span_words(row.max_gap)} is believed"
        return "that time is in a gap of the archive", f"Nothing tells what it held in between: {gap}. {_NEAREST}"
    return None


def _follower(row: Archive, line: Timeline, before: Instant, instant: Instant) -> Instant | NeedWindow | None:
    """Return a snapshot that ends the reign of `before`, None where nothing proves that it still reigned at `instant`."""
    after = line.after(instant, enough=before + row.max_gap)
    # Where a window was asked for before that time had passed, one that is not known may stand between the two.
    is_seen = row.frozen or line.seen_to(before) > instant
    return after if is_seen or isinstance(after, NeedWindow) else None


def _at_the_end(
    row: Archive, line: Timeline, when: When, instant: Instant, before: Instant
) -> Resolved | Refusal | NeedWindow:
    """Answer for an instant that no snapshot follows; `before` is the newest there is."""
    if row.frozen and when.match is Match.HELD and _is_old(row, line, before):
        return Resolved(spell(before), before, (before, line.now), _note(row, before, instant, when))
    usable = _settled(row, line, instant)
    if isinstance(usable, NeedWindow):
        return usable
    if before == instant:
        why = f"A snapshot is settled once a later one exists, or {span_words(row.settle_after)} after it was taken."
        return refuse(_TOO_EARLY, "that snapshot is not settled yet", why, usable, None)
    return _later_than_known(before, usable)


def _later_than_known(newest: Instant, usable: Instant | None) -> Refusal:
    why = f"The newest snapshot known is {spell(newest)}; nothing proves yet what the archive held after it. {_NEAREST}"
    return refuse(_TOO_EARLY, "that time is later than the newest snapshot", why, usable, None)


def _nearest(row: Archive, line: Timeline, when: When, instant: Instant) -> Resolved | Refusal | NeedWindow:
    """Answer with the newest settled snapshot at or before `instant`, however old."""
    usable = _settled(row, line, instant)
    if isinstance(usable, NeedWindow):
        return usable
    if (
        usable is not None
        and when.instant is not None
        and line.seen_to(usable) <= min(instant, line.now - UNSETTLED_SECONDS)
    ):
        return _later_than_known(usable, usable)
    if usable is not None:
        return Resolved(spell(usable), usable, note=_note(row, usable, instant, when))
    return _before_first(row, line, instant)


def refuse_future(now: Instant) -> Refusal:
    """Refuse a time that has not come, where the timeline cannot be had to name a usable one."""
    return refuse(_TOO_EARLY, "that time is in the future", _not_yet(now), None, None)


def _future(row: Archive, line: Timeline) -> Refusal | NeedWindow:
    usable = _settled(row, line, line.now)
    if isinstance(usable, NeedWindow):
        return usable
    return refuse(_TOO_EARLY, "that time is in the future", _not_yet(line.now), usable, None)


def _settled(row: Archive, line: Timeline, instant: Instant) -> Instant | NeedWindow | None:
    """Return the newest settled snapshot at or before `instant`: it is old enough, or a later one exists."""
    newest = line.at_or_before(instant)
    if newest is None or isinstance(newest, NeedWindow) or _is_old(row, line, newest):
        return newest
    later = line.after(newest, enough=line.now)
    if isinstance(later, NeedWindow):
        return later
    return newest if later is not None else line.at_or_before(newest - 1)


def _is_old(row: Archive, line: Timeline, snapshot: Instant) -> bool:
    return line.now - snapshot >= row.settle_after


def _good(row: Archive, instant: Instant) -> Instant:
    """Return the last instant at or before this one that is not marked bad."""
    while instant in row.bad:
        instant -= 1
    return instant


def _note(row: Archive, chosen: Instant, instant: Instant, when: When) -> str:
    """Say what a client should know of a choice that is not simply the snapshot of that time."""
    passed = sorted(bad for bad in row.bad if chosen < bad <= instant)
    notes = [f"{spell(passed[-1])} is marked bad and was passed over"] if passed else []
    if when.match is Match.NEAREST and chosen != instant:
        notes.append(f"{spell(chosen)} is the newest settled snapshot at or before that time")
    return "; ".join(notes)


def why_bad(row: Archive, instant: Instant) -> str:
    """Say what is known of a bad instant: the words of whoever marked it, or that its row lists it."""
    told = dict(row.because).get(instant)
    by = f"Whoever marked it said: {told}" if told else "The configuration marks it bad (the row's `bad`)"
    return f"{by}; locks that name it still replay."


def _not_yet(now: Instant) -> str:
    return f"By this machine's clock it is {spell(now)}."


def _before_first(row: Archive, line: Timeline, instant: Instant) -> Refusal | NeedWindow:
    first = line.after(instant, enough=line.now - row.settle_after)
    if isinstance(first, NeedWindow):
        return first
    if first is None or not _is_old(row, line, first):
        return refuse(_TOO_EARLY, "the archive has no settled snapshot yet", "", None, None)
    return refuse(_GONE, "that is before the archive's first snapshot", "", None, first)


def span_words(seconds: int) -> str:
    """Write a length of time in its largest fitting unit."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


def refuse(status: int, what: str, why: str, before: Instant | None, after: Instant | None) -> Refusal:
    """Refuse, and name the nearest usable instants in the reason as well: apt prints nothing else."""
    ids = [spell(each) for each in (before, after) if each is not None]
    named = " or ".join(ids)
    if not ids:
        return Refusal(status, what, why)
    return Refusal(status, f"{what}: use {named}", why, f"Ask for {named}.")
