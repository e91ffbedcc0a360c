"""Notes give the same result whichever process wrote them, and the first answer to a request applies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.capture.notes import CLOSED, Notes, note_entry, note_frozen, note_passed, note_solver, note_valid
from snapproxy.core.model import Proof, Role
from snapproxy.core.record import RecordEntry
from snapproxy.errors import RecordError

WORDS = st.text('abcdefgh/.~+ü"\\ ', min_size=1, max_size=20)
ENTRIES = st.builds(
    RecordEntry,
    st.sampled_from(["debian", "alpine"]),
    st.sampled_from(["20240601T000000Z", "live"]),
    st.just("20240531T203452Z"),
    WORDS,
    st.sampled_from(Role),
    st.sampled_from(Proof),
    st.integers(0, 2**50),
    st.sampled_from(["", "a" * 64, "b" * 64]),
)
FAMILIES = {"debian": "apt", "alpine": "apk", "unused": "rpm"}


def noted(*lines: bytes) -> Notes:
    notes = Notes()
    notes.add_lines(lines)
    return notes


@given(st.lists(ENTRIES, max_size=20))
def test_the_first_answer_to_a_question_stands(entries: list[RecordEntry]) -> None:
    record = noted(*map(note_entry, entries)).record(FAMILIES)
    first: dict[tuple[str, str, str], RecordEntry] = {}
    for entry in entries:
        first.setdefault(entry.key, entry)
    assert list(record.entries) == [first[key] for key in sorted(first)]
    assert set(record.families) == {entry.archive for entry in entries}


def test_an_archive_that_was_removed_from_the_configuration_is_named() -> None:
    entry = RecordEntry("gone", "live", "20240531T203452Z", "x", Role.PACKAGE, Proof.GPG, 1, "a" * 64)
    with pytest.raises(RecordError) as raised:
        noted(note_entry(entry)).record(FAMILIES)
    assert "gone" in raised.value.why


@given(st.lists(ENTRIES, max_size=20), st.booleans())
def test_what_was_noted_can_be_noted_again(entries: list[RecordEntry], is_closed: bool) -> None:
    lines = [
        *map(note_entry, entries),
        note_frozen("debian", 7),
        note_valid("debian", "live", (1, 9)),
        note_passed("h"),
        note_solver("apt 2.6.1 (internal)"),
    ]
    notes = noted(*lines, *([CLOSED] if is_closed else []))
    assert noted(*notes.lines()) == notes


def test_a_capture_is_valid_where_all_its_roots_are() -> None:
    at = "debian", "20240601T000000Z"
    assert noted(note_valid(*at, (1, 9)), note_valid(*at, (3, 12))).record(FAMILIES).valid == {at: (3, 9)}
    assert noted(note_valid(*at, (1, 2)), note_valid(*at, (3, 4))).record(FAMILIES).valid == {}


def test_nothing_counts_after_the_end() -> None:
    notes = noted(note_passed("host"), CLOSED, note_passed("host"), note_frozen("debian", 1))
    assert (notes.unpinned, notes.frozen, notes.is_closed) == ({"host"}, {}, True)


@pytest.mark.parametrize(
    "line", [b"[", b"{}", b'["file"]', b'["frozen","debian","now"]', b'["other",1]', b"\xff", b"1"]
)
def test_what_was_cut_off_with_its_writer_is_no_note(line: bytes) -> None:
    assert noted(line, note_passed("host")) == noted(note_passed("host"))


@given(ENTRIES, st.integers(0, 400))
def test_no_beginning_of_a_note_is_one(entry: RecordEntry, length: int) -> None:
    line = note_entry(entry)
    assert noted(line[: min(length, len(line) - 1)]) == Notes()
