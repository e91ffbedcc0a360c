"""Blobs requested by digest, as from a registry."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.fakes.answerer import DATE

Site = Any

DATA = bytes(range(256)) * 10
URL = f"/v2/any/blobs/sha256:{hashlib.sha256(DATA).hexdigest()}"


async def test_they_come_whole_and_say_of_no_time_that_they_belong_to_it(site: Site) -> None:
    site.archive.add("pool/a.deb", DATA)
    client = await site.connect()
    answer = await client.get(URL)
    assert (answer.status, answer.body) == (200, DATA)
    assert (answer["X-Snapproxy-Verified"], answer["X-Cache"]) == ("digest", "HIT")
    assert answer["Content-Type"] == "application/octet-stream"
    assert not {"x-snapproxy-snapshot", "x-snapproxy-requested"} & set(answer.headers)
    assert site.archive.asked == [], "no archive is asked, and no capture takes note"
    assert site.archive.files["pool/a.deb"].readers == 0
    assert site.traffic.bytes_sent == len(DATA)
    assert site.noted == [(hashlib.sha256(DATA).hexdigest(), DATE)], (
        "a file that was served is not the next to be removed"
    )


async def test_head_and_ranges_are_answered(site: Site) -> None:
    site.archive.add("pool/a.deb", DATA)
    client = await site.connect()
    head = await client.get(URL, method="HEAD")
    part = await client.get(URL, "Range: bytes=1000-")
    assert (head.status, head["Content-Length"]) == (200, str(len(DATA)))
    assert (part.status, part.body) == (206, DATA[1000:])


async def test_what_is_not_here_is_a_404(site: Site) -> None:
    client = await site.connect()
    assert (await client.get(URL)).status == 404
