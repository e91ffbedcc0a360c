"""The written form of a token, and scopes."""

from __future__ import annotations

import pytest

from snapproxy.access.scopes import RequestNeed, canonical_scope, permits
from snapproxy.access.token_text import TokenText, is_id, read_token

TOKEN = TokenText("0123abcd", "5" * 64)
TEXT = TOKEN.write()


def test_a_token_is_read_as_it_was_written() -> None:
    assert TEXT.startswith("snp-0123abcd-5555")
    assert read_token(TEXT) == read_token(TEXT.removeprefix("snp-")) == TOKEN
    assert "5555" not in repr(TOKEN)


@pytest.mark.parametrize("text", [
    "", "snp-", TEXT[:-1], TEXT + "0", TEXT.replace("0123abcd", "0123abce"), TEXT.replace("55", "56", 1),
    TEXT.upper(), f"snp-{TEXT}", TEXT.replace("-", "_"), "x" * 10_000,
])  # fmt: skip
def test_other_text_is_no_token(text: str) -> None:
    assert read_token(text) is None


def test_an_id_has_eight_digits() -> None:
    assert is_id("0123abcd")
    assert not any(map(is_id, ("", "0123ABCD", "0123abc", "0123abcd\n")))


@pytest.mark.parametrize(("scopes", "need", "is_permitted"), [
    (("read",), RequestNeed(), True),
    (("read",), RequestNeed("ci-7"), False),
    (("read",), RequestNeed(is_admin=True), False),
    (("capture:ci-",), RequestNeed(), True),
    (("capture:ci-",), RequestNeed("ci-7"), True),
    (("capture:ci-",), RequestNeed("release-ci-7"), False),
    (("capture:",), RequestNeed("any"), True),
    (("read", "capture:a-", "capture:b-"), RequestNeed("b-1"), True),
    (("capture:",), RequestNeed(is_admin=True), False),
    (("admin",), RequestNeed("any"), True),
    (("admin",), RequestNeed(is_admin=True), True),
])  # fmt: skip
def test_scopes_permit(scopes: tuple[str, ...], need: RequestNeed, is_permitted: bool) -> None:
    assert permits(scopes, need) == is_permitted


@pytest.mark.parametrize("text", [
    "", "write", "read:x", "admin:", "capture", "capture:A", "capture:x.snp-", "capture:-a", "capture:" + "a" * 80,
])  # fmt: skip
def test_other_scopes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="PREFIX"):
        canonical_scope(text)
