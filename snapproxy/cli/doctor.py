"""Check this installation, and print one line for each check."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from snapproxy.archives import BUILTIN, find_archive
from snapproxy.base.clock import SystemClock
from snapproxy.base.shared_counts import SharedCounts
from snapproxy.cli import run_as_owner
from snapproxy.cli.config import unusable_credentials
from snapproxy.cli.execution import run_async
from snapproxy.cli.messages import print_json, printable
from snapproxy.cli.tables import format_table
from snapproxy.config import Config, load
from snapproxy.core.model import Archive
from snapproxy.errors import ConfigurationError
from snapproxy.jobs.doctor.finding import Diagnosis, Level, ok, problem, warning
from snapproxy.jobs.doctor.folders import check_folder
from snapproxy.jobs.doctor.network import (
    UpstreamChecks,
    check_exposure,
    check_listener,
    check_observed,
    recorded_limiter,
)
from snapproxy.jobs.doctor.programs import (
    check_environment,
    check_helper,
    check_keyrings,
    check_unit,
    check_verifier,
)
from snapproxy.wiring.upstream import open_client
from snapproxy_storage import CatalogState, StorageFailure, inspect_catalog

_RATES = "pace/"
"""The beginning of the facts with the rates and cool-downs of upstreams (`upstream.rate_limit`)."""


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    with _without_log():  # the findings say the same
        found = run_async(_all(arguments))
    if arguments.json:
        print_json([{**asdict(each), "level": each.level.value} for each in found])
    else:
        print(format_table([_row(each) for each in found]), end="")
    return int(any(each.level is Level.PROBLEM for each in found))


@contextmanager
def _without_log() -> Iterator[None]:
    logger = logging.getLogger("snapproxy")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _row(found: Diagnosis) -> tuple[str, str, str]:
    text = f"{found.what}. {found.hint}" if found.hint else found.what
    return found.level.value, found.check, printable(text)


async def _all(arguments: argparse.Namespace) -> list[Diagnosis]:
    try:
        config = load(arguments.config)
    except ConfigurationError as error:
        return [problem("settings", error.sentences, "Correct them; the other checks need them.")]
    return [each async for each in _checks(config, arguments)]


async def _checks(config: Config, arguments: argparse.Namespace) -> AsyncIterator[Diagnosis]:
    source = config.source or "no file: the defaults apply"
    yield ok("settings", f"{source}; no unknown setting")
    with _as_owner(config.state_dir):
        for each in (
            *check_folder("state_dir", config.state_dir, quota=config.quota),
            *check_folder("cache_dir", config.cache_dir, quota=None),
        ):
            yield each
        catalog, findings = _store(config)
    for finding in findings:
        yield finding
    archives = _in_use(config, catalog, arguments.archive)
    for local in _local_checks(config, archives):
        yield local
    clock = SystemClock()
    yield check_observed(None if catalog is None else catalog.observed, clock.now())
    if arguments.offline or not archives:
        why = "--offline" if arguments.offline else "no archive is used yet; name one to check it"
        yield ok("upstreams", f"not asked: {why}")
        return
    limiter = recorded_limiter({} if catalog is None else catalog.facts, config.policies, clock)
    counts = SharedCounts()
    try:
        async with open_client(config, limiter, clock, instance="snapproxy-doctor", counts=counts) as client:
            async for answered in UpstreamChecks(client=client, clock=clock, seconds=arguments.seconds).run(archives):
                yield answered
    except ConfigurationError as error:
        yield problem("upstreams", error.sentences, "Correct the setting that it names.")


def _local_checks(config: Config, archives: Sequence[Archive]) -> Iterator[Diagnosis]:
    yield check_verifier()
    yield check_helper()
    yield from check_keyrings(archives)
    for host, port in config.listen:
        yield from check_listener(host, port)
    yield from check_exposure(config.listen, config.clients)
    for text in unusable_credentials(config):
        yield warning("credentials", text, "Requests that need them are refused.")
    yield from check_environment(os.environ)
    yield from check_unit()


def _store(config: Config) -> tuple[CatalogState | None, list[Diagnosis]]:
    """Read the catalog without opening the store."""
    prefixes = [f"{archive.name}/" for archive in config.archives]
    try:
        catalog = inspect_catalog(config.state_dir, facts=_RATES, spaces=prefixes)
    except StorageFailure as failure:
        return None, [problem("store", str(failure), "Run `snapproxy fsck`, or restore a backup.")]
    if catalog is None:
        return None, [ok("store", "it is empty")]
    version = f"schema version {catalog.version} of {catalog.supported}"
    if catalog.version > catalog.supported:
        return None, [problem("store", f"a newer program wrote it: {version}", "Upgrade snapproxy.")]
    if catalog.version < catalog.supported:
        return catalog, [warning("store", f"{version}; the next start migrates it", "Keep a backup of the old one.")]
    return catalog, [ok("store", version)]


def _in_use(config: Config, catalog: CatalogState | None, named: Sequence[str]) -> tuple[Archive, ...]:
    """Return the archives to check: the named ones, or those that the store or the settings use."""
    by_name = {archive.name: archive for archive in config.archives}
    if named:
        return tuple(find_archive(by_name, name) for name in named)
    built_in = {archive.name: archive for archive in BUILTIN}
    scheduled = {each.archive for each in config.watch} | {each.archive for each in config.mirror}
    stored = frozenset[str]() if catalog is None else catalog.spaces
    return tuple(
        archive
        for archive in config.archives
        if f"{archive.name}/" in stored or archive.name in scheduled or archive.name not in built_in
    )


def _as_owner(state_dir: Path) -> Any:
    """Act as the owner of the state folder, if it exists."""
    return run_as_owner.acting(state_dir if state_dir.exists() else Path("/"))
