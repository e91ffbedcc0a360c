"""Validate the settings and print the effective configuration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from snapproxy.cli.messages import print_json
from snapproxy.config import Config, as_table, as_toml, load


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    config = load(arguments.config)
    warnings = missing_keyrings(config)
    if arguments.json:
        print_json({"source": str(config.source or ""), "settings": as_table(config), "warnings": warnings})
        return 0
    print(f"# Read from {config.source or 'no file; these are the defaults'}")
    print(as_toml(config), end="")
    for line in warnings:
        print(f"snapproxy: {line}", file=sys.stderr)
    return 0


def missing_keyrings(config: Config) -> list[str]:
    """Return a warning for each missing keyring. It is not an error, because few machines have every keyring."""
    users: dict[str, list[str]] = {}
    for archive in config.archives:
        for keyring in archive.keyrings:
            users.setdefault(keyring, []).append(archive.name)
    return [
        f"{keyring} is missing, so signatures by its keys cannot be verified for {', '.join(names)}"
        for keyring, names in users.items()
        if not Path(keyring).is_file()
    ]
