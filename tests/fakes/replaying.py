"""A build that runs twice: recorded online, then from its capture without network."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fakes.no_route import without_routes
from tests.fakes.proxy import Snapproxy, run

NAME = "build"
"""The capture's name: the proxy's password, or part of `/~build/` before an address."""

Digests = dict[str, str]
"""SHA-256 by file name."""

Build = Callable[[Snapproxy, Path], Digests]
"""A function that builds through a snapproxy, in a new folder of its own, and returns the files that it got."""


def online_and_offline(settings: Path, build: Build, folder: Path) -> tuple[Digests, Digests]:
    """Build twice in `folder`.

    Return the files of the online build, and those of the build from the artifact alone.
    """
    with Snapproxy(settings, name="online") as at:
        online = build(at, folder / "online")
    carry(settings)
    with without_routes(), Snapproxy(settings, options=["--offline"], name="offline") as at:
        return online, build(at, folder / "offline")


def carry(settings: Path) -> None:
    """Reduce the state of snapproxy to the capture.

    The artifact is imported into an empty store, without network.
    """
    artifact = only_an_artifact(settings)
    with without_routes():
        _done("import", artifact, "--as", NAME, "--config", str(settings))


def only_an_artifact(settings: Path) -> str:
    """Export the capture, wipe the store, and return the path of the artifact."""
    artifact = f"oci-archive:{settings.parent}/{NAME}.tar"
    _done("export", NAME, artifact, "--config", str(settings))
    for store in ("state", "cache"):
        shutil.rmtree(settings.parent / store)
    return artifact


def digests(files: Mapping[str, bytes]) -> Digests:
    """Return the digest of each file."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def _done(*arguments: str) -> None:
    done = run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
