"""A build that runs twice: recorded online, then from its capture where nothing else can be reached."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fakes.no_route import without_routes
from tests.fakes.proxy import Snapproxy, run

NAME = "build"
"""The capture's name: the proxy's password, or `/~build/` before an address."""

Digests = dict[str, str]
"""SHA-256 by file name."""

Build = Callable[[Snapproxy, Path], Digests]
"""Builds through a snapproxy, in a folder of its own that is still to be made, and returns what it got."""


def online_and_offline(settings: Path, build: Build, folder: Path) -> tuple[Digests, Digests]:
    """Build twice in `folder`; return what was got while everything could be reached, and what was got from the artifact alone."""
    with Snapproxy(settings, name="online") as at:
        online = build(at, folder / "online")
    carry(settings)
    with without_routes(), Snapproxy(settings, options=["--offline"], name="offline") as at:
        return online, build(at, folder / "offline")


def carry(settings: Path) -> None:
    """Leave nothing of what snapproxy knows but the capture: import its artifact, where nothing can be reached, into an empty store."""
    artifact = only_an_artifact(settings)
    with without_routes():
        _done("import", artifact, "--as", NAME, "--config", str(settings))


def only_an_artifact(settings: Path) -> str:
    """Export the capture, wipe the store, and return the artifact's place."""
    artifact = f"oci-archive:{settings.parent}/{NAME}.tar"
    _done("export", NAME, artifact, "--config", str(settings))
    for store in ("state", "cache"):
        shutil.rmtree(settings.parent / store)
    return artifact


def digests(files: Mapping[str, bytes]) -> Digests:
    """Return what tells files apart."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def _done(*arguments: str) -> None:
    done = run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
