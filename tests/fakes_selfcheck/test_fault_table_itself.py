"""The measurement behind docs/explain/apt-faults.md, made without snapproxy: it must detect these failures of apt."""

from __future__ import annotations

import pytest

from tests.fakes import fault_table
from tests.fakes.fault_table import Case
from tests.fakes.world import World

DIRECTLY = {
    Case("root", "403", 1): ("100", "no"),
    Case("root", "one byte changed", 2): ("100", "no"),
    Case("root", "cut short", 1): ("0", "no"),
    Case("index", "404", 2): ("100", "no"),
    Case("package", "509", 1): ("100", "no"),
    Case("package", "other content", 2): ("100", "no"),
    Case("package", "404 once, by mistake", 1): ("100", "no"),
}


@pytest.mark.long
def test_the_table_sees_what_apt_does_without_snapproxy(world: World) -> None:
    rows = fault_table.measure(world, fault_table.directly, list(DIRECTLY))
    page = fault_table.render(rows)
    assert fault_table.outcomes(page) == DIRECTLY
    assert "E: Failed to fetch URL/dists/" in page
