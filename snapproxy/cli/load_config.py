"""Load the settings and create the folders of the store, owned by the user who runs the service."""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snapproxy.cli import run_as_owner
from snapproxy.config import Config, load
from snapproxy.errors import ConfigurationError


def config_of(arguments: argparse.Namespace) -> Config:
    """Load the settings, and make sure that both folders can be written by the owner of the first, who is acted as."""
    config = load(arguments.config)
    with _writable("state_dir", config.state_dir):
        config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for key in ("state_dir", "cache_dir"):
        folder: Path = getattr(config, key)
        with _writable(key, folder):
            run_as_owner.make(folder, config.state_dir)
            with run_as_owner.acting(config.state_dir):
                if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
                    raise PermissionError(errno.EACCES, "permission denied, or a read-only file system")
    return config


@contextmanager
def _writable(key: str, folder: Path) -> Iterator[None]:
    """Say of the system's refusal which setting it is about."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"The {key} cannot be made or written",
            why=f"{folder}: {error.strerror}",
            hint=f"Make it writable for its user, or set {key} (SNAPPROXY_{key.upper()}) to another folder.",
        ) from error
