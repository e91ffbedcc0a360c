"""Every form of a time, and no other text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.model import Match, TimeSpec
from snapproxy.core.time_spec import SPELLINGS, format_instant, looks_like_time, parse_time
from snapproxy.errors import ClientError

JUNE = 1717200000  # 2024-06-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("20240601T000000Z", "20240601T000000Z"),
        ("20240601t000000z", "20240601T000000Z"),
        ("20240601", "20240601"),
        ("2024-06-01", "2024-06-01"),
        ("2024-06-01T00:00:00Z", "2024-06-01T00:00:00Z"),
        ("2024-06-01t00:00:00z", "2024-06-01T00:00:00Z"),
        ("1717200000", "1717200000"),
    ],
)
@pytest.mark.parametrize(("suffix", "match"), [("", Match.AT), (".exact", Match.EXACT), (".nearest", Match.NEAREST)])
def test_every_spelling_names_the_same_instant(text: str, canonical: str, suffix: str, match: Match) -> None:
    assert parse_time(text + suffix) == TimeSpec(text=canonical + suffix, instant=JUNE, match=match)
    assert looks_like_time(text + suffix)


def test_live_and_latest_name_no_instant() -> None:
    assert parse_time("live") == TimeSpec(text="live", instant=None, match=Match.LIVE)
    assert parse_time("latest") == TimeSpec(text="latest", instant=None, match=Match.LATEST)


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "now", "LIVE", "Latest", "live.exact", "latest.nearest", "today", "dists", "pool", "stable"],
        *["2024", "202406", "2024-06", "2024-6-1", "2024/06/01", "20240601T00", "20240601T0000Z", "20240601T000000"],
        *["2024-06-01T00:00:00", "2024-06-01T00:00:00+00:00", "2024-06-01T00:00:00.5Z", "2024-06-01 00:00:00Z"],
        *["20240601T00:00:00Z", "2024-06-01T000000Z", "2024-0601", "-20240601", "+1717200000", "1717200000.0"],
        *["0717200000", "171720000000", "12345678x", "0x66595c00", "1", "0", " 20240601", "20240601\n", "20240601 "],
        *["20240601.EXACT", "20240601.", "20240601..exact", "20240601.exact.nearest", "20240601.exactly"],
        *[
            "٢٠٢٤٠٦٠١",
            "\uff12\uff10\uff12\uff14\uff10\uff16\uff10\uff11",
            "2024\u201006\u201001",
            "20240601\x00",
            "x" * 10_000,
            "1" * 10_000,
        ],
    ],
)
def test_what_is_no_spelling_is_refused_with_the_spellings_shown(text: str) -> None:
    assert not looks_like_time(text)
    with pytest.raises(ClientError) as refused:
        parse_time(text)
    assert refused.value.status == 400
    assert refused.value.hint == SPELLINGS
    assert refused.value.reason == "that is not a time this proxy can read"


@pytest.mark.parametrize(
    "text",
    [
        "20240230",
        "20230229T000000Z",
        "2024-13-01",
        "2024-00-01",
        "20240600",
        "20240601T240000Z",
        "2024-06-01T00:60:00Z",
        "20161231T235960Z",
        "00000101",
    ],
)
def test_a_day_or_hour_that_never_was_is_refused_though_it_looks_like_a_time(text: str) -> None:
    assert looks_like_time(text)
    with pytest.raises(ClientError, match="no such day or hour in the calendar"):
        parse_time(text)


@pytest.mark.parametrize("text", ["19891231T235959Z", "21000101", "100000000", "9999999999", "99991231"])
def test_a_year_no_archive_can_mean_is_refused(text: str) -> None:
    with pytest.raises(ClientError, match="between the years 1990 and 2099"):
        parse_time(text)


@pytest.mark.parametrize("text", ["19900101", "20991231T235959Z"])
def test_the_bounds_themselves_are_in(text: str) -> None:
    assert parse_time(text).instant is not None


def test_a_leap_day_is_a_day() -> None:
    assert parse_time("20240229").instant == int(datetime(2024, 2, 29, tzinfo=UTC).timestamp())


@given(st.text(max_size=60) | st.from_regex(r"[0-9TZtz:.-]{0,34}", fullmatch=True))
def test_any_text_is_a_time_or_a_client_error(text: str) -> None:
    if not looks_like_time(text):
        with pytest.raises(ClientError, match="that is not a time this proxy can read"):
            parse_time(text)
        return
    try:
        when = parse_time(text)
    except ClientError:
        return
    assert parse_time(when.text) == when


@given(st.integers(631152000, 4102444799))
def test_an_id_is_read_back_as_its_instant(instant: int) -> None:
    assert parse_time(format_instant(instant)).instant == instant
    assert len(format_instant(instant)) == 16
