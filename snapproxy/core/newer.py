"""The client that holds a newer root than its pin: apt would keep it in silence, and install from another time (exit 0)."""

from __future__ import annotations

from snapproxy.core.model import Family, Instant, Refusal, Role


def refuse_newer(family: Family, role: Role, date: Instant | None, since: Instant | None, space: str) -> Refusal | None:
    """Refuse a root dated `date` of a snapshot (`<archive>/<id>`) to a client whose copy is of `since`, where its kind would keep that."""
    is_older = date is not None and since is not None and since > date
    if role is not Role.ROOT or not family.keeps_newer_root or not is_older:
        return None
    return Refusal(
        409,
        "Your lists are newer than the pinned time: remove them first",
        f"The client holds a newer release file than {space} and would silently stay with it.",
        "Empty its lists (rm -rf /var/lib/apt/lists/*) and update again.",
        {"X-Snapproxy-Snapshot": space},
    )
