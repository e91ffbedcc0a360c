from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy.config import Config, load
from snapproxy.core.model import Archive

Loader = Callable[..., Config]

ROWS = (
    Archive(
        name="debian",
        family="apt",
        history="snapshots",
        snapshot=("https://snapshot.debian.org/archive/debian",),
        mirrors=("http://ftp.debian.org/debian",),
        hosts=("*.debian.org/debian",),
        keyrings=("/usr/share/keyrings/debian-archive-keyring.gpg",),
    ),
    Archive(
        name="ubuntu",
        family="apt",
        history="any-instant",
        snapshot=("https://snapshot.ubuntu.com/ubuntu",),
        settle_after=3600,
        first=1_677_628_800,
    ),
)


@pytest.fixture
def rows() -> tuple[Archive, ...]:
    return ROWS


@pytest.fixture
def load_text(tmp_path: Path) -> Loader:
    """Load settings from a text, the environment given by name, over a table of two rows."""

    def read(text: str = "", **environ: str) -> Config:
        file = tmp_path / "config.toml"
        file.write_text(text, encoding="utf-8")
        return load(file, {"HOME": str(tmp_path), **environ}, ROWS)

    return read
