"""The subject of `when`: its notes on the lists that were not compared, and the searched time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from snapproxy.archives import BUILTIN, HISTORIES
from snapproxy.core.address import AddressBook
from snapproxy.core.time_evidence import EvidenceKind, not_before
from snapproxy.formats.time_evidence.installed import InstalledPackage
from snapproxy.jobs.root_evidence import RootEvidence
from snapproxy.jobs.when import SEARCHED_SECONDS, ProbeAccess, search_window, when_made

NOW = 1717200000
YEAR = 366 * 86400


async def _unexpected(*_: Any) -> Any:
    raise AssertionError("no list may be requested")


@pytest.mark.parametrize(("family", "note"), [
    ("rpm", "this is supported for apt, pacman and apk"), ("apt", "No source of a known archive was found"),
])  # fmt: skip
def test_lists_that_were_not_compared_are_a_note(family: str, note: str) -> None:
    found = RootEvidence(family=family, packages=(InstalledPackage("bash", "5.2", "x86_64"),))
    book = AddressBook(archives=BUILTIN, histories=HISTORIES)
    access = ProbeAccess(_unexpected, _unexpected)
    subject = asyncio.run(when_made(found, "root", "root", book, access, NOW))
    assert note in " ".join(subject.notes)


def test_an_old_file_only_makes_the_searched_time_longer() -> None:
    old, new = (not_before(EvidenceKind.FILE, at, "x", "y") for at in (NOW - 5 * YEAR, NOW - YEAR))
    assert search_window([old], NOW).first == NOW - 5 * YEAR
    assert search_window([new], NOW).first == NOW - SEARCHED_SECONDS
