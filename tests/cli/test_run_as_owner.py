"""A verb run as root creates no files of root's, which the service could neither read nor remove."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

import pytest

from snapproxy.cli.load_config import config_of
from snapproxy.errors import ConfigurationError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="acting as somebody else takes root")


@pytest.fixture
def state(foreign_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state_dir of another user."""
    folder = foreign_folder / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, foreign_folder.stat().st_uid, foreign_folder.stat().st_gid)
    monkeypatch.setenv("SNAPPROXY_STATE_DIR", str(folder))
    return folder


@pytest.mark.parametrize("parent_is", ["theirs", "root's"])
def test_a_cache_that_is_missing_is_made_for_the_owner(
    state: Path, monkeypatch: pytest.MonkeyPatch, parent_is: str
) -> None:
    """As after `rm -rf /var/cache/snapproxy`, in a folder of root's; also with missing folders above it."""
    parent = state.parent if parent_is == "theirs" else state.parent / "cache"
    parent.mkdir(mode=0o755, exist_ok=True)
    cache = parent / "above" / "snapproxy"
    monkeypatch.setenv("SNAPPROXY_CACHE_DIR", str(cache))
    for _ in range(2):
        config_of(Namespace(config=None))
        mine = (state.stat().st_uid, state.stat().st_gid)
        assert [(each.stat().st_uid, each.stat().st_gid) for each in (cache, cache.parent)] == [mine, mine]
        assert cache.stat().st_mode & 0o777 == 0o700


def test_a_cache_that_the_owner_cannot_write_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root could write there, but the service could not use the files."""
    cache = state.parent / "cache"
    cache.mkdir(mode=0o700)
    monkeypatch.setenv("SNAPPROXY_CACHE_DIR", str(cache))
    with pytest.raises(ConfigurationError, match="cache_dir") as refused:
        config_of(Namespace(config=None))
    assert str(cache) in refused.value.why
    assert "SNAPPROXY_CACHE_DIR" in refused.value.hint


def test_a_link_to_nowhere_is_not_followed_by_root(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner could have created the link, so only the owner may create its target."""
    target = state.parent / "roots" / "made"
    target.parent.mkdir(mode=0o755)
    link = state.parent / "cache"
    link.symlink_to(target)
    os.chown(link, state.stat().st_uid, state.stat().st_gid, follow_symlinks=False)
    monkeypatch.setenv("SNAPPROXY_CACHE_DIR", str(link))
    with pytest.raises(ConfigurationError, match="cache_dir"):
        config_of(Namespace(config=None))
    assert not target.exists()
