"""A record has exactly one lock, and a lock exactly one record."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from snapproxy.capture.lock import encode
from snapproxy.capture.lock_reader import decode
from snapproxy.core.model import Role
from snapproxy.core.record import Record
from snapproxy.errors import RecordError
from tests.capture.records import absence, entry, example, no_deadline, records

ROOT = Path(__file__).parents[2]

WRITTEN = """\
{
"absences":[
{"archive":"debian","path":"dists/bookworm/main/i18n/Translation-de.xz","proof":"gpg",\
"requested":"20240601T000000Z","role":"index","snapshot":"20240531T203452Z"}
],
"archives":[
{"archive":"archlinux","family":"pacman","requested":"2024/05/31","snapshots":["2024/05/31"],"valid":null},
{"archive":"debian","family":"apt","requested":"20240601T000000Z","snapshots":["20240531T203452Z"],\
"valid":["20240531T203452Z","20240601T023000Z"]}
],
"files":[
"""


def test_solvers_are_written_only_if_there_are_any() -> None:
    solved = replace(example(), solvers=frozenset({"pacman 6.1.0", "apt 2.6.1 (internal)"}))
    section = '"schema":1,\n"solvers":[\n"apt 2.6.1 (internal)",\n"pacman 6.1.0"\n],\n"unpinned":['
    assert section in encode(solved).decode()
    assert decode(encode(solved)) == solved
    assert decode(encode(example())).solvers == frozenset()


def test_the_form_is_one_line_an_entry() -> None:
    text = encode(example()).decode()
    assert text.startswith(WRITTEN)
    assert text.endswith('],\n"schema":1,\n"unpinned":[\n"::1",\n"github.com"\n]\n}\n')
    assert (
        encode(Record((), {})).decode()
        == '{\n"absences":[],\n"archives":[],\n"files":[],\n"schema":1,\n"unpinned":[]\n}\n'
    )


@no_deadline
@given(record=records())
def test_without_its_line_feeds_it_is_rfc_8785(record: Record) -> None:
    """The format is as defined in docs/reference/lock-format.md.

    Member names are ASCII and numbers are integers, so Python's sorting and number format agree with RFC 8785.
    """
    text = encode(record).decode()
    one_line = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert text.replace("\n", "") == one_line


@no_deadline
@given(record=records())
def test_what_is_written_is_read_back(record: Record) -> None:
    assert decode(encode(record)) == record


@no_deadline
@given(record=records(), seed=st.integers())
def test_any_order_gives_the_same_bytes(record: Record, seed: int) -> None:
    mixed = list(record.entries)
    random.Random(seed).shuffle(mixed)
    families = dict(sorted(record.families.items(), reverse=True))
    valid = dict(sorted(record.valid.items(), reverse=True))
    assert encode(replace(record, entries=tuple(mixed), families=families, valid=valid)) == encode(record)


def test_the_page_shows_a_canonical_lock() -> None:
    page = (ROOT / "docs" / "reference" / "lock-format.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert encode(decode(shown.encode())).decode() == shown


def test_names_are_written_plainly() -> None:
    """Other characters than ASCII are neither escaped nor ordered differently; lines sort as with `LC_ALL=C sort`."""
    paths = ["a", 'a"b', "a b", "a/b", "größe", "\uffee", "\U0001f600"]
    record = Record(tuple(entry(path) for path in reversed(paths)), {"debian": "apt"})
    lines = encode(record).decode().splitlines()
    assert [json.loads(line.rstrip(","))["path"] for line in lines if '"sha256"' in line] == sorted(
        paths, key=str.encode
    )
    assert '"path":"größe"' in "".join(lines)
    assert decode(encode(record)).entries == tuple(sorted(record.entries, key=lambda each: each.key))


def test_services_and_unknown_snapshots_are_no_snapshots_that_answered() -> None:
    call = entry("/mr/binary/curl/?fileinfo=1", Role.OTHER, requested="always", snapshot="ab12cd34ef56")
    record = Record((call, absence("/mr/binary/x/", Role.OTHER, requested="always", snapshot="")), {"debian": "apt"})
    (time,) = json.loads(encode(record))["archives"]
    assert (time["requested"], time["snapshots"]) == ("always", [])
    assert decode(encode(record)) == record


def test_any_other_spelling_of_the_json_is_taken() -> None:
    indented = json.dumps(json.loads(encode(example())), indent=4).replace("\n", "\r\n").encode()
    assert decode(indented) == example()


@no_deadline
@given(at=st.integers(0, 2000), cut=st.integers(0, 3), put=st.binary(max_size=3))
def test_damage_is_an_error_or_another_whole_record(at: int, cut: int, put: bytes) -> None:
    sound = encode(example())
    damaged = sound[:at] + put + sound[at + cut :]
    try:
        found = decode(damaged)
    except RecordError:
        return
    assert decode(encode(found)) == found
