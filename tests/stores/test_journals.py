"""A journal that several processes share, each of which may die at any time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from snapproxy_storage import Store
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
