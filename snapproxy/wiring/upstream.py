"""Open the HTTP client for upstreams, with its rate limits and logins."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from snapproxy.answer.timeline_service import TimelineService
from snapproxy.answer.timelines import AskUpstream
from snapproxy.base.clock import Clock
from snapproxy.base.shared_counts import SharedCounts
from snapproxy.base.stats import Stats
from snapproxy.config import Config
from snapproxy.core.exchange import TrafficCounter
from snapproxy.oci.logins import RegistryLogins
from snapproxy.upstream.client import UpstreamClient
from snapproxy.upstream.credentials import CredentialFiles, UpstreamLogin
from snapproxy.upstream.network import UpstreamNetwork, UpstreamProxy, read_authorities
from snapproxy.upstream.pass_through import PassThrough
from snapproxy.upstream.rate_limit import RateLimiter
from snapproxy_storage import Store


@dataclass(frozen=True, slots=True)
class Upstream:
    """The open client, and the rate limits that it obeys."""

    client: UpstreamClient
    limiter: RateLimiter


def new_instance() -> str:
    """Return a name for this process in Via, by which it recognizes its own requests."""
    return f"snapproxy-{secrets.token_hex(8)}"


def _network(config: Config) -> UpstreamNetwork:
    """Return the way to upstreams. Raises ConfigurationError for a file of authorities that cannot be used."""
    authorities = read_authorities(
        config.upstream_ca, {each.upstream_ca for each in config.archives if each.upstream_ca}
    )
    return UpstreamNetwork(upstream_proxy(config), authorities)


def upstream_proxy(config: Config) -> UpstreamProxy | None:
    """Return the proxy through which upstreams are reached, None for direct connections."""
    if not config.upstream_proxy:
        return None
    # The operator names the proxy and its file together, so plain http to the proxy needs no second word.
    place = config.upstream_proxy_credentials
    login = UpstreamLogin("upstream_proxy_credentials", place, over_http=True) if place else None
    return UpstreamProxy(config.upstream_proxy, config.upstream_proxy_except, login)


def new_forwarder(config: Config, traffic: TrafficCounter, *, instance: str) -> PassThrough:
    """Return the forwarder to hosts in `pass`, to be closed at the end."""
    credentials = CredentialFiles(os.environ)
    return PassThrough(traffic, instance=instance, proxy=upstream_proxy(config), credentials=credentials)


@asynccontextmanager
async def open_upstream(
    config: Config, store: Store, clock: Clock, *, instance: str, counts: SharedCounts
) -> AsyncIterator[Upstream]:
    """Open the client."""
    limiter = RateLimiter(clock=clock, store=store.catalog, slots=store.slots, policies=config.policies)
    async with open_client(config, limiter, clock, instance=instance, counts=counts) as client:
        yield Upstream(client, limiter)


@asynccontextmanager
async def open_client(
    config: Config, limiter: RateLimiter, clock: Clock, *, instance: str, counts: SharedCounts
) -> AsyncIterator[UpstreamClient]:
    """Open the client with these rate limits. Raises ConfigurationError for authorities that cannot be read."""
    async with (
        RegistryLogins(config.blob_sources, environ=os.environ, clock=clock) as logins,
        UpstreamClient(
            limiter=limiter,
            clock=clock,
            instance=instance,
            logins=logins,
            credentials=CredentialFiles(os.environ),
            network=await asyncio.to_thread(_network, config),
            counts=counts,
        ) as client,
    ):
        yield client


@asynccontextmanager
async def open_timeline_service(config: Config, store: Store, clock: Clock) -> AsyncIterator[AskUpstream]:
    """Open a client for timelines alone."""
    stats = Stats(shared=SharedCounts(store.counters))
    async with open_upstream(config, store, clock, instance=new_instance(), counts=stats.shared) as upstream:
        yield TimelineService(upstream.client, clock, stats).ask
