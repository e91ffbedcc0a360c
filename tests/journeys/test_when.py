"""`snapproxy when` finds the instant of roots that real package managers built, or says that it cannot tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.bootstrap import mmdebstrap
from tests.fakes.content import epoch
from tests.fakes.five_states import STATES, FiveStates
from tests.fakes.proxy import Snapproxy, run

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def five_states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FiveStates]:
    world = FiveStates(tmp_path_factory.mktemp("five-states"))
    yield world
    world.close()


def when(configuration: Path, subject: Path | str, *options: str) -> list[dict[str, Any]]:
    done = run("when", str(subject), "--json", "--config", str(configuration), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("state", range(STATES))
def test_roots_of_mmdebstrap(five_states: FiveStates, state: int, tmp_path: Path, built: Path) -> None:
    """Pinned by address: exact. Pinned by the proxy, with unchanged sources: the span of the archive's state."""
    configuration = five_states.configuration(tmp_path / "snapproxy")
    at = five_states.instants[state]
    with Snapproxy(configuration) as proxy:
        mmdebstrap(five_states, built / "root", "http://ftp.debian.org/debian", http_proxy=proxy.proxy(at))
        pinned = f"deb {proxy.url}/debian/{at} {five_states.codename} main\n"
    (found,) = when(configuration, built / "root")
    assert (found["confidence"], found["warnings"]) == ("good", []), found
    first, last = five_states.span(state)
    assert epoch(found["earliest"]) in range(first - 6 * 3600, first + 1), found
    assert epoch(found["latest"]) in range(epoch(at), last + 1), found
    assert first <= epoch(found["at"]) <= last
    sources = built / "root/etc/apt/sources.list"
    sources.write_text(pinned)
    (found,) = when(configuration, built / "root")
    assert (found["confidence"], found["at"], found["earliest"]) == ("exact", at, at), found
