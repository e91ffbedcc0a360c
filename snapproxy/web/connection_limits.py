"""Limits of the number of open connections: of one client, and of all together.

Beyond a limit the connection that has waited longest for a request is closed: clients open a new one for their next
request. Only if none waits, the new connection is closed. If all clients together have too many, it is one of the
client that has the most.
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

    @property
    def waits_since(self) -> float:
        """The monotonic second of its last answer, or of its begin."""

    def force_close(self) -> None:
        """Close it now."""


def most_connections() -> int:
    """Return the limit of all connections: half of the descriptors of the process. The others are for its work."""
    return max(LEAST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class ConnectionLimits:
    """The open connections of each client. `per_client` and `in_all` are the limits."""

    def __init__(self, per_client: int, in_all: int) -> None:
        self._per_client = per_client
        self._in_all = in_all
        self._of_client: defaultdict[str, dict[LimitedConnection, None]] = defaultdict(dict)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, connection: LimitedConnection) -> None:
        """Count a new connection, and close one if there are too many."""
        own = self._of_client[connection.peer]
        own[connection] = None
        self._count += 1
        if len(own) > self._per_client:
            self._close_one(own, connection)
        elif self._count > self._in_all:
            most = max(self._of_client.values(), key=lambda each: len(each))  # noqa: PLW0108 # mypy needs the lambda
            self._close_one(most, connection)

    def leave(self, connection: LimitedConnection) -> None:
        """Remove a closed connection. A second call has no effect."""
        own = self._of_client.get(connection.peer, {})
        if connection not in own:
            return
        del own[connection]
        self._count -= 1
        if not own:
            del self._of_client[connection.peer]

    def _close_one(self, among: Iterable[LimitedConnection], new: LimitedConnection) -> None:
        idle = (each for each in among if each.is_idle and each is not new)
        closed = min(idle, key=lambda each: each.waits_since, default=new)
        self.leave(closed)
        closed.force_close()
