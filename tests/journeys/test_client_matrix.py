"""Each client gets the state of its time, or fails, or `run` reports it (docs/explain/client-matrix.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import client_matrix, client_matrix_page
from tests.fakes.client_matrix_page import REFUSED, REPORTED

pytestmark = pytest.mark.journey
PAGE = Path(__file__).parents[2] / "docs" / "explain" / "client-matrix.md"


def test_dnf_with_metadata_of_another_time_is_reported_by_run(tmp_path: Path) -> None:
    """dnf keeps its metadata for 48 hours and sends no request in the second run, which exits 0."""
    with client_matrix.kinds(tmp_path, "dnf") as (kind,):
        measured = client_matrix.measure(kind, "run", "run, https")
    assert sorted(measured.values()) == [f"pinned then {REPORTED}", REFUSED]


def test_the_page_has_no_silent_cell() -> None:
    cells = client_matrix_page.read(PAGE.read_text(encoding="utf-8"))
    assert {client.partition(" ")[0].strip(",") for _, client, _ in cells} == {"apt", "pacman", "apk", "dnf", "zypper"}
    assert client_matrix_page.silent(cells) == []


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", client_matrix.names())
def test_no_client_gets_another_state_silently_and_the_page_is_true(tmp_path: Path, name: str) -> None:
    with client_matrix.kinds(tmp_path, name) as (kind,):
        measured = client_matrix.measure(kind)
    assert client_matrix_page.silent(measured) == []
    cells = client_matrix_page.read(PAGE.read_text(encoding="utf-8"))
    label = client_matrix.named(name) if name == "apk" else name
    known = {column: word for (_, client, column), word in cells.items() if client == label}
    if known or name != "apk":  # the page has some versions of apk
        assert {column: word for (_, _, column), word in measured.items()} == known
