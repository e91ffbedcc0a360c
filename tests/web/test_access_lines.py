"""The access log in the combined form and as JSON: whole, in order, and safe against what clients send."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from dataclasses import replace

import pytest

from snapproxy.web import access_lines
from snapproxy.web.access_lines import AccessLog, combined, json_line
from snapproxy.web.access_log import AccessEntry

ENTRY = AccessEntry(
    "192.0.2.7",
    "GET",
    "/debian/20240601T000000Z/pool/x.deb",
    status=200,
    sent=12,
    seconds=0.12345,
    cache="HIT",
    snapshot="debian/20240531T203452Z",
    proof="gpg",
    request_id="a-1",
    time=1_717_200_000,
    archive="debian",
    path="pool/x.deb",
    agent="Debian APT-HTTP/1.3",
)

COMBINED = re.compile(
    r'(\S+) (\S+) (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "([^"\\]*)" (\d{3}) (\d+|-) "([^"\\]*)" '
    r'"([^"\\]*)"'
)

HOSTILE = ['"', "\\", "\n", "\r\n1.2.3.4 - - [", "\x1b[31m", "\u2028", '","status":200', "\x00", "\ud800", "é" * 3000]


def test_a_combined_line_has_the_fields_of_apache() -> None:
    assert combined(ENTRY) == (
        '192.0.2.7 - - [01/Jun/2024:00:00:00 +0000] "GET /debian/20240601T000000Z/pool/x.deb HTTP/1.1" 200 12 "-" '
        '"Debian APT-HTTP/1.3"'
    )
    assert combined(replace(ENTRY, token="ci", sent=0, agent="")).endswith(' 200 - "-" "-"')
    assert combined(replace(ENTRY, token="ci")).startswith("192.0.2.7 - ci [")


def test_a_line_of_json_has_the_documented_keys() -> None:
    assert json.loads(json_line(replace(ENTRY, token="ci", reason="r"))) == {
        "time": "2024-06-01T00:00:00Z",
        "id": "a-1",
        "client": "192.0.2.7",
        "token": "ci",
        "method": "GET",
        "target": "/debian/20240601T000000Z/pool/x.deb",
        "archive": "debian",
        "snapshot": "20240531T203452Z",
        "path": "pool/x.deb",
        "status": 200,
        "bytes": 12,
        "seconds": 0.1235,
        "cache": "hit",
        "proof": "gpg",
        "outcome": "done",
        "reason": "r",
        "agent": "Debian APT-HTTP/1.3",
    }


def test_a_value_that_is_not_known_is_absent() -> None:
    line = json.loads(json_line(AccessEntry("-", "-", "-", 400, 9, time=0, reason="The request is not valid HTTP")))
    assert set(line) == {"time", "client", "method", "target", "status", "bytes", "seconds", "outcome", "reason"}


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", ["peer", "method", "target", "token", "path", "agent", "reason", "request_id"])
def test_no_value_of_a_client_can_forge_a_line(field: str, text: str) -> None:
    entry = replace(ENTRY, **{field: f"a{text}b"})
    for line in (combined(entry), json_line(entry)):
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 40_000
    assert COMBINED.fullmatch(combined(entry))
    assert json.loads(json_line(entry))["status"] == 200


@pytest.mark.parametrize("target", ["http://live:s3cret@h/debian/x", "/~c.snp-s3cret/debian/x"])
def test_credentials_and_tokens_are_in_no_form(target: str) -> None:
    entry = replace(ENTRY, target=target, path="x")
    assert "s3cret" not in combined(entry) + json_line(entry)


async def test_lines_are_written_in_batches_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_lines, "BATCH_SECONDS", 0.001)
    batches: list[bytes] = []
    log = AccessLog("json", batches.append)
    for number in range(100):
        log(replace(ENTRY, sent=number))
    writing = asyncio.create_task(log.run())
    async with asyncio.timeout(20):
        while not batches:
            await asyncio.sleep(0.001)
    writing.cancel()
    assert len(batches) == 1
    assert [json.loads(line)["bytes"] for line in batches[0].splitlines()] == list(range(100))


def test_a_reload_changes_the_form_of_later_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    batches: list[bytes] = []
    log = AccessLog("json", batches.append)
    for form in ("json", "combined", "off", "short"):
        log.form = form
        log(ENTRY)
    log.flush()
    first, second = batches[0].decode().splitlines()
    assert json.loads(first)["id"] == "a-1"
    assert COMBINED.fullmatch(second)
    assert [record.name for record in caplog.records] == ["snapproxy.access"]
    log.flush()
    assert len(batches) == 1


def test_an_output_that_is_too_slow_loses_lines_and_says_how_many(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(access_lines, "MAX_WAITING", 3)
    batches: list[bytes] = []
    log = AccessLog("combined", batches.append)
    for _ in range(5):
        log(ENTRY)
    log.flush()
    assert len(batches[0].splitlines()) == 3
    assert "2 lines of the access log were lost" in caplog.text


def test_an_output_that_fails_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: bytes) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    log = AccessLog("combined", broken)
    log(ENTRY)
    log.flush()
    log.flush()
    assert caplog.text.count("The access log cannot be written: Broken pipe") == 1
    assert "1 lines of the access log were lost" in caplog.text


def test_the_month_does_not_depend_on_the_locale() -> None:
    for month in range(1, 13):
        at = int(time.mktime((2024, month, 15, 12, 0, 0, 0, 0, 0)))
        assert COMBINED.fullmatch(combined(replace(ENTRY, time=at)))
