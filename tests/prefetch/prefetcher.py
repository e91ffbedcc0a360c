"""A process that fetches files of the archive `debian` into the capture `build`, to be killed by a test.

Usage: prefetcher.py CONFIG TIME PATH=DIGEST... It prints the paths that were fetched, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from snapproxy.config import load
from snapproxy.core.time_spec import parse_time
from snapproxy.families import FAMILIES
from snapproxy.prefetch.fetch_files import FileFetcher, PrefetchedFile
from snapproxy.prefetch.model import WantedFile
from snapproxy.wiring.application import build


async def main(config: Path, when: str, *files: str) -> None:
    async with build(load(config)) as app:
        archive = app.archive("debian")
        wanted = [WantedFile(archive, parse_time(when), *file.split("=")) for file in files]
        fetcher = FileFetcher(app.answerer, families=FAMILIES, clock=app.clock, capture="build")
        outcomes = await fetcher.fetch(wanted)
        print(json.dumps([file.path for file, each in outcomes.items() if isinstance(each, PrefetchedFile)]))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
