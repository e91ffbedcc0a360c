"""The time in a proxy's address, in the form that each client sends."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.credentials import Credentials, is_capture_name, read_credentials
from snapproxy.core.time_spec import SPELLINGS, parse_time
from snapproxy.errors import ClientError


def basic(pair: str) -> str:
    return "Basic " + b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    ("pair", "when", "capture"),
    [
        ("20240601T000000Z:x", "20240601T000000Z", ""),
        ("20240601T000000Z:", "20240601T000000Z", ""),
        ("20240601T000000Z", "20240601T000000Z", ""),  # busybox sends no colon
        ("1717200000:x", "1717200000", ""),
        ("live:x", "live", ""),
        ("latest:ci", "latest", "ci"),
        ("2024-06-01:build-7", "2024-06-01", "build-7"),
        ("2024-06-01T00:00:00Z", "2024-06-01T00:00:00Z", ""),  # user 2024-06-01T00, password 00:00Z
        ("2024-06-01T00:00:00Z:x", "2024-06-01T00:00:00Z", ""),
        ("2024-06-01T00%3A00%3a00Z:nightly", "2024-06-01T00:00:00Z", "nightly"),
        ("20240601.nearest:x", "20240601.nearest", ""),
        ("20240601:x.snp-Secret_1~2.3-4", "20240601", ""),
        ("2024-06-01T00:00:00Z.exact:a.b_c-d.snp-Secret", "2024-06-01T00:00:00Z.exact", "a.b_c-d"),
        ("20240601:" + "a" * 63, "20240601", "a" * 63),
    ],
)
def test_the_time_is_matched_first_and_the_rest_is_a_capture(pair: str | None, when: str, capture: str) -> None:
    assert read_credentials(basic(pair)) == Credentials(when=parse_time(when), capture=capture)


def test_the_scheme_is_read_in_any_case() -> None:
    assert read_credentials(basic("20240601:x").replace("Basic", "bASIC ")) == Credentials(when=parse_time("20240601"))


@pytest.mark.parametrize("header", ["", "Basic", basic(""), basic(":")])
def test_absent_and_empty_credentials_name_no_time(header: str) -> None:
    assert read_credentials(header) is None


@pytest.mark.parametrize(
    "header",
    [
        *[
            "Basic !!!",
            "Basic YQ",
            "Bearer abc",
            "Digest username=x",
            "Basic /w==",
            "Basic " + "QUFB" * 1000,
            "basic\x00",
        ],
        *map(
            basic,
            ["bob:secret", "x:20240601", "bob", "20240601x:x", "2024-06-01T00:x", ":20240601", "%zz:x", "20240601::x"],
        ),
        *map(
            basic, ["20240601:X", "20240601:Bad", "20240601:-a", "20240601:a/b", "20240601:a b", "20240601:" + "a" * 64]
        ),
        *map(
            basic,
            ["20240601:.snp-t", "20240601:x.snp-", "20240601:a.snp-b c", "20240601:a:b", "20240601:x.snp-" + "t" * 257],
        ),
    ],
)
def test_malformed_credentials_are_refused_with_the_spellings_and_without_their_text(header: str) -> None:
    with pytest.raises(ClientError) as refused:
        read_credentials(header)
    assert refused.value.status == 400
    assert refused.value.hint.startswith(SPELLINGS)
    assert "http_proxy=http://20240601T000000Z:x@HOST:3142" in refused.value.why
    assert "secret" not in str(refused.value)


def test_a_day_that_never_was_is_refused_as_such() -> None:
    with pytest.raises(ClientError, match="calendar"):
        read_credentials(basic("20240230:x"))


@pytest.mark.parametrize("name", ["x", "", "A", ".a", "_a", "a.snp-b", "a" * 64, "a/b", "é"])
def test_no_capture_has_a_name_that_could_be_taken_for_something_else(name: str) -> None:
    assert not is_capture_name(name)


@given(st.text(max_size=60))
def test_any_header_and_any_pair_is_read_or_a_client_error(text: str) -> None:
    for header in (text, "Basic " + text, "Basic " + b64encode(text.encode("utf-8", "surrogatepass")).decode()):
        with suppress(ClientError):
            read_credentials(header)


@given(st.from_regex(r"[A-Za-z0-9._~-]{8,40}", fullmatch=True))
def test_a_token_is_never_kept(token: str) -> None:
    assert token not in repr(read_credentials(basic(f"20240601:x.snp-{token}")))
