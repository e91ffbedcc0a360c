"""Push an image layout with snapproxy's code: `python -m bench.pushing LAYOUT REGISTRY/REPOSITORY:TAG`.

It runs as a separate process and imports the code for pushing only, not the settings, the store and the other commands
that `snapproxy` imports too.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from snapproxy.base.clock import SystemClock
from snapproxy.oci.credentials import Keychain
from snapproxy.oci.layout import open_layout
from snapproxy.oci.places import LayoutPlace, read_reference
from snapproxy.oci.registry import open_repository
from snapproxy.oci.transfer import collect, push


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
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ours(Path(sys.argv[1]), sys.argv[2]))
