"""A journal that several processes share, each of which may die at any time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from snapproxy_storage import JournalRemoved, StorageFailure, Store
from tests.fakes.damage import DAMAGES
from tests.fakes.descriptors import open_descriptors
from tests.stores.contracts import NAME

_WRITER = """
import sys
from pathlib import Path
from snapproxy_storage import open_store
store = open_store(Path(sys.argv[1]), Path(sys.argv[2]))
journal = store.journals.open(sys.argv[3])
for number in range(500):
    journal.add([f"{sys.argv[4]} {number} {'x' * 300}".encode(), b"second"])
"""


def test_a_line_that_was_cut_off_with_its_writer_spoils_no_other(store: Store, state_dir: Path) -> None:
    journal = store.journals.open(NAME)
    journal.add([b"whole"])
    with (state_dir / "journals" / NAME).open("ab") as file:
        file.write(b"\ncut o")
    assert journal.add([]) == []
    assert journal.add([b"next"]) == [b"cut o", b"next"]
    journal.close()


def test_lines_of_processes_that_write_at_once_are_whole(store: Store, state_dir: Path, cache_dir: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(state_dir), str(cache_dir), NAME, name])
        for name in ("one", "two", "three")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    journal = store.journals.open(NAME)
    lines = list(journal.add([]))
    journal.close()
    assert lines.count(b"second") == 1500
    for name in (b"one", b"two", b"three"):
        mine = [line.split() for line in lines if line.startswith(name)]
        assert [int(number) for _, number, _ in mine] == list(range(500))
        assert {len(rest) for _, _, rest in mine} == {300}


def test_any_number_of_journals_share_few_descriptors(store: Store) -> None:
    before = len(open_descriptors())
    journals = [store.journals.open(f"{number:032x}") for number in range(500)]
    for turn in (b"one", b"two"):
        for journal in journals:
            assert list(journal.add([turn])) == [turn]
    assert len(open_descriptors()) - before <= 64
    assert store.journals.open(f"{7:032x}").add([]) == [b"one", b"two"]


async def test_a_journal_without_descriptor_reports_its_removal(store: Store) -> None:
    journal = store.journals.open(NAME)
    journal.add([b"line"])
    journal.close()
    await store.journals.remove(NAME)
    with pytest.raises(JournalRemoved):
        journal.add([b"next"])
    assert store.journals.open(NAME).add([]) == []


@pytest.mark.parametrize("damage", ["fifo", "folder", "link", "dangling link", "socket"])
def test_another_entry_in_place_of_a_journal_is_refused(store: Store, state_dir: Path, damage: str) -> None:
    place = state_dir / "journals" / NAME
    place.touch()
    DAMAGES[damage](place)
    with pytest.raises(StorageFailure, match=NAME):
        store.journals.open(NAME)


def test_a_journal_that_lost_lines_is_refused(store: Store, state_dir: Path) -> None:
    journal = store.journals.open(NAME)
    journal.add([b"first" * 100])
    (state_dir / "journals" / NAME).write_bytes(b"")
    with pytest.raises(StorageFailure, match="lost lines"):
        journal.add([b"next"])
