"""The dates of an image's configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.time_evidence.image_config import read_image_config

CONFIG = {
    "created": "2024-06-01T12:00:01.123456789Z",
    "config": {"Labels": {"org.opencontainers.image.created": "2024-05-31T00:00:00Z",
                          "org.opencontainers.image.base.name": "debian:bookworm-20240513"}},
    "history": [{"created": "2024-05-14T00:00:00Z", "created_by": "# debian.sh 'bookworm' '@1715558400'"},
                {"created_by": "RUN true"}, {"empty_layer": True}],
}  # fmt: skip


def read(value: Any):
    return read_image_config(json.dumps(value).encode())


def test_every_date_is_read() -> None:
    found = read(CONFIG)
    assert found.created is not None
    assert found.created.last == 1717243201
    assert found.labels["org.opencontainers.image.created"].last == 1717113600
    assert found.commands[2] == "RUN true"
    assert found.bases == ("debian:bookworm-20240513",)


@pytest.mark.parametrize("created", ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "yesterday", 5, None, {}])
def test_a_placeholder_is_no_date(created: Any) -> None:
    assert read({**CONFIG, "created": created}).created is None


@pytest.mark.parametrize("member", ["config", "history"])
@pytest.mark.parametrize("value", [None, 5, "x", [5, None, []], {"Labels": 5}])
def test_members_of_other_types_are_left_out(member: str, value: Any) -> None:
    assert read({**CONFIG, member: value}).created is not None


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff"])
def test_other_data_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveDataError):
        read_image_config(data)


def test_the_history_is_limited() -> None:
    assert len(read({"history": [{"created_by": "x"}] * 5000}).commands) == 1000
