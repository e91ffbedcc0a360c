from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.conditions import (
    ClientDate,
    ConditionalHeaders,
    DatedFiles,
    SentDate,
    UnchangedForClient,
    Validators,
    Verdict,
    WholeFile,
    date_to_send,
    decide,
    is_dated,
    refuse_kept_root,
)
from snapproxy.core.http_date import read_http_date, write_http_date
from snapproxy.core.model import Role
from snapproxy.core.ranges import ByteRange, Unsatisfiable
from snapproxy.families import FAMILIES

DATE = 1717200000
TEXT = "Sat, 01 Jun 2024 00:00:00 GMT"
EARLIER = "Fri, 31 May 2024 23:59:59 GMT"
LATER = "Sat, 01 Jun 2024 00:00:01 GMT"
HELD = Validators('"abc"', DATE, date_is_proof=True)
DIGEST, OTHER = "a" * 64, "b" * 64
APT, PACMAN = FAMILIES["apt"], FAMILIES["pacman"]
ALONE, SHARED = DatedFiles(DIGEST, DATE), DatedFiles("", DATE)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (ConditionalHeaders(), WholeFile()),
        (ConditionalHeaders(if_modified_since=TEXT), UnchangedForClient()),
        (ConditionalHeaders(if_modified_since=EARLIER), WholeFile()),
        (ConditionalHeaders(if_modified_since=LATER), WholeFile()),
        (ConditionalHeaders(if_modified_since="yesterday"), WholeFile()),
        (ConditionalHeaders(method="HEAD", if_modified_since=TEXT), UnchangedForClient()),
        (ConditionalHeaders(if_none_match='"abc"'), UnchangedForClient()),
        (ConditionalHeaders(if_none_match='W/"abc"'), UnchangedForClient()),
        (ConditionalHeaders(if_none_match='"x", "abc"'), UnchangedForClient()),
        (ConditionalHeaders(if_none_match="*"), UnchangedForClient()),
        (ConditionalHeaders(if_none_match='"x"'), WholeFile()),
        (ConditionalHeaders(if_none_match="abc"), WholeFile()),
        (ConditionalHeaders(if_none_match='"x"', if_modified_since=TEXT), WholeFile()),
    ],
)
def test_not_modified_only_for_these_very_bytes(asked: ConditionalHeaders, expected: Verdict) -> None:
    assert decide(asked, HELD, 10) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (ConditionalHeaders(range="bytes=4-"), ByteRange(4, 10)),
        (ConditionalHeaders(range="bytes=10-"), Unsatisfiable(10)),
        (ConditionalHeaders(range="bytes=0-1,3-4"), WholeFile()),
        (ConditionalHeaders(range="nonsense"), WholeFile()),
        (ConditionalHeaders(method="HEAD", range="bytes=4-"), WholeFile()),
        (ConditionalHeaders(range="bytes=4-", if_range=TEXT), ByteRange(4, 10)),
        (ConditionalHeaders(range="bytes=4-", if_range=EARLIER), WholeFile()),
        (ConditionalHeaders(range="bytes=4-", if_range=LATER), WholeFile()),
        (ConditionalHeaders(range="bytes=10-", if_range=LATER), WholeFile()),
        (ConditionalHeaders(range="bytes=4-", if_range='"abc"'), ByteRange(4, 10)),
        (ConditionalHeaders(range="bytes=4-", if_range='W/"abc"'), WholeFile()),
        (ConditionalHeaders(range="bytes=4-", if_range='"x"'), WholeFile()),
        (ConditionalHeaders(range="bytes=4-", if_range="garbage"), WholeFile()),
        (ConditionalHeaders(if_range=TEXT), WholeFile()),
        (ConditionalHeaders(range="bytes=4-", if_modified_since=TEXT), UnchangedForClient()),
    ],
)
def test_a_part_is_sent_only_of_the_bytes_the_client_began_with(asked: ConditionalHeaders, expected: Verdict) -> None:
    assert decide(asked, HELD, 10) == expected


@pytest.mark.parametrize(
    "asked", [ConditionalHeaders(if_none_match='""'), ConditionalHeaders(range="bytes=4-", if_range='""')]
)
def test_a_file_without_an_etag_matches_no_tag(asked: ConditionalHeaders) -> None:
    assert decide(asked, Validators(), 10) == WholeFile()


def test_a_file_without_a_date_is_never_unmodified() -> None:
    assert decide(ConditionalHeaders(if_modified_since=TEXT), Validators(), 10) == WholeFile()


def test_an_equal_date_that_other_bytes_have_had_is_not_unmodified() -> None:
    ambiguous = Validators('"abc"', DATE)
    assert decide(ConditionalHeaders(if_modified_since=TEXT), ambiguous, 10) == WholeFile()
    assert decide(ConditionalHeaders(if_none_match='"abc"', if_modified_since=TEXT), ambiguous, 10) == (
        UnchangedForClient()
    )


@pytest.mark.parametrize(
    ("bearers", "client", "apt", "pacman"),
    [
        (ALONE, None, SentDate(DATE, is_proof=True), SentDate(DATE, is_proof=True)),
        (ALONE, ClientDate(DATE, ALONE), SentDate(DATE, is_proof=True), SentDate(DATE, is_proof=True)),
        (ALONE, ClientDate(DATE + 1, None), SentDate(DATE, is_proof=True), SentDate(None, is_proof=True)),
        (ALONE, ClientDate(DATE + 1, ALONE), SentDate(DATE + 1, is_proof=True), SentDate(DATE + 1, is_proof=True)),
        (SHARED, None, SentDate(DATE), SentDate(None)),
        (SHARED, ClientDate(DATE, SHARED), SentDate(DATE), SentDate(None)),
        (DatedFiles(OTHER, DATE), None, SentDate(DATE), SentDate(None)),
        (None, None, SentDate(DATE), SentDate(None)),
    ],
    ids=["first", "same", "newer", "sent by the archive", "shared", "same shared", "of another", "not recorded"],
)
def test_a_date_is_a_proof_only_if_no_other_root_has_had_it(
    bearers: DatedFiles | None, client: ClientDate | None, apt: SentDate, pacman: SentDate
) -> None:
    assert date_to_send(APT, DIGEST, DATE, bearers, client) == apt
    assert date_to_send(PACMAN, DIGEST, DATE, bearers, client) == pacman


def test_a_root_of_unknown_digest_is_never_proven_by_a_date() -> None:
    assert date_to_send(APT, "", DATE, SHARED, ClientDate(DATE, SHARED)) == SentDate(DATE)


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (ClientDate(DATE, None), ""),
        (ClientDate(DATE, SHARED), ""),
        (ClientDate(DATE - 1, DatedFiles(OTHER, DATE - 1)), ""),
        (ClientDate(DATE + 1, DatedFiles(OTHER, DATE - 1)), ""),
        (ClientDate(DATE - 1, DatedFiles(OTHER, DATE + 1)), "Your lists are newer than the pinned time"),
        (ClientDate(DATE - 1, DatedFiles("", DATE + 1)), "Your lists are newer than the pinned time"),
        (ClientDate(DATE + 1, None), "Your lists are newer than the pinned time"),
        (ClientDate(DATE - 1, None), "The date of your lists is unknown"),
    ],
)
def test_a_client_that_may_keep_a_newer_root_is_refused(client: ClientDate, reason: str) -> None:
    refusal = refuse_kept_root(APT, DATE, client, "debian/x")
    assert (refusal is None) == (reason == "")
    if refusal is not None:
        assert (refusal.status, refusal.reason.startswith(reason)) == (409, True)
        assert len(refusal.reason) <= 80
    assert all(refuse_kept_root(FAMILIES[each], DATE, client, "a/x") is None for each in ("pacman", "apk", "rpm"))


def test_dates_are_recorded_for_changing_files_that_are_revalidated_by_date() -> None:
    recorded = {name: {role for role in Role if is_dated(family, role)} for name, family in FAMILIES.items()}
    changing = {Role.ROOT, Role.SIGNATURE, Role.INDEX}
    assert recorded == {"apt": {Role.ROOT}, "apk": {Role.ROOT}, "rpm": {Role.ROOT}, "pacman": changing}


def test_while_the_size_is_unknown_a_range_is_ignored() -> None:
    assert decide(ConditionalHeaders(range="bytes=4-"), HELD, None) == WholeFile()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXT, DATE),
        ("Saturday, 01-Jun-24 00:00:00 GMT", DATE),
        ("Sat Jun  1 00:00:00 2024", DATE),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("", None),
        ("Sat, 31 Feb 2024 00:00:00 GMT", None),
        ("Sat, 01 Jun 2024 24:00:00 GMT", None),
        ("Sat, 01 Jnu 2024 00:00:00 GMT", None),
    ],
)
def test_reading_an_http_date(text: str, expected: int | None) -> None:
    assert read_http_date(text) == expected


@given(st.integers(0, 253402300799))
def test_a_written_date_reads_back_and_agrees_with_the_standard_library(instant: int) -> None:
    assert read_http_date(write_http_date(instant)) == instant
    assert write_http_date(instant) == formatdate(instant, usegmt=True)


@given(st.text(max_size=40))
def test_reading_a_date_never_raises(text: str) -> None:
    read_http_date(text)
