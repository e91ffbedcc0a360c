"""Missing days of an archive that is asked day by day: the rounds of a decision follow the setting `max_gap`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.core.exchange import Conditions
from snapproxy.core.model import Archive, Instant, NeedWindow, Refusal, Resolved
from snapproxy.core.plan import UNDECIDED
from tests.fakes.arch import DatedService
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.hamlet import FIRST, INRELEASE, Hamlet
from tests.fakes.house import PATIENT, House

DAY = 86400


@pytest.fixture
def archive(hamlet: Hamlet) -> Iterator[Archive]:
    """An archive without the folders of three weeks."""
    tree = hamlet.edition.trees[FIRST]
    days = {f"2024/06/{day:02}": tree for day in (*range(1, 5), *range(25, 31))}
    with ArchiveServer(DatedService(days), name="dated", address="127.0.0.6") as server:
        yield replace(hamlet.row, history="dated", mirrors=(), snapshot=(server.url,))


@pytest.mark.parametrize(("max_gap", "status"), [(4, 410), (7, 410), (19, 410), (25, 200), (3650, 200)])
async def test_a_gap_is_answered_or_refused_and_never_an_internal_error(
    archive: Archive, tmp_path: Path, max_gap: int, status: int
) -> None:
    async with House(tmp_path, (replace(archive, max_gap=max_gap * DAY),), timeouts=PATIENT) as house:
        got = await house.get("20240615T000000Z", INRELEASE)
        assert got.status == status, got.outcome
        if status == 200:
            assert got.served.snapshot == "2024/06/04"
        assert (await house.get("20240603T200000Z", INRELEASE)).status == 200


async def test_an_archive_that_never_settles_a_decision_is_refused(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with House(tmp_path, (archive,), timeouts=PATIENT) as house:
        history = house.app.executor.context(archive, Conditions()).history

        def never(_archive: Archive, _when: object, windows: dict[object, object], _now: Instant) -> NeedWindow:
            start = len(windows) * DAY
            return NeedWindow(start, start + DAY, start)

        monkeypatch.setattr(type(history), "resolve", staticmethod(never))
        with caplog.at_level(logging.WARNING):
            answer: Resolved | Refusal = (await house.get("20240603", INRELEASE)).outcome  # type: ignore[assignment]
        assert answer == UNDECIDED
        assert "no decision after" in caplog.text
