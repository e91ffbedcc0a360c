"""The answers of the snapshot service and the pages of a dated archive: hostile and malformed ones included."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snapproxy.archives import BUILTIN, HISTORIES
from snapproxy.prefetch.dated_records import DatedRecords, read_folder
from snapproxy.prefetch.snapshot_records import (
    ServiceFile,
    SnapshotRecords,
    read_binary_files,
    read_file_info,
    read_versions,
)
from tests.fakes.answerer import FakeArchive
from tests.fakes.content import epoch

SHA1 = "a" * 40
PLACE = {
    "archive_name": "debian",
    "first_seen": "20240601T000000Z",
    "name": "x_1_all.deb",
    "path": "/pool/main/x/x",
    "size": 7,
}
FILE = ServiceFile("all", SHA1, "debian", "pool/main/x/x/x_1_all.deb", 7, epoch("20240601T000000Z"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["result", "fileinfo", "hash", "architecture", *PLACE]), inner, max_size=4)
    ),
    max_leaves=12,
)


def binary(**changes: object) -> dict[str, object]:
    return {"result": [{"architecture": "all", "hash": SHA1}], "fileinfo": {SHA1: [{**PLACE, **changes}]}}


def test_the_files_of_a_version_are_read() -> None:
    assert list(read_binary_files(binary())) == [FILE]
    assert list(read_file_info({"result": [PLACE]}, SHA1)) == [
        ServiceFile("", SHA1, "debian", FILE.path, 7, FILE.first)
    ]
    assert list(read_versions({"result": [{"binary_version": "1:2-3"}, {"binary_version": 4}, "x"]})) == ["1:2-3"]


def test_a_row_that_leaves_the_archive_or_has_no_date_is_omitted() -> None:
    for changes in ({"path": "/../etc"}, {"name": "a/../../b"}, {"name": "a\n"}, {"first_seen": "soon"}, {"name": 3}):
        assert list(read_binary_files(binary(**changes))) == []


def test_a_size_that_is_no_number_is_unknown() -> None:
    assert [each.size for each in read_binary_files(binary(size="7"))] == [None]


@given(JSON)
def test_any_answer_is_read_without_an_error(answer: object) -> None:
    list(read_binary_files(answer))
    list(read_versions(answer))
    list(read_file_info(answer, SHA1))


def test_the_rows_of_a_folder_are_read() -> None:
    page = (
        b'<a href="../">../</a>\r\n'
        b'<a href="a-1%3A2-1-any.pkg.tar.zst">a-1:2-1-any.pkg..&gt;</a>  20-May-2024 13:45   12\r\n'
        b'<a href="b-1-1-any.pkg.tar.xz">b</a> 2024-05-21 00:01 1\r\n'
        b'<a href="c-1-1-any.pkg.tar.xz">c</a> 31-Feb-2024 00:01 1\r\n'
        b'<a href="d-1-1-any.pkg.tar.xz">d</a> - 1\r\n'
    )
    assert list(read_folder(page)) == [
        ("a-1:2-1-any.pkg.tar.zst", epoch("20240520T134500Z")),
        ("b-1-1-any.pkg.tar.xz", epoch("20240521T000100Z")),
    ]


@given(st.binary(max_size=300))
def test_any_page_is_read_without_an_error(page: bytes) -> None:
    list(read_folder(page))


def test_each_record_serves_the_archives_that_have_it() -> None:
    answerer = FakeArchive()
    snapshot, dated = SnapshotRecords(answerer, HISTORIES), DatedRecords(answerer, HISTORIES)
    served = {each.name for each in BUILTIN if snapshot.serves(each)}
    assert {"debian", "debian-security", "debian-debug"} <= served
    assert not served & {"ubuntu", "archlinux", "alpine", "fedora", "opensuse-tumbleweed"}
    assert {each.name for each in BUILTIN if dated.serves(each)} == {"archlinux"}
