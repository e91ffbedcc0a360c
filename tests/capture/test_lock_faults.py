"""Every bad lock raises one clear error with the place of the fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from snapproxy.capture.lock import encode
from snapproxy.capture.lock_reader import decode
from snapproxy.errors import RecordError
from snapproxy.formats import strict_json
from tests.capture.records import example

Change = Callable[[dict[str, Any]], object]


def why(data: bytes) -> str:
    with pytest.raises(RecordError) as caught:
        decode(data)
    assert caught.value.reason == "The lock cannot be read"
    assert caught.value.hint
    assert caught.value.why.isascii(), "it is printed on terminals"
    return caught.value.why


def set_in(section: str, at: int, **members: Any) -> Change:
    return lambda lock: lock[section][at].update(members)


def twice(section: str, **members: Any) -> Change:
    return lambda lock: lock[section].append({**lock[section][0], **members})


FAULTS: list[tuple[str, Change, str]] = [
    ("section missing", lambda lock: lock.pop("absences"), "absences: is missing."),
    ("section unknown", lambda lock: lock.update(extra=1), "extra: is not a known member."),
    ("section of another kind", lambda lock: lock.update(files={}), "files: expected an array."),
    ("strange member", lambda lock: lock.update({"a\nb": 1}), "'a\\nb': is not a known member."),
    ("schema missing", lambda lock: lock.pop("schema"), "schema: is missing."),
    ("schema of old", lambda lock: lock.update(schema=0), "schema: expected an integer from 1 to 1, not 0."),
    ("schema no number", lambda lock: lock.update(schema="1"), "schema: expected an integer from 1 to 1, not '1'."),
    ("schema true", lambda lock: lock.update(schema=True), "schema: expected an integer from 1 to 1, not True."),
    (
        "schema with a fraction",
        lambda lock: lock.update(schema=1.0),
        "schema: expected an integer from 1 to 1, not 1.0.",
    ),
    ("entry no object", lambda lock: lock["files"].__setitem__(0, 7), "files[0]: expected an object, not 7."),
    ("member missing", lambda lock: lock["files"][2].pop("path"), "files[2].path: is missing."),
    ("member unknown", set_in("files", 1, url="x"), "files[1].url: is not a known member."),
    ("absence with a size", set_in("absences", 0, size=0), "absences[0].size: is not a known member."),
    (
        "short digest",
        set_in("files", 4, sha256="abc"),
        "files[4].sha256: expected 64 lower-case hex digits, not 'abc'.",
    ),
    ("digest in capitals", set_in("files", 0, sha256="AB" * 32), "files[0].sha256: expected 64 lower-case hex digits"),
    ("digest null", set_in("files", 0, sha256=None), "files[0].sha256: expected 64 lower-case hex digits, not None."),
    ("no size", set_in("files", 0, size=None), "files[0].size: expected an integer from 0 to 9007199254740991"),
    ("negative size", set_in("files", 0, size=-1), "files[0].size: expected an integer"),
    ("huge size", set_in("files", 0, size=2**53), "files[0].size: expected an integer"),
    ("size with a fraction", set_in("files", 0, size=5.0), "files[0].size: expected an integer"),
    ("size infinite", set_in("files", 0, size=float("inf")), "files[0].size: expected an integer"),
    ("escaping path", set_in("files", 0, path="../etc/passwd"), "files[0].path: expected the canonical path of a file"),
    ("absolute path", set_in("files", 0, path="/etc/passwd"), "files[0].path: expected the canonical path of a file"),
    ("call of no service", set_in("files", 0, path="/mr"), "files[0].path: expected the canonical path of a file"),
    ("call with a blank", set_in("files", 0, path="/mr/a b"), "files[0].path: expected the canonical path of a file"),
    (
        "file of no snapshot",
        set_in("files", 0, snapshot=""),
        "files[0].snapshot: expected a time or the id of a snapshot,",
    ),
    ("folder", set_in("files", 0, path="pool/"), "files[0].path: expected the canonical path of a file"),
    ("no path", set_in("absences", 0, path=""), "absences[0].path: expected the canonical path of a file"),
    (
        "path of half a letter",
        set_in("files", 0, path="\ud800"),
        "files[0].path: expected the canonical path of a file",
    ),
    (
        "path of a terminal's",
        set_in("files", 0, path="\x1b[2J"),
        "files[0].path: expected the canonical path of a file",
    ),
    ("archive climbs", set_in("files", 0, archive=".."), "files[0].archive: expected the name of an archive"),
    (
        "snapshot climbs",
        set_in("files", 0, snapshot="../x"),
        "files[0].snapshot: expected a time or the id of a snapshot,",
    ),
    ("time empty", set_in("files", 0, requested=""), "files[0].requested: expected a time or the id of a snapshot,"),
    (
        "role unknown",
        set_in("files", 0, role="exe"),
        "files[0].role: expected one of index, other, package, root, signature",
    ),
    ("proof unknown", set_in("files", 0, proof="sure"), "files[0].proof: expected one of digest, gpg, index, none"),
    (
        "file twice",
        lambda lock: lock["files"].append(lock["files"][0]),
        "files[5]: another entry has the same archive, requested and path",
    ),
    (
        "there and absent",
        lambda lock: lock["absences"][0].update(path=lock["files"][2]["path"]),
        "absences[0]: another entry has the same archive,",
    ),
    ("two sizes", twice("files", path="x", size=6), "files[5]: another entry has the same sha256 and another size."),
    ("family unknown", set_in("archives", 0, family="slackpkg"), "archives[0].family: expected one of "),
    (
        "archive unused",
        twice("archives", archive="ubuntu"),
        "archives[2]: its snapshots differ from those of the entries",
    ),
    (
        "archive twice",
        lambda lock: lock["archives"].append(lock["archives"][0]),
        "archives[2]: its snapshots differ from those",
    ),
    (
        "archive missing",
        lambda lock: lock["archives"].pop(),
        "archives: there are entries of debian at 20240601T000000Z",
    ),
    ("other snapshots", set_in("archives", 1, snapshots=["live"]), "archives[1]: its snapshots differ from those"),
    (
        "half a span",
        set_in("archives", 1, valid=["20240601T000000Z"]),
        "archives[1].valid: expected the first and the last instant",
    ),
    (
        "span backwards",
        set_in("archives", 1, valid=["20240602T000000Z", "20240601T000000Z"]),
        "archives[1].valid: expected the first",
    ),
    (
        "no such day",
        set_in("archives", 1, valid=["20240230T000000Z"] * 2),
        "archives[1].valid[0]: expected an instant such as",
    ),
    (
        "solver twice",
        lambda lock: lock.update(solvers=["apt 3.0", "apt 3.0"]),
        "solvers[1]: the solver is repeated.",
    ),
    (
        "solver with a line feed",
        lambda lock: lock.update(solvers=["apt\n3.0"]),
        "solvers[0]: expected a solver in at most 200 printable ASCII characters, not 'apt\\n3.0'.",
    ),
    ("solvers of another kind", lambda lock: lock.update(solvers="apt"), "solvers: expected an array, not 'apt'."),
    ("host twice", lambda lock: lock["unpinned"].append("::1"), "unpinned[2]: the host ::1 is repeated."),
    ("host of two words", lambda lock: lock["unpinned"].append("a b"), "unpinned[2]: expected a host, not 'a b'."),
]


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_fault_is_told_with_its_place(change: Change, expected: str) -> None:
    lock = json.loads(encode(example()))
    change(lock)
    assert why(json.dumps(lock).encode()).startswith(expected)


def test_two_families_of_one_archive() -> None:
    lock = json.loads(encode(example()))
    lock["files"][0]["archive"] = "debian"
    lock["archives"].insert(0, {**lock["archives"][0], "archive": "debian"})
    assert (
        why(json.dumps(lock).encode())
        == "archives[2].family: expected the same family as in the first item of debian, not 'apt'."
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "It is not valid JSON: line 1, column 1."),
        (b"\xff\xfe", "It is not UTF-8 (byte 0)."),
        (b"\xef\xbb\xbf{}", "It is not valid JSON: line 1, column 1."),
        (b"[]", "the document: expected an object."),
        (b"null", "the document: expected an object, not None."),
        (b'{"schema":1', "It is not valid JSON: line 1, column 12."),
        (b'{"schema":1,"schema":1}', "schema: is repeated."),
        (b"[" * 100_000, "Its arrays or objects are nested too deeply."),
        (b'{"schema":' + b"9" * 5000 + b"}", "It contains a number with thousands of digits."),
        (b"[" * (strict_json.MOST + 1), "It has more than 200000 entries."),
        (b" " * (strict_json.LARGEST + 1), "It has 67108865 bytes; the maximum is 67108864."),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value)[:24],
)
def test_what_is_no_lock_at_all(data: bytes, expected: str) -> None:
    assert why(data) == expected


def test_a_member_that_stands_twice_is_named() -> None:
    data = encode(example()).replace(b'"size":315000', b'"size":315000,"size":5')
    assert why(data) == "files[4].size: is repeated."


def test_a_later_schema_says_what_to_do() -> None:
    """The schema is checked first, because a later one may have other members."""
    with pytest.raises(RecordError) as caught:
        decode(b'{"schema":2,"entries":[]}')
    assert str(caught.value) == (
        "The lock cannot be read\nIts schema is 2; this snapproxy reads schema 1.\n"
        "Use a newer snapproxy, or write the lock again with this version."
    )
