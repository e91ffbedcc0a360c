"""Every status and fault on a root, an index and a package.

apt never exits 0 with something missing (docs/explain/apt-faults.md).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import fault_table
from tests.fakes.fault_table import Case
from tests.fakes.world import World

pytestmark = pytest.mark.journey
PAGE = Path(__file__).parents[2] / "docs" / "explain" / "apt-faults.md"

A_FEW = [
    Case("root", "503", 2),
    Case("root", "cut short", 1),
    Case("index", "one byte changed", 2),
    Case("package", "509", 1),
]


@pytest.mark.long
def test_a_few_faults_never_end_in_success_with_something_missing(world: World) -> None:
    rows = fault_table.measure(world, fault_table.through_snapproxy, A_FEW)
    assert [row for row in rows if row.code is None or (row.code == 0 and not row.is_complete)] == []


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_fault_ends_in_success_with_something_missing_and_the_page_is_true(world: World) -> None:
    rows = fault_table.measure(world, fault_table.through_snapproxy, fault_table.cases())
    assert [row for row in rows if row.code is None or (row.code == 0 and not row.is_complete)] == []
    assert fault_table.outcomes(fault_table.render(rows)) == fault_table.outcomes(PAGE.read_text())
