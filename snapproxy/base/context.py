"""On whose behalf something is done: the row and its rules, and how long a client may be kept waiting for it."""

from __future__ import annotations

from dataclasses import dataclass

from snapproxy.core.history import History
from snapproxy.core.model import Archive, Family


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The context of one request. `deadline` is in monotonic seconds: when the client's patience ends."""

    archive: Archive
    family: Family
    history: History
    deadline: float
    background: bool = False
    via: str = ""
