"""Benchmark of pushing to Debian's docker-registry on loopback, from an image layout to a new repository each time.

It compares the time for a capture of 1,000 small packages with oras (or skopeo if oras is not installed), and measures
the memory for pushing 2 GiB. Limit: 100 MiB.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.harness import MIB, Memory, ratio, room, table
from snapproxy.oci.artifact import Artifact, bytes_content, file_content
from snapproxy.oci.layout_write import write_layout
from snapproxy.oci.manifests import Descriptor, Manifest, digest_of
from snapproxy.oci.places import LayoutPlace
from tests.fakes.debian_registry import DebianRegistry

SMALL_COUNT, SMALL_SIZE = 1000, 20_000
LARGE_COUNT, LARGE_SIZE = 16, 128 * MIB
LIMIT = 100 * MIB
_ROUNDS = 5
_KIND = "application/vnd.snapproxy.bench.v1"
_OCTETS = "application/octet-stream"


def capture(count: int, size: int) -> Artifact:
    """Return an artifact of random files."""
    contents = []
    for number in range(count):
        data = os.urandom(size)
        notes = {"org.opencontainers.image.title": f"pool/{number}.deb"}
        contents.append(bytes_content(Descriptor(_OCTETS, digest_of(data), size, annotations=notes), data))
    return Artifact.of(Manifest(tuple(each.descriptor for each in contents), _KIND), tuple(contents))


def long_capture(folder: Path, count: int, size: int) -> Artifact:
    """Return an artifact of large random files, stored in a folder instead of memory."""
    contents = []
    for number in range(count):
        path, running = folder / str(number), hashlib.sha256()
        with path.open("wb") as file:
            for _ in range(size // MIB):
                piece = os.urandom(MIB)
                running.update(piece)
                file.write(piece)
        contents.append(file_content(Descriptor(_OCTETS, f"sha256:{running.hexdigest()}", size), path))
    return Artifact.of(Manifest(tuple(each.descriptor for each in contents), _KIND), tuple(contents))


def our_command(layout: Path, destination: str) -> list[str]:
    return [sys.executable, "-m", "bench.pushing", str(layout), destination]


def their_command(layout: Path, destination: str) -> list[str]:
    if oras := shutil.which("oras"):
        return [
            oras,
            "cp",
            "--no-tty",
            "--concurrency",
            "16",
            "--from-oci-layout",
            f"{layout}:v1",
            "--to-plain-http",
            destination,
        ]
    return ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}:v1", f"docker://{destination}"]


def seconds(command: list[str]) -> float:
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr}")
    return time.monotonic() - began


def small(folder: Path, host: str) -> None:
    """Compare the time for pushing many small layers."""
    layout = folder / "small"
    asyncio.run(write_layout(capture(SMALL_COUNT, SMALL_SIZE), LayoutPlace(str(layout), "v1")))
    theirs = "oras" if shutil.which("oras") else "skopeo"
    pairs = [
        (
            seconds(our_command(layout, f"{host}/ours/{number}:v1")),
            seconds(their_command(layout, f"{host}/theirs/{number}:v1")),
        )
        for number in range(_ROUNDS)
    ]
    print(
        f"{SMALL_COUNT} layers of {SMALL_SIZE // 1000} KB, time of snapproxy / {theirs}: "
        f"median (least-greatest) of {_ROUNDS}"
    )
    table(("push", "time"), ("new repository", ratio(pairs)))


def large(folder: Path, host: str) -> int:
    """Measure the memory for pushing 2 GiB. Return 1 if it exceeds the limit, else 0."""
    layout = folder / "large"
    files = folder / "files"
    files.mkdir()
    asyncio.run(write_layout(long_capture(files, LARGE_COUNT, LARGE_SIZE), LayoutPlace(str(layout), "v1")))
    shutil.rmtree(files)
    process = subprocess.Popen(our_command(layout, f"{host}/ours/large:v1"))
    memory = Memory(process.pid)
    memory.start()
    status = process.wait()
    memory.stop()
    print(f"{LARGE_COUNT * LARGE_SIZE >> 30} GiB pushed, {memory.samples} samples: {memory.peak / MIB:.1f} MiB at most")
    print("pass" if memory.peak < LIMIT and not status else f"FAIL: more than {LIMIT // MIB} MiB, or an error")
    return int(memory.peak >= LIMIT or status != 0)


def main() -> int:
    with room(3 * LARGE_COUNT * LARGE_SIZE) as folder, DebianRegistry(folder) as registry:
        small(folder, registry.host)
        return large(folder, registry.host)


if __name__ == "__main__":
    sys.exit(main())
