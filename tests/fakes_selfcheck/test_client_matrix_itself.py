"""The measurement behind docs/explain/client-matrix.md must recognise a client that gets another state silently."""

from __future__ import annotations

import re

from tests.fakes import client_matrix, client_matrix_page
from tests.fakes.client_matrix import Step
from tests.fakes.client_matrix_page import PINNED, REFUSED, REPORTED, SILENT, TITLES

LINE = "snapproxy: 0 files, 0 bytes; no root was served: a client may have used metadata of another time"


def test_a_success_with_another_version_is_silent_unless_run_reports_it() -> None:
    found = [
        client_matrix.word_for(step, "1.0")
        for step in (
            Step(0, "1.0", ""),
            Step(1, "2.0", ""),
            Step(0, "2.0", f"{LINE}\n"),
            Step(0, "2.0", "snapproxy: 3 files"),
            Step(0, "", "there is no root here"),
        )
    ]
    assert found == [PINNED, REFUSED, REPORTED, SILENT, SILENT]


def test_a_page_is_read_as_it_was_written() -> None:
    cells = {
        (table, client, column): SILENT if (client, number) == ("dnf", 1) else f"{PINNED} then {REFUSED}"
        for table, (_, columns) in TITLES.items()
        for client in ("apt", "dnf")
        for number, column in enumerate(columns)
    }
    page = client_matrix_page.render(cells, "apt 2.6")
    assert client_matrix_page.read(page) == cells
    assert {client for _, client, _ in client_matrix_page.silent(cells)} == {"dnf"}
    assert not re.search(r"^(?!\|).{101,}$", page, re.MULTILINE)
