"""Pushes an image layout as `snapproxy` does, in a process of its own: `python -m bench.pushing LAYOUT REGISTRY/REPOSITORY:TAG`."""

from __future__ import annotations

import sys
from pathlib import Path

from snapproxy.cli.common import run
from snapproxy.oci.credentials import Keychain
from snapproxy.oci.layout import open_layout
from snapproxy.oci.names import LayoutPlace, read_reference
from snapproxy.oci.registry import open_repository
from snapproxy.oci.transfer import collect, push
from snapproxy.shell.clock import SystemClock


async def ours(layout: Path, destination: str) -> None:
    """Push the layout's only artifact."""
    clock = SystemClock()
    keychain = Keychain({"HOME": "/nonexistent"}, clock=clock)
    async with (
        open_layout(LayoutPlace(str(layout))) as source,
        open_repository(read_reference(destination), keychain=keychain, clock=clock) as repository,
    ):
        await push(repository, await collect(source), "v1")


if __name__ == "__main__":
    run(ours(Path(sys.argv[1]), sys.argv[2]))
