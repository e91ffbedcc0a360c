"""An archive that demands a login: downloads with its credentials, and what the client is told without them."""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.core.model import Archive
from tests.fakes.faults import Redirect
from tests.fakes.hamlet import FIRST, INRELEASE, Hamlet, content_of
from tests.fakes.house import House

MakeHouse = Callable[..., Awaitable[House]]
HEADER = "Basic " + base64.b64encode(b"ann:s3cret").decode()


@pytest.fixture
def secret(hamlet: Hamlet, tmp_path: Path) -> Path:
    """Both servers demand the login that this file has."""
    hamlet.past.authorization = hamlet.now.authorization = HEADER
    file = tmp_path / "debian.auth"
    file.write_text("basic ann:s3cret\n", encoding="utf-8")
    file.chmod(0o600)
    return file


def row(hamlet: Hamlet, secret: Path) -> Archive:
    return replace(hamlet.row, credentials=f"file:{secret}", credentials_over_http=True)


async def test_timeline_root_and_package_are_downloaded_with_the_credentials(
    make_house: MakeHouse, hamlet: Hamlet, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    house = await make_house(rows=(row(hamlet, secret),))
    assert (await house.get(FIRST, INRELEASE)).proof == "gpg"
    assert (await house.get(FIRST, hamlet.edition.kept.path)).data == content_of(hamlet.edition.kept).data
    assert (await house.get("live", INRELEASE)).status == 200
    assert {each.headers.get("authorization") for each in hamlet.log.entries} == {HEADER}
    assert "s3cret" not in caplog.text
    assert HEADER.split()[1] not in caplog.text


async def test_another_archive_at_the_same_servers_is_refused(
    make_house: MakeHouse, hamlet: Hamlet, secret: Path
) -> None:
    house = await make_house(rows=(row(hamlet, secret), replace(hamlet.row, name="guest")))
    assert (await house.get("live", INRELEASE)).status == 200
    hamlet.log.reset_counts()
    refusal = (await house.get("live", INRELEASE, row=1)).refusal
    assert refusal.reason == "Upstream refuses access to this file (401)"
    assert "set `credentials` in [archives.guest]" in refusal.hint
    assert {each.headers.get("authorization") for each in hamlet.log.entries} == {None}


async def test_a_wrong_login_is_a_refusal_that_names_the_setting(
    make_house: MakeHouse, hamlet: Hamlet, secret: Path
) -> None:
    secret.write_text("basic ann:wr0ng\n", encoding="utf-8")
    house = await make_house(rows=(row(hamlet, secret),))
    assert (
        await house.get("live", INRELEASE)
    ).refusal.reason == "Upstream refuses the login (401): see `credentials` of debian"
    for when in (FIRST, "live"):
        refusal = (await house.get(when, INRELEASE)).refusal
        text = f"{refusal.reason}\n{refusal.why}\n{refusal.hint}"
        assert refusal.status == 424
        assert f'[archives.debian] credentials = "file:{secret}"' in text
        assert "401" in text
        assert "wr0ng" not in text


async def test_a_file_that_others_can_read_is_refused_before_any_request(
    make_house: MakeHouse, hamlet: Hamlet, secret: Path
) -> None:
    secret.chmod(0o644)
    house = await make_house(rows=(row(hamlet, secret),))
    refusal = (await house.get("live", INRELEASE)).refusal
    assert refusal.reason == "The credentials file cannot be used: archive debian"
    assert f"chmod o-rw {secret}" in refusal.why
    assert hamlet.log.entries == []
    secret.chmod(0o640)
    house.clock.leap(60)  # beyond the interval in which a root is not requested again
    assert (await house.get("live", INRELEASE)).status == 200


async def test_a_redirect_to_another_server_does_not_take_them_along(
    make_house: MakeHouse, hamlet: Hamlet, secret: Path
) -> None:
    """The archive allows the redirect, but the login is for the server that was requested alone."""
    hamlet.now.fault("*/InRelease", Redirect(f"{hamlet.past.url}/thief/InRelease"))
    house = await make_house(rows=(row(hamlet, secret),))
    await house.get("live", INRELEASE)
    stolen = [each for each in hamlet.log.entries if "/thief/" in each.path]
    assert stolen
    assert all("authorization" not in each.headers for each in stolen)


async def test_a_login_that_ends_leaves_the_stored_state_and_the_log_names_the_cause_once(
    make_house: MakeHouse, hamlet: Hamlet, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = await make_house(rows=(row(hamlet, secret),))
    assert (await house.get("live", INRELEASE)).stale == ""
    secret.write_text("basic ann:wr0ng\n", encoding="utf-8")
    for _ in range(2):
        house.clock.leap(60)
        assert (await house.get("live", INRELEASE)).stale
    lines = [record.getMessage() for record in caplog.records if "it refuses access" in record.getMessage()]
    assert len(lines) == 1
    assert f'[archives.debian] credentials = "file:{secret}"' in lines[0]
    assert "wr0ng" not in caplog.text
