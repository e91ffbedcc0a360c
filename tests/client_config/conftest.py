"""Shells for the script that pins a root, and a root with sources of every client."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client_config.test_pin_script import FILES, make
from tests.fakes.pinning import Shell, shells


@pytest.fixture(scope="module")
def all_shells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shell]:
    return shells(tmp_path_factory.mktemp("shells"))


@pytest.fixture(params=["dash", "gawk", "busybox"])
def shell(request: pytest.FixtureRequest, all_shells: dict[str, Shell]) -> Shell:
    return all_shells[request.param]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "a root", FILES)
