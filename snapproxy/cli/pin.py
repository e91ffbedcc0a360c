"""Add a pin, or list the pins."""

from __future__ import annotations

import argparse
from typing import Any

from rich.filesize import decimal

from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.pinned import NamedPin, captures_of, named_pin
from snapproxy.cli.tables import format_table
from snapproxy.cli.times import open_times
from snapproxy.config import Config
from snapproxy.core.model import Refusal
from snapproxy.errors import ConfigurationError
from snapproxy.space.pin_figures import figures_of
from snapproxy.space.pins import Pin, Pins
from snapproxy.space.protected_files import FileFigures

Listed = tuple[Pin, FileFigures | None]


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    if arguments.list == (arguments.kind is not None):
        raise ConfigurationError("Name what to pin, or use --list", hint="See `snapproxy pin --help`.")
    if arguments.list:
        pins = result_of(arguments, _list)
        if arguments.json:
            print_json([_as_json(each) for each in pins])
        else:
            print(format_table([_row(each) for each in pins]) if pins else "no pins\n", end="")
        return 0
    pinned = result_of(arguments, _add)
    if arguments.json:
        print_json(_as_json(pinned))
    else:
        print(f"pinned {'  '.join(_row(pinned))}")
    return 0


async def _list(config: Config, _arguments: argparse.Namespace) -> list[Listed]:
    async with open_times(config, offline=True) as app:
        pins, captures = Pins(app.store.catalog, app.store.blobs).all(), captures_of(app)
        return [(pin, await figures_of(pin, app.store, captures)) for pin in pins]


async def _add(config: Config, arguments: argparse.Namespace) -> Listed | Refusal:
    async with open_times(config, offline=arguments.offline) as app:
        named = await named_pin(app, arguments.kind, arguments.words)
        if not isinstance(named, NamedPin):
            return named
        await Pins(app.store.catalog, app.store.blobs).add(named.pin, named.files)
        return named.pin, await figures_of(named.pin, app.store, captures_of(app))


def _row(listed: Listed) -> tuple[str, str, str]:
    pin, figures = listed
    found = "the capture was removed" if figures is None else f"{figures.files} files, {decimal(figures.size)} stored"
    return pin.kind.value, pin.name, found


def _as_json(listed: Listed) -> dict[str, Any]:
    pin, figures = listed
    stored = None if figures is None else {"files": figures.files, "bytes": figures.size}
    return {"kind": pin.kind.value, "name": pin.name, "id": pin.key, "stored": stored}
