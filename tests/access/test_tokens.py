"""ClientTokens in a store: created, recognised, expired, revoked in another process, and the time of their last use."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from snapproxy.access.gate import Gate, TokenRule, sent_token
from snapproxy.access.scopes import RequestNeed
from snapproxy.access.tokens import MOST, USE_SECONDS, ClientTokens, Token, TokenFault
from snapproxy.errors import ClientError
from snapproxy_storage import Store, open_store
from tests.fakes.leaping_clock import LeapingClock


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "state", tmp_path / "cache") as store:
        yield store


@pytest.fixture
def clock() -> LeapingClock:
    return LeapingClock()


@pytest.fixture
def tokens(store: Store, clock: LeapingClock) -> ClientTokens:
    return ClientTokens(store.catalog, clock)


async def test_a_token_is_recognised_and_its_secret_is_not_stored(
    store: Store, tokens: ClientTokens, tmp_path: Path
) -> None:
    created, text = await tokens.create("ci", ["capture:ci-"], None)
    found = tokens.recognise(text)
    assert isinstance(found, Token)
    assert (found.id, found.name, found.scopes) == (created.id, "ci", ("capture:ci-",))
    secret = text.split("-")[2].encode()
    await store.close()
    files = [each for each in (tmp_path / "state").rglob("*") if each.is_file()]
    assert not any(secret in each.read_bytes() for each in files)


@pytest.mark.parametrize(("change", "fault"), [
    (lambda text: text[:-1], TokenFault.MALFORMED),
    (lambda text: "nonsense", TokenFault.MALFORMED),
])  # fmt: skip
async def test_a_text_that_is_no_token(tokens: ClientTokens, change: object, fault: TokenFault) -> None:
    _, text = await tokens.create("ci", ["read"], None)
    assert callable(change)
    assert tokens.recognise(change(text)) is fault


async def test_a_token_of_another_store_is_unknown(tokens: ClientTokens, tmp_path: Path, clock: LeapingClock) -> None:
    """Also one with the id of a token that exists."""
    async with open_store(tmp_path / "other", tmp_path / "other-cache") as other:
        _, text = await ClientTokens(other.catalog, clock).create("ci", ["admin"], None)
    assert tokens.recognise(text) is TokenFault.UNKNOWN


async def test_a_token_expires(tokens: ClientTokens, clock: LeapingClock) -> None:
    _, text = await tokens.create("ci", ["read"], clock.now() + 60)
    assert isinstance(tokens.recognise(text), Token)
    clock.leap(61)
    assert tokens.recognise(text) is TokenFault.EXPIRED


async def test_a_revocation_is_obeyed_at_once_by_another_process(
    tokens: ClientTokens, tmp_path: Path, clock: LeapingClock
) -> None:
    _, text = await tokens.create("ci", ["read"], None)
    async with open_store(tmp_path / "state", tmp_path / "cache") as second:
        other = ClientTokens(second.catalog, clock)
        assert isinstance(other.recognise(text), Token)
        await tokens.revoke("ci")
        assert other.recognise(text) is TokenFault.UNKNOWN
    assert tokens.all() == []


async def test_names_are_unique_and_their_number_is_limited(
    tokens: ClientTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tokens.create("ci", ["read"], None)
    with pytest.raises(ClientError, match="of this name exists"):
        await tokens.create("ci", ["read"], None)
    monkeypatch.setattr("snapproxy.access.tokens.MOST", 1)
    with pytest.raises(ClientError, match="the maximum"):
        await tokens.create("other", ["read"], None)
    assert MOST > 1
    with pytest.raises(ClientError, match="no such token"):
        tokens.find("other")


async def test_the_last_use_is_written_once_an_hour(store: Store, tokens: ClientTokens, clock: LeapingClock) -> None:
    created, text = await tokens.create("ci", ["read"], None)
    assert tokens.find(created.id).used is None
    tokens.recognise(text)
    await tokens.flush()
    first = ClientTokens(store.catalog, clock).find("ci").used
    assert first is not None
    assert first % USE_SECONDS == 0
    clock.leap(USE_SECONDS)
    tokens.recognise(text)
    await tokens.flush()
    assert ClientTokens(store.catalog, clock).find("ci").used == first + USE_SECONDS


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(("authorization", "proxy", "token"), [
    ("", basic("20240601T000000Z:x.snp-a-b"), "a-b"),
    ("", basic("20240601T000000Z:build.snp-a-b"), "a-b"),
    ("", basic("20240601T000000Z:x"), ""),
    ("", "nonsense", ""),
    ("Bearer snp-a-b", "", "snp-a-b"),
    ("bearer  snp-a-b ", "", "snp-a-b"),
    (basic("x:snp-a-b"), "", "snp-a-b"),
    (basic("bearer:of-the-archive"), "", ""),
    ("Bearer of-the-archive", "", ""),
    ("Basic %%%", "", ""),
    ("Digest x", "", ""),
])  # fmt: skip
def test_the_token_of_a_request(authorization: str, proxy: str, token: str) -> None:
    assert sent_token(authorization, proxy) == token


CAPTURE = RequestNeed("ci-7")


@pytest.mark.parametrize(("rule", "need", "status"), [
    (TokenRule.OPTIONAL, RequestNeed(), None),
    (TokenRule.OPTIONAL, CAPTURE, None),
    (TokenRule.OPTIONAL, RequestNeed(is_admin=True), 401),
    (TokenRule.RECORDING, RequestNeed(), None),
    (TokenRule.RECORDING, CAPTURE, 401),
    (TokenRule.REQUIRED, RequestNeed(), 401),
    (TokenRule.REQUIRED, CAPTURE, 401),
])  # fmt: skip
def test_a_request_without_a_token(
    tokens: ClientTokens, rule: TokenRule, need: RequestNeed, status: int | None
) -> None:
    found = Gate(tokens, rule).decide("", "", need, is_proxied=False)
    assert (found.refusal and found.refusal.status) == status
    if found.refusal:
        assert "Basic" in found.refusal.headers["WWW-Authenticate"]
        proxied = Gate(tokens, rule).decide("", "", need, is_proxied=True).refusal
        assert proxied is not None
        assert (proxied.status, set(proxied.headers)) == (407, {"Proxy-Authenticate"})


async def test_a_request_with_a_token(tokens: ClientTokens) -> None:
    created, text = await tokens.create("ci", ["capture:ci-"], None)
    gate = Gate(tokens, TokenRule.OPTIONAL)
    assert gate.decide(f"Bearer {text}", "", CAPTURE, is_proxied=False).token_id == created.id
    wrong = gate.decide(f"Bearer {text}", "", RequestNeed("release"), is_proxied=False).refusal
    assert wrong is not None
    assert (wrong.status, created.id in wrong.reason) == (403, True)
    invalid = gate.decide(f"Bearer {text}0", "", RequestNeed(), is_proxied=False).refusal
    assert invalid is not None
    assert invalid.status == 401, "a token that is sent must be valid, also where none is needed"
    for refusal in (wrong, invalid):
        assert text[13:40] not in f"{refusal}"
