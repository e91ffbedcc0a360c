"""Limits of the number of open connections: of one client, and of all together.

Beyond a limit the connection that has waited longest for a request is closed: clients open a new one for their next
request. Only if none waits, the new connection is closed.
"""

from __future__ import annotations

import resource
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

LEAST = 64
"""Minimum of the limit of all connections."""


class LimitedConnection(Protocol):
    """A connection that can be closed while it waits."""

    @property
    def peer(self) -> str: ...

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request."""

    def force_close(self) -> None:
        """Close it now."""


def most_connections() -> int:
    """Return the limit of all connections: half of the descriptors of the process. The others are for its work."""
    return max(LEAST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class ConnectionLimits:
    """The open connections, oldest first. `per_client` and `in_all` are the limits."""

    def __init__(self, per_client: int, in_all: int) -> None:
        self._per_client = per_client
        self._in_all = in_all
        self._all: dict[LimitedConnection, None] = {}
        self._of_client: defaultdict[str, dict[LimitedConnection, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, connection: LimitedConnection) -> None:
        """Count a new connection, and close one if there are too many."""
        own = self._of_client[connection.peer]
        own[connection] = self._all[connection] = None
        if len(own) > self._per_client:
            self._close_one(own, connection)
        elif len(self._all) > self._in_all:
            self._close_one(self._all, connection)

    def leave(self, connection: LimitedConnection) -> None:
        """Remove a closed connection. A second call has no effect."""
        self._all.pop(connection, None)
        own = self._of_client.get(connection.peer)
        if own is not None:
            own.pop(connection, None)
            if not own:
                del self._of_client[connection.peer]

    def _close_one(self, among: Iterable[LimitedConnection], new: LimitedConnection) -> None:
        closed = next((each for each in among if each.is_idle and each is not new), new)
        self.leave(closed)
        closed.force_close()
