"""A build that runs twice: recorded online, then from its capture where nothing else can be reached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fakes.no_route import without_routes
from tests.fakes.proxy import Snapproxy

NAME = "build"
"""The capture's name: the proxy's password, or `/~build/` before an address."""

Digests = dict[str, str]
"""SHA-256 by file name."""

Build = Callable[[Snapproxy, Path], Digests]
"""Builds through a snapproxy, in a folder of its own that is still to be made, and returns what it got."""


def online_and_offline(settings: Path, build: Build, folder: Path) -> tuple[Digests, Digests]:
    """Build twice in `folder`; return what was got while everything could be reached, and what was got from the capture alone."""
    with Snapproxy(settings, name="online") as at:
        online = build(at, folder / "online")
    elsewhere = carry(settings)
    with without_routes(), Snapproxy(elsewhere, options=["--offline"], name="offline") as at:
        return online, build(at, folder / "offline")


def carry(settings: Path) -> Path:
    """Bring the capture to where it is replayed; return the configuration there."""
    return settings


def digests(files: Mapping[str, bytes]) -> Digests:
    """Return what tells files apart."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
