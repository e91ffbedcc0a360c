"""Stored files are found by their name and by their digest, without any request."""

from __future__ import annotations

from dataclasses import replace

from snapproxy.archives import HISTORIES
from snapproxy.core.time_spec import parse_time
from snapproxy.prefetch.model import WantedFile
from snapproxy.prefetch.stored_files import StoredFiles
from tests.fakes.hamlet import FIRST, INRELEASE, Hamlet, content_of, later
from tests.fakes.house import House, until

AT = later(FIRST, 3600)


async def test_a_file_is_found_by_name_and_by_digest(house: House, hamlet: Hamlet) -> None:
    kept, weak = hamlet.edition.kept, hamlet.edition.weak
    stored = StoredFiles(house.app.names, house.store.blobs)
    history = HISTORIES["snapshots"]
    named = WantedFile(hamlet.row, parse_time(AT), kept.path)
    known = replace(named, path="elsewhere", digest=f"sha256:{content_of(kept).sha256}")
    alias = WantedFile(hamlet.row, parse_time(AT), "elsewhere", f"md5:{content_of(weak).digests['md5']}")
    assert [stored.size(each, history, FIRST) for each in (named, known, alias)] == [None] * 3
    for path in (INRELEASE, "dists/stable/main/binary-amd64/Packages.xz", kept.path, weak.path):
        assert (await house.get(AT, path)).status == 200
    # Names and other digests are written after the last byte was sent.
    await until(lambda: all(stored.size(each, history, FIRST) for each in (named, known, alias)))
    hamlet.log.reset_counts()
    sizes = [content_of(package).size for package in (kept, kept, weak)]
    assert [stored.size(each, history, FIRST) for each in (named, known, alias)] == sizes
    assert stored.size(named, history) is None, "the snapshot of its time is not known"
    assert stored.size(replace(alias, archive=replace(hamlet.row, name="other")), history) is None, "a weak digest"
    house.evict(content_of(kept).sha256)
    assert stored.size(named, history, FIRST) is None
    assert hamlet.log.entries == []
