"""Changing files are sent without a date to clients that would discard a file older than their own copy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from snapproxy.core.conditions import without_older_date
from snapproxy.core.exchange import Conditions, Served
from snapproxy.core.model import Proof, Role
from snapproxy.families import FAMILIES
from tests.fakes.answerer import Source, SourceBody

OURS = 1_700_000_000


@pytest.fixture
def body() -> Iterator[SourceBody]:
    source = Source(b"bytes")
    yield source.open()
    source.file.close()


@pytest.mark.parametrize("role", [Role.ROOT, Role.INDEX, Role.SIGNATURE])
@pytest.mark.parametrize(
    ("since", "date"),
    [(None, OURS), (OURS - 1, OURS), (OURS, OURS), (OURS + 1, None)],
    ids=["none", "older", "equal", "newer"],
)
async def test_only_a_client_with_a_newer_copy_gets_no_date(
    body: SourceBody, role: Role, since: int | None, date: int | None
) -> None:
    served = Served(body, "a", "s", "", Proof.NONE, "HIT", role, OURS)
    assert without_older_date(served, FAMILIES["pacman"], Conditions(since)) == replace(served, date=date)
    assert without_older_date(served, FAMILIES["apt"], Conditions(since)) == served


async def test_a_package_keeps_its_date_for_a_resume(body: SourceBody) -> None:
    served = Served(body, "a", "s", "", Proof.NONE, "HIT", Role.PACKAGE, OURS)
    assert without_older_date(served, FAMILIES["pacman"], Conditions(OURS + 1)) == served
