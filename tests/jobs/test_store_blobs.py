"""Blobs that another import, in this process or another, is storing at the same time."""

from __future__ import annotations

import asyncio
import itertools
import threading
from pathlib import Path
from typing import Any

import pytest

from snapproxy.jobs.export import ExportOptions, RegistryAccess
from snapproxy.oci.places import LayoutPlace
from snapproxy_storage.draft_sink import DraftSink
from tests.fakes.house import House, until


@pytest.fixture
async def layout(recorded: House, tmp_path: Path) -> LayoutPlace:
    place = LayoutPlace(str(tmp_path / "art"), "")
    await recorded.app.exporter.export(await recorded.app.captures.record("build"), place, ExportOptions())
    return place


class Gate:
    """Delays the first file between its last byte and its name.

    One only: the end of a cancelled import needs a thread for files, and a store has few.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        publish, numbers = DraftSink.publish, itertools.count()

        def held(sink: DraftSink, *arguments: Any) -> Any:
            if next(numbers) == 0:
                self.reached.set()
                assert self.opened.wait(30)
            return publish(sink, *arguments)

        patch.setattr(DraftSink, "publish", held)


async def test_a_file_whose_last_byte_was_shown_is_waited_for_until_it_has_its_name(
    layout: LayoutPlace, elsewhere: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    bring = elsewhere.app.importer.import_capture
    first = asyncio.create_task(bring(layout, "first", RegistryAccess()))
    await until(gate.reached.is_set)
    second = asyncio.create_task(bring(layout, "second", RegistryAccess()))
    await asyncio.sleep(0.1)
    gate.opened.set()
    assert (await first).new + (await second).new == (await first).files
    assert elsewhere.app.captures.names() == ["first", "second"]


async def test_an_import_that_was_broken_off_while_files_were_named_can_be_repeated_at_once(
    layout: LayoutPlace, elsewhere: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    bring = elsewhere.app.importer.import_capture
    broken = asyncio.create_task(bring(layout, "copy", RegistryAccess()))
    await until(gate.reached.is_set)
    broken.cancel()
    await asyncio.gather(broken, return_exceptions=True)
    again = asyncio.create_task(bring(layout, "copy", RegistryAccess()))
    await asyncio.sleep(0.1)
    gate.opened.set()
    assert (await again).files == 5
