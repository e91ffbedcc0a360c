"""A tree has the paths of the mirror form and by-hash paths, and omits files that the recipient has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.capture.contents import PlacedFile
from snapproxy.capture.lock import encode
from snapproxy.capture.tree import lay_out
from snapproxy.core.model import Role
from snapproxy.core.record import Record
from snapproxy.errors import RecordError
from tests.capture.records import AT, CURL, SUITE, content, entry, example

INDEX = f"{SUITE}/main/binary-amd64/Packages.xz"
GTK = "core/os/x86_64/gtk-doc-1:1.33-1-any.pkg.tar.zst"


def test_files_lie_where_the_mirror_form_has_them_and_indexes_by_hash_too() -> None:
    by_hash = f"{SUITE}/main/binary-amd64/by-hash/SHA256/{content(INDEX)}"
    assert [leaf.path for leaf in lay_out(example()).leaves] == [
        "archlinux/2024/05/31/core/os/x86_64/core.db",
        f"archlinux/2024/05/31/{GTK}",
        f"debian/{AT}/{SUITE}/InRelease",
        f"debian/{AT}/{INDEX}",
        f"debian/{AT}/{by_hash}",
        f"debian/{AT}/{CURL}",
    ]
    assert PlacedFile(f"debian/{AT}/{by_hash}", 8_786_000, content(INDEX)) in lay_out(example()).leaves


def test_the_lock_and_a_list_of_everything_lie_at_the_top() -> None:
    tree = lay_out(example())
    assert tree.documents["snapproxy.lock.json"] == encode(example())
    lines = tree.documents["SHA256SUMS"].decode().splitlines()
    assert lines == [f"{leaf.sha256}  {leaf.path}" for leaf in tree.leaves]


def test_order_does_not_matter() -> None:
    record = example()
    assert lay_out(replace(record, entries=record.entries[::-1])) == lay_out(record)


def test_roots_with_snapshots_of_their_own_lie_together() -> None:
    entries = (entry("a/InRelease", Role.ROOT, snapshot="20240501T000000Z"), entry("b/InRelease", Role.ROOT))
    paths = [leaf.path for leaf in lay_out(Record(entries, {"debian": "apt"})).leaves]
    assert paths == [f"debian/{AT}/a/InRelease", f"debian/{AT}/b/InRelease"]


def test_what_the_other_side_holds_is_left_out_and_still_listed() -> None:
    """Files are compared by digest: the recipient may have a file under another time."""
    held = Record((entry(CURL, requested="20240501T000000Z", size=315_000),), {"debian": "apt"})
    tree = lay_out(example(), held)
    assert f"debian/{AT}/{CURL}" not in [leaf.path for leaf in tree.leaves]
    assert tree.documents == lay_out(example()).documents
    assert lay_out(example(), example()).leaves == ()


def test_nobody_asks_a_folder_for_what_a_service_says() -> None:
    call = entry("/mr/binary/curl/", Role.OTHER, requested="always", snapshot="ab12")
    assert lay_out(Record((call,), {"debian": "apt"})).leaves == ()


def test_a_file_that_would_be_a_folder_is_refused() -> None:
    record = Record((entry("a", Role.OTHER), entry("a/b", Role.OTHER)), {"debian": "apt"})
    with pytest.raises(RecordError, match="the folder of"):
        lay_out(record)
