"""Let the reclaimer make room in the store: before the quota is reached, and for a download that has none."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from snapproxy.base.protected_space import is_quota_protected
from snapproxy.core.reclaim import Reclaimer, excess, room_for
from snapproxy.errors import SnapproxyError
from snapproxy_storage import StorageFailure, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpaceKeeper:
    """The store and its reclaimer."""

    store: Store
    reclaimer: Reclaimer

    async def make_room(self, wanted: int) -> bool:
        """Make room for a download that lacks `wanted` bytes (`MakeRoom` of the store)."""
        return await self._reclaim(room_for(wanted, self.store.space.limit)) > 0

    async def keep(self) -> None:
        """Remove files if more is stored than the high-water mark. Measure again what is protected if that fills it."""
        space = self.store.space
        used = space.stored + space.kept + space.reserved
        wanted = excess(used=used, limit=space.limit, free=space.free, floor=space.floor)
        if wanted or is_quota_protected(self.store):
            await self._reclaim(wanted)

    async def _reclaim(self, wanted: int) -> int:
        try:
            return await self.reclaimer.reclaim(wanted)
        except (SnapproxyError, StorageFailure) as failure:
            log.warning("No room could be made in the store: %s", failure)
            return 0
