"""Serve requests until a signal ends the server."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from socket import socket

from snapproxy import __version__
from snapproxy.capture.replay import the_time
from snapproxy.cli import readiness, run_as_owner, sockets
from snapproxy.cli.application import App, build
from snapproxy.cli.execution import run_async
from snapproxy.cli.load_config import config_of
from snapproxy.client_config import user_name
from snapproxy.config import Config, load
from snapproxy.core.record import Record
from snapproxy.jobs.serve_artifact import replayed_from
from snapproxy.oci.places import LayoutPlace, TarPlace

_COLLECT_AFTER = 20_000
"""Objects made and not freed; a few megabytes of cycles at most."""


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    config = load(arguments.config) if arguments.artifact else config_of(arguments)
    listeners = sockets.activated(os.environ) or sockets.bind(arguments.listen or config.listen)
    with sockets.closing(listeners):
        if arguments.artifact:
            run_as_owner.become(Path(arguments.artifact.path))
            run_async(serve_artifact(config, arguments.artifact, listeners, arguments.ready_file))
        else:
            run_as_owner.become(config.state_dir)
            run_async(serve(build(config, offline=arguments.offline), listeners, arguments.ready_file))
    return 0


async def serve_artifact(
    config: Config, place: LayoutPlace | TarPlace, listeners: Sequence[socket], ready: Path | None
) -> None:
    """Serve an artifact and nothing else. The store and the cache are not touched: what a server needs of them goes when it stops."""
    with tempfile.TemporaryDirectory(prefix="snapproxy-") as folder:
        config = replace(config, state_dir=Path(folder, "state"), cache_dir=Path(folder, "cache"))
        async with replayed_from(place) as replayed:
            time = the_time(replayed.record)
            pinned = "" if time is None else user_name(time)
            tell_artifact(config, place, replayed.record, pinned)
            await serve(build(config, offline=True, pinned=pinned, replayed=replayed), listeners, ready)


def tell_artifact(config: Config, place: LayoutPlace | TarPlace, record: Record, pinned: str) -> None:
    """Say what is served, at which time it can be asked for, and what nobody will be able to address."""
    files = sum(not entry.is_absence for entry in record.entries)
    at = f" at {pinned}, which requests need not name" if pinned else ""
    print(f"snapproxy: {place} holds {files} files of {', '.join(sorted(record.families))}{at}", file=sys.stderr)
    unknown = sorted(set(record.families) - {archive.name for archive in config.archives})
    if unknown:
        print(f"snapproxy: no archive is called {', '.join(unknown)} in the settings: add a row", file=sys.stderr)


def collect_less() -> None:
    """Let the collector of cycles pass over what was built to stay, and look at the rest less often than a script would need it.

    By default it runs once 700 objects more were made than freed: with every few hundred answers that go into a capture.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


async def serve(opening: AbstractAsyncContextManager[App], listeners: Sequence[socket], ready: Path | None) -> None:
    """Serve until a signal asks us to stop; a second one is not held back."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    addresses = [sockets.url(each) for each in listeners]
    async with opening as app:
        serving = asyncio.create_task(app.serve(listeners))
        stopping = asyncio.create_task(stop.wait())
        collect_less()
        with readiness.ready_file(ready, addresses):
            readiness.notify("READY=1", os.environ)
            print(f"snapproxy {__version__} listens on {' '.join(addresses)}", file=sys.stderr)
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        readiness.notify("STOPPING=1", os.environ)
        stopping.cancel()
        serving.cancel()
        await asyncio.wait({serving})
        if not serving.cancelled():
            serving.result()
