"""Access to registries according to the options, and the report of an export."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict

from rich.filesize import decimal

from snapproxy.cli.messages import print_json
from snapproxy.jobs.export import Exported, RegistryAccess


def access_of(arguments: argparse.Namespace) -> RegistryAccess:
    """Return the logins and the transport that the options and the environment select."""
    return RegistryAccess(
        environ=os.environ,
        authfile=arguments.authfile,
        plain_http=arguments.plain_http,
        tls_verify=arguments.tls_verify == "true",
    )


def print_exported(exported: Exported, *, as_json: bool) -> None:
    """Print the size of the export. The last line is the name by which the result can be requested."""
    if as_json:
        print_json(asdict(exported))
        return
    print(f"{exported.files} blobs, {decimal(exported.size)}")
    print(exported.name)
