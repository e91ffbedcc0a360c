"""Import an exported capture into the store."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import asdict
from pathlib import PurePath

from rich.filesize import decimal

from snapproxy.base.clock import SystemClock
from snapproxy.cli import run_as_owner
from snapproxy.cli.application import build
from snapproxy.cli.execution import run_async
from snapproxy.cli.load_config import config_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.progress import reporting
from snapproxy.cli.registry_access import access_of
from snapproxy.config import Config
from snapproxy.errors import ConfigurationError
from snapproxy.jobs.export import RegistryAccess
from snapproxy.jobs.import_artifact import Imported
from snapproxy.oci.places import Place, Reference, TreePlace

_SHOWN_DOUBTS = 10


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    name = arguments.name or name_of(arguments.source)
    config = config_of(arguments)
    access = access_of(arguments)
    if isinstance(arguments.source, Reference) and run_as_owner.is_another(config.state_dir):
        access = run_async(access.settled(arguments.source, SystemClock()))  # the owner cannot read the caller's logins
    with run_as_owner.acting(config.state_dir):
        imported = run_async(_import(config, arguments.source, name, access))
    if arguments.json:
        print_json(asdict(imported))
    else:
        _print(imported)
    return 0


def name_of(place: Place) -> str:
    """Return the default name of an imported capture: the tag, repository or file of its place.

    Raises ConfigurationError if no capture name can be made of it.
    """
    if isinstance(place, Reference):
        text = place.tag or place.repository.rsplit("/", 1)[-1]
    elif isinstance(place, TreePlace):
        text = PurePath(place.path).name
    else:
        text = place.tag or PurePath(place.path).name.removesuffix(".tar")
    name = re.sub(r"[^a-z0-9._-]", "-", text.lower())[:63].lstrip("._-")
    if not name:
        raise ConfigurationError(
            "The capture has no name", why=f"{place} does not contain one.", hint="Name it: --as NAME."
        )
    return name


async def _import(config: Config, source: Place, name: str, access: RegistryAccess) -> Imported:
    async with build(config, offline=True) as app, reporting((), what="import") as report:
        return await app.importer.import_capture(source, name, access, report)


def _print(imported: Imported) -> None:
    for doubt in imported.doubts[:_SHOWN_DOUBTS]:
        print(f"snapproxy: {doubt}", file=sys.stderr)
    if len(imported.doubts) > _SHOWN_DOUBTS:
        print(f"snapproxy: and {len(imported.doubts) - _SHOWN_DOUBTS} more (--json shows all)", file=sys.stderr)
    print(f"{imported.files} files, {decimal(imported.size)}, {imported.new} of them new")
    print(f"{imported.checked} of {imported.roots} roots have a good signature by a key in this machine's keyrings")
    print(f"{imported.times} times of these roots can be requested without the capture")
    print(imported.name)
