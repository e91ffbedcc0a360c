"""Run the server until a signal stops it."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

from snapproxy import __version__
from snapproxy.base.clock import SystemClock
from snapproxy.capture.replay import the_time
from snapproxy.cli import readiness, run_as_owner, sockets
from snapproxy.cli.application import Service, TlsCertificate, TlsListener, open_service
from snapproxy.cli.execution import run_async
from snapproxy.cli.load_config import config_of
from snapproxy.cli.reload import Reloader
from snapproxy.client_config import user_name
from snapproxy.config import Config, load, twin
from snapproxy.core.record import Record
from snapproxy.errors import ConfigurationError
from snapproxy.jobs.serve_artifact import replayed_from
from snapproxy.oci.places import LayoutPlace, TarPlace

_log = logging.getLogger(__name__)

_COLLECT_AFTER = 20_000
"""Number of allocated objects that starts the garbage collector; uncollected cycles take at most a few megabytes."""


class LogLevel:
    """The setting `log_level`, which a reload may change. The access log has a setting of its own."""

    def prepare(self, config: Config) -> Callable[[], None]:
        """Return a function that applies the setting."""

        def apply() -> None:
            logging.getLogger().setLevel(config.log_level.upper())
            logging.getLogger("snapproxy.access").setLevel(logging.INFO)

        return apply


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # also during the start
    if arguments.only_pinned:
        os.environ[twin("allow")] = '["pinned"]'  # so that its contradictions are reported as those of the file
    config = load(arguments.config) if arguments.artifact else config_of(arguments)
    LogLevel().prepare(config)()
    passed = sockets.activated(os.environ)
    listeners = passed or sockets.bind(arguments.listen or config.listen)
    admin: list[socket] = []
    if not arguments.artifact:
        admin = sockets.bind_admin(config.admin_listen, is_required=config.needs_admin)
    secure = [] if arguments.artifact else sockets.bind(config.tls_listen)
    with sockets.closing([*listeners, *admin, *secure]):
        if arguments.artifact:
            run_as_owner.become(Path(arguments.artifact.path))
            run_async(serve_artifact(config, arguments.artifact, listeners, arguments.ready_file))
        else:
            certificate = TlsCertificate(config)  # as root, who may read what the owner of the store may not
            run_as_owner.become(config.state_dir)
            is_configured = not (passed or arguments.listen)
            opening = open_service(
                config,
                offline=arguments.offline,
                listens_as_configured=is_configured,
                parts=[LogLevel(), certificate],
            )
            tls = TlsListener(secure, certificate.current) if certificate.current is not None else None
            run_async(serve(opening, listeners, arguments.ready_file, reader_of(config), admin, tls))
    return 0


def reader_of(config: Config) -> Callable[[], Config]:
    """Return a function that reads the settings again, from the same file.

    If the file has been removed, that is an error: the search for a file would end with the defaults.
    """
    return partial(load, config.source)


async def serve_artifact(
    config: Config, place: LayoutPlace | TarPlace, listeners: Sequence[socket], ready: Path | None
) -> None:
    """Serve only an artifact, with a temporary store; the configured store and cache are not used."""
    with tempfile.TemporaryDirectory(prefix="snapproxy-") as folder:
        config = replace(
            config,
            state_dir=Path(folder, "state"),
            cache_dir=Path(folder, "cache"),
            tokens="optional",  # the temporary store has none
        )
        async with replayed_from(place) as replayed:
            time = the_time(replayed.record)
            pinned = "" if time is None else user_name(time)
            print_artifact(config, place, replayed.record, pinned)
            await serve(
                open_service(config, offline=True, pinned=pinned, replayed=replayed), listeners, ready, no_settings
            )


def no_settings() -> Config:
    """Raise ConfigurationError: a server of an artifact is not reloaded."""
    raise ConfigurationError("An artifact is served, and has no configuration", hint="Restart the server.")


def print_artifact(config: Config, place: LayoutPlace | TarPlace, record: Record, pinned: str) -> None:
    """Print the files and the time of an artifact, and its archives that the settings do not have."""
    files = sum(not entry.is_absence for entry in record.entries)
    at = f" at {pinned}, the default time of requests" if pinned else ""
    print(f"snapproxy: {place} has {files} files of {', '.join(sorted(record.families))}{at}", file=sys.stderr)
    unknown = sorted(set(record.families) - {archive.name for archive in config.archives})
    if unknown:
        names = ", ".join(unknown)
        print(f"snapproxy: {names} cannot be requested: add [archives.NAME] to the configuration", file=sys.stderr)


def collect_less() -> None:
    """Exclude the objects of the start from garbage collection, and collect less often.

    By default the collector runs when 700 objects more are allocated than freed: after every few hundred answers that
    are recorded into a capture.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


async def serve(
    opening: AbstractAsyncContextManager[Service],
    listeners: Sequence[socket],
    ready: Path | None,
    settings: Callable[[], Config],
    admin: Sequence[socket] = (),
    tls: TlsListener | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT arrives; a second signal has its default effect, and ends the process at once.

    SIGHUP reloads the configuration from `settings`. Log rotation and a closed terminal send it as well.
    """
    loop, clock = asyncio.get_running_loop(), SystemClock()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    addresses = [sockets.url(each) for each in listeners]
    addresses += [sockets.url(each, "https") for each in (tls.sockets if tls is not None else ())]
    async with opening as service:
        serving = asyncio.create_task(service.serve(listeners, admin, tls))
        stopping = asyncio.create_task(stop.wait())
        reporting = asyncio.create_task(readiness.report(service, os.environ, clock))
        reloader = Reloader(service, settings, os.environ, clock)
        loop.add_signal_handler(signal.SIGHUP, reloader.request)  # before systemd is told that it may send it
        reloading = asyncio.create_task(reloader.run())
        collect_less()
        with readiness.ready_file(ready, addresses):
            readiness.notify(f"READY=1\nSTATUS={service.status()}", os.environ)
            print(f"snapproxy {__version__} listens on {' '.join(addresses)}", file=sys.stderr)
            for each in admin:
                print(f"snapproxy: pages for operators are at {sockets.url(each)}/", file=sys.stderr)
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await cancel(stopping, reloading)
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # its default effect would end the process before its answers
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        readiness.notify_stopping(service.app.config.drain, os.environ)
        serving.cancel()
        await asyncio.wait({serving})
        await cancel(reporting)
        if not serving.cancelled():
            serving.result()


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
