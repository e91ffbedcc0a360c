"""Validate the settings, or print the effective configuration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from snapproxy.cli.messages import print_json
from snapproxy.config import Config, as_table, as_toml, load
from snapproxy.upstream.credentials import SYSTEMD, CredentialFiles, UpstreamLogin


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    config = load(arguments.config)
    warnings = [*missing_keyrings(config), *unusable_credentials(config)]
    if arguments.json:
        print_json({"source": str(config.source or ""), "settings": as_table(config), "warnings": warnings})
        return 0
    source = config.source or "no file; these are the defaults"
    if arguments.action == "show":
        print(f"# Read from {source}\n{as_toml(config)}", end="")
        return 0
    print(f"ok: the configuration is valid (read from {source}; {len(config.archives)} archives)")
    for line in warnings:
        print(f"snapproxy: {line}", file=sys.stderr)
    return 0


def missing_keyrings(config: Config) -> list[str]:
    """Return a warning for each group of archives that name the same keyrings, if any of those are missing.

    A missing keyring is not an error, because few machines have every keyring. A keyring is a file or a folder.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for archive in config.archives:
        groups.setdefault(tuple(archive.keyrings), []).append(archive.name)
    lines = []
    for keyrings, names in groups.items():
        missing = [keyring for keyring in keyrings if not Path(keyring).exists()]
        if not missing:
            continue
        found = missing[0] + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        effect = "no signature is verified" if len(missing) == len(keyrings) else "not all signatures are verified"
        lines.append(f"{', '.join(names)}: {effect}; missing: {found}")
    return lines


def unusable_credentials(config: Config) -> list[str]:
    """Return a warning for each file with credentials that cannot be used, or has none for a base of its archive.

    The credentials of systemd exist while the service runs, so they are not checked.
    """
    files, lines = CredentialFiles({}), []
    logins = [
        (UpstreamLogin(f"[archives.{each.name}] credentials", each.credentials, each.credentials_over_http), base)
        for each in config.archives
        if each.credentials
        for base in (*each.snapshot, *each.mirrors)
    ]
    if config.upstream_proxy and (place := config.upstream_proxy_credentials):
        logins.append((UpstreamLogin("upstream_proxy_credentials", place, over_http=True), config.upstream_proxy))
    for login, base in logins:
        if not login.place.startswith(SYSTEMD) and not (use := files.find(login, f"{base}/")).authorization:
            lines.append(use.text if use.is_unusable else f"{base}: {use.text}")
    return list(dict.fromkeys(lines))
