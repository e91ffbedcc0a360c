"""Profile one warm hit: through which of our modules it goes, and how many of our functions it calls.

    .venv/bin/python -m bench.hit_path            the two counts, for each form of address
    .venv/bin/python -m bench.hit_path --calls    every call as well, in order

The proxy runs in this process, on a real socket, over a real store; the archive behind it is the simulated one. A
package is requested twice, so that it is stored and named, and the following requests are profiled. The one with the
fewest calls counts: work in the background, such as naming a file, may coincide with the others. A function counts once
each time that it is started: a coroutine that waits and goes on is one call. The limits are those of
docs/explain/design.md, section 3.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from bench.archive import SUITE, WHEN, Archive, Kind
from bench.harness import configure, room, url_path
from snapproxy.config import load
from snapproxy.wiring.application import build

ROOT = Path(__file__).parents[1]
PACKAGES = (f"{ROOT}/snapproxy/", f"{ROOT}/storage/")

MOST_MODULES = 18
MOST_CALLS = 120

HITS = 5
"""Number of profiled requests for each form."""

SMALL = Kind("small", 1, 4096)
NEEDED = 1 << 30


class Calls:
    """The calls of our own functions, in their order."""

    def __init__(self) -> None:
        self.codes: list[CodeType] = []
        self._frames: dict[int, FrameType] = {}

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGES) and id(frame) not in self._frames:
            self._frames[id(frame)] = frame  # kept, so that no later frame has its id
            self.codes.append(frame.f_code)

    @property
    def modules(self) -> list[str]:
        """The modules, in the order in which the request reaches them."""
        return list(dict.fromkeys(str(Path(code.co_filename).relative_to(ROOT)) for code in self.codes))

    @contextmanager
    def counted(self) -> Iterator[None]:
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, fields: str) -> None:
    """Request a file on a connection that stays open, and read the answer to its end."""
    writer.write(f"GET {target} HTTP/1.1\r\nHost: bench.example\r\n{fields}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = next(int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length:"))
    await reader.readexactly(length)
    if not head.startswith("HTTP/1.1 200 "):
        raise SystemExit(f"{target}: {head.splitlines()[0]}")


def forms(path: str) -> dict[str, tuple[str, str]]:
    """Return the request target and the header fields of a file, by the form of its address."""
    pair = base64.b64encode(f"{WHEN}:x".encode()).decode()
    return {
        "mirror form": (url_path(path), ""),
        "proxy form": (f"http://ftp.debian.org/debian/{path}", f"Proxy-Authorization: Basic {pair}\r\n"),
    }


async def profile(folder: Path, archive: Archive, path: str) -> dict[str, Calls]:
    """Return the calls of one warm hit, by the form of its address."""
    found: dict[str, Calls] = {}
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with build(load(configure(folder, archive))) as app:
        server = asyncio.create_task(app.serve([listener]))
        await asyncio.sleep(0.2)
        for name, (target, fields) in forms(path).items():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for index in ("InRelease", "main/binary-amd64/Packages.xz"):
                await ask(reader, writer, url_path(f"dists/{SUITE}/{index}"), "")
            await ask(reader, writer, target, fields)
            await ask(reader, writer, target, fields)
            hits = [Calls() for _ in range(HITS)]
            for hit in hits:
                with hit.counted():
                    await ask(reader, writer, target, fields)
            found[name] = min(hits, key=lambda hit: len(hit.codes))
            writer.close()
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Profile one warm hit.")
    parser.add_argument("--calls", action="store_true", help="print every call, in order")
    arguments = parser.parse_args()
    logging.disable()
    with room(NEEDED) as folder, Archive(folder / "archive", [SMALL]) as archive:
        found = asyncio.run(profile(folder, archive, SMALL.path(0)))
    for name, calls in found.items():
        print(f"{name}: {len(calls.modules)} modules, {len(calls.codes)} calls")
        for module in calls.modules:
            print(f"  {module}: {sum(code.co_filename.endswith(module) for code in calls.codes)}")
        if arguments.calls:
            print(*(f"    {code.co_qualname}" for code in calls.codes), sep="\n")
    is_short = all(len(each.modules) <= MOST_MODULES and len(each.codes) <= MOST_CALLS for each in found.values())
    return 0 if is_short else 1


if __name__ == "__main__":
    raise SystemExit(main())
