"""A journal is shared by processes that may die at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storage import StorageFailure, Store
from tests.stores.contracts import NAME, read_journal


def path(state_dir: Path) -> Path:
    return state_dir / "journals" / NAME


async def test_a_line_that_was_cut_off_with_its_writer_is_no_line(store: Store, state_dir: Path) -> None:
    journal = store.journals.open(NAME)
    await journal.turn(lambda _: [b"whole"])
    with path(state_dir).open("ab") as file:
        file.write(b"cut o")
    assert await read_journal(journal) == []
    await journal.turn(lambda _: [b"next"])
    again = store.journals.open(NAME)
    assert await read_journal(again) == [b"whole", b"next"]
    journal.close()
    again.close()


async def test_a_decision_that_fails_appends_nothing_and_frees_the_turn(store: Store) -> None:
    journal, other = store.journals.open(NAME), store.journals.open(NAME)

    def fail(_: Any) -> list[bytes]:
        raise KeyError

    with pytest.raises(KeyError):
        await journal.turn(fail)
    await other.turn(lambda _: [b"free"])
    assert await read_journal(journal) == [b"free"]
    journal.close()
    other.close()


async def test_a_writer_that_is_stopped_holds_nobody_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("storage.journals._PATIENCE_SECONDS", 0.01)
    journal, other = store.journals.open(NAME), store.journals.open(NAME)
    monkeypatch.setattr("storage.journals.unlock", lambda _: None)  # it stops before it can give up its turn
    await journal.turn(lambda _: [b"held"])
    with pytest.raises(StorageFailure, match="another process holds it"):
        await other.turn(lambda _: [b"waiting"])
    journal.close()
    other.close()
