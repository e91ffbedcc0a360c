"""Serve until stopped (SIGTERM or Ctrl-C)."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from socket import socket

from snapproxy import __version__
from snapproxy.cli import announce, owner, sockets
from snapproxy.cli.common import App, add_config, add_offline, build, config_of, run
from snapproxy.config import describe

HELP = "run the proxy (needs no configuration)"

EPILOG = f"""\
Settings, each in the file or in its environment variable (tables and lists as JSON):
{describe()}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument(
        "--listen",
        type=sockets.an_endpoint,
        action="append",
        metavar="ADDRESS:PORT",
        help="where to listen, instead of the settings; may be repeated",
    )
    add_config(parser)
    add_offline(parser)
    parser.add_argument(
        "--ready-file",
        type=Path,
        metavar="FILE",
        help="while serving, holds JSON with the addresses and the process id",
    )


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    config = config_of(arguments)
    listeners = sockets.activated(os.environ) or sockets.bind(arguments.listen or config.listen)
    with sockets.closing(listeners):
        owner.become(config.state_dir)
        run(serve(build(config, offline=arguments.offline), listeners, arguments.ready_file))
    return 0


async def serve(app: App, listeners: Sequence[socket], ready: Path | None) -> None:
    """Serve until a signal asks us to stop; a second one is not held back."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    addresses = [sockets.url(each) for each in listeners]
    async with app:
        serving = asyncio.create_task(app.serve(listeners))
        stopping = asyncio.create_task(stop.wait())
        with announce.ready_file(ready, addresses):
            announce.notify("READY=1", os.environ)
            print(f"snapproxy {__version__} listens on {' '.join(addresses)}", file=sys.stderr)
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        announce.notify("STOPPING=1", os.environ)
        stopping.cancel()
        serving.cancel()
        await asyncio.wait({serving})
        if not serving.cancelled():
            serving.result()
