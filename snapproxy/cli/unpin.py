"""Remove a pin."""

from __future__ import annotations

import argparse

from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.pinned import NamedPin, named_pin
from snapproxy.cli.times import open_times
from snapproxy.config import Config
from snapproxy.core.model import Refusal
from snapproxy.errors import ConfigurationError
from snapproxy.space.pins import Pin, Pins


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    if arguments.kind is None:
        raise ConfigurationError("Name the pin to remove", hint="List: snapproxy pin --list.")
    pin = result_of(arguments, _remove)
    if arguments.json:
        print_json({"kind": pin.kind.value, "name": pin.name, "id": pin.key, "pinned": False})
    else:
        print(f"no longer pinned: {pin.kind.value} {pin.name}")
    return 0


async def _remove(config: Config, arguments: argparse.Namespace) -> Pin | Refusal:
    async with open_times(config, offline=arguments.offline) as app:
        named = await named_pin(app, arguments.kind, arguments.words)
        if not isinstance(named, NamedPin):
            return named
        await Pins(app.store.catalog, app.store.blobs).remove(named.pin)
        return named.pin
