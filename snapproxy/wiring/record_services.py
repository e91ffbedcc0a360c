"""The services that know the history of packages: metasnap and Launchpad."""

from __future__ import annotations

from snapproxy.base.stats import Stats
from snapproxy.config import Config
from snapproxy.prefetch.launchpad import LaunchpadRecords
from snapproxy.prefetch.metasnap import MetasnapRecords
from snapproxy.prefetch.record_service import RecordService
from snapproxy.prefetch.records import Records
from snapproxy.wiring.upstream import Upstream


def record_services(config: Config, upstream: Upstream, stats: Stats) -> tuple[Records, ...]:
    """Return the services that the configuration names; without an address none is asked."""
    found: list[Records] = []
    if config.metasnap:
        found.append(MetasnapRecords(RecordService(config.metasnap, upstream.client, stats)))
    if config.launchpad:
        found.append(LaunchpadRecords(RecordService(config.launchpad, upstream.client, stats)))
    return tuple(found)
