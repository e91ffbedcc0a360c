"""Load the settings, and create the folders of the store for the user that owns it."""

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
    """Load the settings, and create both folders. Raises ConfigurationError.

    The verb acts as the owner of `state_dir`, who must be able to read and write both.
    """
    config = load(arguments.config)
    with _explained("state_dir", config.state_dir):
        config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for key in ("state_dir", "cache_dir"):
        folder: Path = getattr(config, key)
        with _explained(key, folder):
            run_as_owner.make(folder, config.state_dir)
            with run_as_owner.acting(config.state_dir):
                if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
                    raise PermissionError(errno.EACCES, "permission denied, or a read-only file system")
    return config


@contextmanager
def _explained(key: str, folder: Path) -> Iterator[None]:
    """Raise a ConfigurationError that names the setting in place of an OSError."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"The {key} cannot be created or written",
            why=f"{folder}: {error.strerror}",
            hint=f"Make it writable for its user, or set {key} (SNAPPROXY_{key.upper()}) to another folder.",
        ) from error
