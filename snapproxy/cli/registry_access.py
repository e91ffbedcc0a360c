"""Access to registries as the options ask for it, and how an export is reported."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict

from snapproxy.cli.messages import print_json
from snapproxy.jobs.export import Exported, RegistryAccess


def access_of(arguments: argparse.Namespace) -> RegistryAccess:
    """Return how registries are reached."""
    return RegistryAccess(
        environ=os.environ,
        authfile=arguments.authfile,
        plain_http=arguments.plain_http,
        tls_verify=arguments.tls_verify == "true",
    )


def print_exported(exported: Exported, *, as_json: bool) -> None:
    """Print what was written; the last line is what to ask for it by."""
    if as_json:
        print_json(asdict(exported))
        return
    print(f"{exported.files} blobs, {exported.size} bytes")
    print(exported.name)
