"""Names that the real apt-get does not find: the verb adds when they existed, and similar names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.hamlet import FIRST, SECOND, SUITE, Hamlet, later
from tests.fakes.proxy import run
from tests.fakes.publisher import Publisher, SuitePlan

pytestmark = pytest.mark.journey


def test_unknown_names_are_explained(hamlet: Hamlet, hamlet_settings: Path) -> None:
    """apt-get names the unknown packages; the store and the service's record add when they existed."""
    edition, last = hamlet.edition, later(SECOND, 10 * 24 * 3600)
    hamlet.publish(last, Publisher(edition.key).tree(last, [SuitePlan(SUITE, (edition.kept,))]))
    selection = ("--suite", SUITE, "--arch", "amd64", "--config", str(hamlet_settings))
    prefetched = run("prefetch", "debian", "--at", FIRST, "--all", *selection)
    assert prefetched.returncode == 0, prefetched.stderr
    done = run("prefetch", "debian", "--at", last, "moved", "kept", "kpet", "nosuch", *selection)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-5:-1] == [
        "snapproxy: Some packages do not exist in the indexes of that time",
        f"  moved: existed at {FIRST} (version 1); existed from {SECOND} on (version 2)",
        "  kpet: similar: kept",
        "  nosuch",
    ]
