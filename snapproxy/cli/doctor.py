"""Check this installation, and print one line for each check."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

from snapproxy.archives import BUILTIN, find_archive
from snapproxy.base.clock import SystemClock
from snapproxy.base.shared_counts import SharedCounts
from snapproxy.cli import run_as_owner
from snapproxy.cli.config import unusable_credentials
from snapproxy.cli.execution import run_async
from snapproxy.cli.messages import print_json, printable
from snapproxy.cli.tables import format_table
from snapproxy.config import Config, load
from snapproxy.core.model import Archive, Instant
from snapproxy.errors import ConfigurationError
from snapproxy.jobs.doctor.finding import Diagnosis, Level, ok, problem, warning
from snapproxy.jobs.doctor.folders import check_folder
from snapproxy.jobs.doctor.listeners import check_certificate, check_exposure, check_listener
from snapproxy.jobs.doctor.network import UpstreamChecks, check_observed, recorded_limiter
from snapproxy.jobs.doctor.programs import (
    check_environment,
    check_helper,
    check_keyrings,
    check_unit,
    check_verifier,
)
from snapproxy.upstream.rate_limit import RATE_FACTS
from snapproxy.web.certificate import read_certificate
from snapproxy.wiring.upstream import open_client
from snapproxy_storage import CatalogState, StorageFailure, inspect_catalog


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
    text = f"{found.what.rstrip('.')}. {found.hint}" if found.hint else found.what
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
    archives, clock = _in_use(config, catalog, arguments.archive), SystemClock()
    for local in (*_local_checks(archives), *_listeners(config), *_secret_files(config, clock.now())):
        yield local
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


def _local_checks(archives: Sequence[Archive]) -> Iterator[Diagnosis]:
    yield check_verifier()
    yield check_helper()
    yield from check_keyrings(archives)
    yield from check_environment(os.environ)
    yield from check_unit()


def _listeners(config: Config) -> Iterator[Diagnosis]:
    listeners = {"listen": config.listen, "admin_listen": config.admin_listen, "tls.listen": config.tls_listen}
    for setting, addresses in listeners.items():
        for host, port in addresses:
            yield from check_listener(setting, host, port)
        yield from check_exposure(addresses, config.clients)


def _secret_files(config: Config, now: Instant) -> list[Diagnosis]:
    """Check the files of credentials and of the certificate as the user of the service, who must read them."""
    with _as_owner(config.state_dir):
        found = [
            warning("credentials", text, "Requests that need them are refused.")
            for text in unusable_credentials(config)
        ]
        if config.tls_listen:
            found.append(_certificate(config, now))
    return found


def _certificate(config: Config, now: Instant) -> Diagnosis:
    try:
        read_certificate(Path(config.tls_certificate), Path(config.tls_key))
        return check_certificate(Path(config.tls_certificate).read_bytes(), now)
    except ConfigurationError as error:
        return problem("certificate", error.sentences, "Correct the files of [tls].")


def _store(config: Config) -> tuple[CatalogState | None, list[Diagnosis]]:
    """Read the catalog without opening the store."""
    prefixes = [f"{archive.name}/" for archive in config.archives]
    try:
        catalog = inspect_catalog(config.state_dir, facts=RATE_FACTS, spaces=prefixes)
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


def _as_owner(state_dir: Path) -> AbstractContextManager[None]:
    """Act as the owner of the state folder, if it exists."""
    return run_as_owner.acting(state_dir) if state_dir.exists() else nullcontext()
