"""The verb `token`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snapproxy.cli import main


@pytest.fixture(autouse=True)
def settings(plain_environment: Path) -> None:
    """No setting of the machine."""


def token(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["token", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_token_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    created = token(capsys, "create", "ci", "--scope", "capture:ci-", "--scope", "read", "--expires", "90d")
    text = created.pop("token")
    assert text.startswith(f"snp-{created['id']}-")
    assert (created["name"], created["scopes"], created["used"]) == ("ci", ["capture:ci-", "read"], None)
    assert token(capsys, "list") == [created]
    assert token(capsys, "show", "ci") == token(capsys, "show", created["id"]) == created
    assert main(["token", "list"]) == 0
    printed = capsys.readouterr().out
    assert "ci" in printed
    assert text[13:] not in printed
    assert token(capsys, "revoke", "ci") == created
    assert token(capsys, "list") == []


@pytest.mark.parametrize(("arguments", "message"), [
    (("create", "ci", "--scope", "write"), 'expected "read", "admin", or "capture:PREFIX"'),
    (("create", "a b", "--scope", "read"), "printable characters without a blank"),
    (("create", "ci"), "--scope"),
])  # fmt: skip
def test_a_mistake_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit):
        main(["token", *arguments])
    assert message in capsys.readouterr().err


def test_an_end_that_is_no_duration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "create", "ci", "--scope", "read", "--expires", "soon"]) == 2
    assert "expected a duration" in capsys.readouterr().err


def test_an_unknown_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "revoke", "ci"]) == 1
    assert "There is no such token" in capsys.readouterr().err
