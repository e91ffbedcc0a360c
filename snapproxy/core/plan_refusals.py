"""The refusals and notes of `plan`, for files that cannot be served or whose bytes nothing proves."""

from __future__ import annotations

from dataclasses import replace

from snapproxy.core.exchange import Moved
from snapproxy.core.expected_files import DroppedEntry
from snapproxy.core.model import Family, Place, Refusal, Resolved
from snapproxy.core.plan_model import Step, reported_space


def snapshot_header(space: str, resolved: Resolved) -> dict[str, str]:
    """Return the header that names the snapshot of an absence."""
    return {"X-Snapproxy-Snapshot": reported_space(space, resolved)}


def mirror_list(family: Family) -> Refusal:
    """Refuse a list of mirrors."""
    return Refusal(
        403,
        "Lists of mirrors are not served",
        "Such a list names other servers and their current files. A client that uses it is no longer pinned.",
        family.mirror_list_hint,
    )


def absent_when_observed(path: str, space: str, resolved: Resolved) -> Refusal:
    """Refuse a file that upstream lacked when its archive was observed."""
    return Refusal(
        404,
        "Not in the archive at that time",
        f"Upstream was asked for {path} when {reported_space(space, resolved)} was observed, and had no such file.",
        headers=snapshot_header(space, resolved),
    )


def not_kept(space: str, path: str, place: Place, resolved: Resolved) -> Refusal:
    """Refuse a file that was not stored when its archive was observed.

    This is not a 404: upstream was not asked for it then, and may have had it.
    """
    archive, named = space.partition("/")[0], reported_space(space, resolved)
    return Refusal(
        424,
        "Not stored when the archive was observed",
        f"{path} of {named} is not in the store, and no source is guaranteed to have the same bytes.",
        f"To store it from now on, run `snapproxy observe {archive} ROOT PATH`, or add the path to [[watch]]."
        if place.is_unlisted
        else "To store it from now on, run `snapproxy observe` or configure [[watch]].",
        snapshot_header(space, resolved),
        is_unobserved=True,
    )


def with_dropped_entry(step: Step, dropped: DroppedEntry) -> Step:
    """Add to the decision about a file that its entry in an index was dropped, so that nothing proves its bytes."""
    if isinstance(step, Refusal):
        return replace(step, why=f"{step.why} Its entry in the index was dropped: {dropped.reason}.".strip())
    if isinstance(step, Moved):
        return step
    note = f"the entry of this file in its index was dropped: {dropped.reason}"
    return replace(step, notes={**step.notes, "X-Snapproxy-Note": note})
