"""The server checks all stored files when they are due, and goes on after a failure."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from snapproxy.space.check_report import CheckReport, DamagedFile, Repair
from snapproxy.wiring.repeated_work import RepeatedWork
from snapproxy_storage import StorageFailure


async def test_the_server_checks_and_reports(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lost = DamagedFile("a" * 64, 10, Repair.LOST, ("debian/20240601T000000Z/x",), 1, "Upstream sends other bytes")
    results: list[Any] = [StorageFailure("the disk reports errors"), None, CheckReport(1, 2, 3, 30, (lost,), 1)]
    asked: list[tuple[float, float]] = []
    nothing: Any = None

    class Fsck:
        async def run_if_due(self, rate: float, every: float) -> CheckReport | None:
            asked.append((rate, every))
            result = results.pop(0) if results else asyncio.CancelledError()
            if isinstance(result, BaseException):
                raise result
            return result

    class Instant:
        async def sleep(self, seconds: float) -> None: ...

    settings = SimpleNamespace(fsck_rate=5, fsck_every=100)
    app: Any = SimpleNamespace(clock=Instant(), config=settings)
    fsck: Any = Fsck()
    work = RepeatedWork(app, nothing, nothing, nothing, nothing, nothing, nothing, fsck)
    with pytest.raises(asyncio.CancelledError):
        await work._check(100)
    assert asked == [(5, 100)] * 4
    levels = [(each.levelname, each.getMessage()) for each in caplog.records]
    assert levels == [
        ("WARNING", "The check of the stored files failed: the disk reports errors"),
        ("ERROR", "3 stored files, 30 bytes: 1 damaged (1 lost)"),
    ]
