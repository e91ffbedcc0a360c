"""Serve blobs of the store by digest, without asking an upstream for missing ones."""

from __future__ import annotations

import pytest

from snapproxy.answer.by_digest import StoreByDigest
from snapproxy.base.names import Names
from snapproxy.core.exchange import BlobTarget
from snapproxy.core.model import Refusal
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet
from tests.fakes.house import House, read


@pytest.fixture
def holding(house: House) -> StoreByDigest:
    return StoreByDigest(house.store.blobs, Names(house.store.catalog, house.clock))


async def test_what_a_client_was_served_is_given_by_its_digest_with_its_date(
    house: House, holding: StoreByDigest, hamlet: Hamlet
) -> None:
    await house.get(FIRST, INRELEASE)
    served = (await house.get(FIRST, PACKAGES)).served
    digest = hamlet.content(PACKAGES).sha256
    got = await read(await holding.answer(BlobTarget(digest)))
    assert got.data == hamlet.content(PACKAGES).data
    assert (got.proof, got.served.date, got.served.digest) == ("digest", served.date, digest)
    assert got.headers == {"Docker-Content-Digest": f"sha256:{digest}"}


async def test_nobody_is_asked_for_what_is_not_held(house: House, holding: StoreByDigest, hamlet: Hamlet) -> None:
    await house.get(FIRST, INRELEASE)
    hamlet.log.reset_counts()
    missing = await holding.answer(BlobTarget(hamlet.content(PACKAGES).sha256))
    assert isinstance(missing, Refusal)
    assert missing.status == 404
    assert list(hamlet.log.entries) == []
