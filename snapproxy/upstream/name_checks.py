"""The check of a name that the upstream proxy is to resolve: whether it has public addresses here.

Behind many proxies no name server answers, and a lookup that gets no answer occupies a thread until the system ends it.
So a name is looked up once at a time, and one that has no address not again at once.
"""

from __future__ import annotations

import asyncio
import functools
import socket

from snapproxy.core.upstream_answer import Fault
from snapproxy.upstream.egress import GuardedResolver, PrivateAddressError

RESOLVE_SECONDS = 5.0
"""Maximum seconds for the lookup of a name."""

UNRESOLVED_SECONDS = 300.0
"""How long a name that has no address is not looked up again."""

MAX_NAMES = 256
"""Maximum number of such names that are recorded."""


class NameChecks:
    """The lookups of one client. `guard` refuses private addresses."""

    def __init__(self, guard: GuardedResolver) -> None:
        self._guard = guard
        self._lookups: dict[str, asyncio.Task[Fault | None]] = {}
        """The lookups in progress, and those of the last minutes that found no address, by name."""

    async def fault(self, host: str, port: int) -> Fault | None:
        """Return whether the name has private addresses only or none, None if it has public ones."""
        lookup = self._lookups.get(host)
        if lookup is None:
            self._make_room()
            lookup = self._lookups[host] = asyncio.create_task(self._look_up(host, port))
            lookup.add_done_callback(functools.partial(self._ended, host))
        return await asyncio.shield(lookup)

    async def close(self) -> None:
        """Stop the lookups."""
        for lookup in self._lookups.values():
            lookup.cancel()
        await asyncio.gather(*self._lookups.values(), return_exceptions=True)

    def _make_room(self) -> None:
        """Forget the oldest name without an address if there are too many."""
        if len(self._lookups) >= MAX_NAMES:
            oldest = next((host for host, lookup in self._lookups.items() if lookup.done()), "")
            self._lookups.pop(oldest, None)

    async def _look_up(self, host: str, port: int) -> Fault | None:
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                await self._guard.resolve(host, port, socket.AF_UNSPEC)
        except PrivateAddressError:
            return Fault.PRIVATE
        except (OSError, TimeoutError):
            return Fault.NAME
        return None

    def _ended(self, host: str, lookup: asyncio.Task[Fault | None]) -> None:
        if not lookup.cancelled() and lookup.exception() is None and lookup.result() is Fault.NAME:
            asyncio.get_running_loop().call_later(UNRESOLVED_SECONDS, self._lookups.pop, host, None)
        else:
            self._lookups.pop(host, None)
