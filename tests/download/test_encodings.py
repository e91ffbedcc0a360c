"""A Content-Encoding that was not requested: the promised bytes decide, or the check of the root, or the content."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace

import pytest

from tests.fakes.content import Content
from tests.fakes.faults import Exchange, complete
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, content_of
from tests.fakes.house import House

KEY = "pool/key.asc"
KEY_BYTES = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"


@dataclass(frozen=True)
class Encoded:
    """States an encoding, as Apache does by the first bytes of a file; `really` encodes the body with gzip."""

    encoding: str
    really: bool = False
    needs_body: bool = True

    def play(self, exchange: Exchange) -> None:
        answer = exchange.answer
        content = answer.content
        if self.really:
            content = Content(gzip.compress(content.data, mtime=0), content.modified)
        headers = {**answer.headers, "Content-Encoding": self.encoding}
        complete(exchange, replace(answer, content=content, headers=headers))


def state(hamlet: Hamlet, encoding: str, *, really: bool = False) -> None:
    for server in (hamlet.now, hamlet.past):
        server.fault("*", Encoded(encoding, really))


@pytest.mark.parametrize("encoding", ["x-gzip", "zstd", "br"])
async def test_promised_bytes_are_taken_as_they_came(house: House, hamlet: Hamlet, encoding: str) -> None:
    state(hamlet, encoding)
    for path in (INRELEASE, PACKAGES, hamlet.edition.kept.path):
        got = await house.get(FIRST, path)
        assert (got.status, got.proof) == (200, "gpg")
        assert "content-encoding" not in {name.lower() for name in got.served.headers}
    assert got.data == content_of(hamlet.edition.kept).data


@pytest.mark.parametrize("path", [INRELEASE, "dists/stable/Release"])
async def test_a_root_that_was_really_encoded_is_refused(house: House, hamlet: Hamlet, path: str) -> None:
    state(hamlet, "gzip", really=True)
    assert (await house.get(FIRST, path)).status == 424


async def test_a_promised_file_that_was_really_encoded_is_refused_for_its_encoding(
    house: House, hamlet: Hamlet
) -> None:
    await house.get(FIRST, INRELEASE)
    state(hamlet, "gzip", really=True)
    assert (await house.get(FIRST, PACKAGES)).refusal.reason == "Upstream sent an encoding that was not requested"


async def test_a_file_that_nothing_promises_and_that_only_looks_encoded_is_served(house: House, hamlet: Hamlet) -> None:
    hamlet.place(KEY, Content(KEY_BYTES))
    state(hamlet, "gzip", really=False)
    got = await house.get(FIRST, KEY)
    assert (got.status, got.data, got.broke) == (200, KEY_BYTES, "")


async def test_a_file_that_nothing_promises_and_that_was_really_encoded_is_refused(
    house: House, hamlet: Hamlet
) -> None:
    """Its head may be sent before its first bytes arrive; then the connection is cut without any of them."""
    hamlet.place(KEY, Content(KEY_BYTES))
    state(hamlet, "gzip", really=True)
    got = await house.get(FIRST, KEY)
    assert got.status == 502 or (got.broke and not got.data), got
    assert not house.named(FIRST, KEY)
