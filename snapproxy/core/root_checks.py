"""Check that a root is of the time and the place for which it was sent. Its signature does not show that.

An upstream may answer with another state of the archive, and the root would be stored for that time permanently.
"""

from __future__ import annotations

from snapproxy.core.model import LIVE, TIMELESS, Family, Instant, Refusal, Resolved
from snapproxy.core.time_spec import format_instant

CLOCK_SLACK = 3600
"""Seconds by which a root may be dated after the instant of its snapshot or observation.

Archives date a root before they publish it, so this is only for clocks that differ.
"""


def refuse_future_date(date: Instant | None, instant: Instant, slack: int, name: str) -> Refusal | None:
    """Refuse a root with its own date more than `slack` seconds after `instant`. `name` is used in the message."""
    if date is None or date <= instant + slack:
        return None
    return Refusal(
        424,
        f"Upstream's root is dated {format_instant(date)}, after the time it is for",
        f"{name} is dated {format_instant(date)}, but it must answer for {format_instant(instant)}. It was not stored.",
        "Check the archive's upstreams: one of them serves another time than it is asked for. "
        "Or a clock is wrong, the archive's or the one of this machine.",
    )


def refuse_root(family: Family, path: str, data: bytes, resolved: Resolved, slack: int, space: str) -> Refusal | None:
    """Refuse a root that was published after its snapshot, or is of another suite than its path names.

    The present, and files outside every snapshot, have no instant.
    """
    if names := family.contradiction(path, data):
        return Refusal(
            424,
            "Upstream's root is of another suite than its path names",
            f"{path} of {space} says that it is of {names}. It was not stored.",
            "Check the path in the client's sources and the archive's upstreams.",
        )
    if resolved.snapshot in (LIVE, TIMELESS) or not resolved.instant:
        return None
    return refuse_future_date(family.root_date(data), resolved.instant, slack, f"{path} of {space}")
