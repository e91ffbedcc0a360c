"""The verb `when` on the command line: Dockerfiles, lists, images, roots without an archive, and its errors."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from snapproxy.cli import main
from tests.fakes.images import image_of_layers

JUNE = "20240601T000000Z"
NEWER_BASE = """\
FROM debian:bookworm-20240701 AS build
RUN echo 'deb http://snapshot.debian.org/archive/debian/20240601T000000Z bookworm main' > /etc/apt/sources.list

FROM debian:bookworm-20240513-slim
ENV http_proxy=http://20240601T000000Z:x@127.0.0.1:3142

FROM alpine:3.19.1
"""
BUILDINFO = """\
Format: 1.0
Build-Date: Sat, 01 Jun 2024 00:00:00 +0000
Installed-Build-Depends:
 bash (= 5.2.15-2+b7)
"""


def when(subject: Path | str, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    assert main(["when", str(subject), "--json", "--offline", *options]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def tar_of(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "/").replace("_dot_", "."))
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


@pytest.fixture(autouse=True)
def settings(plain_environment: Path) -> None:
    """No setting of the machine."""


@pytest.fixture
def dockerfile(tmp_path: Path) -> Path:
    file = tmp_path / "Dockerfile"
    file.write_text(NEWER_BASE)
    return file


def test_a_base_that_is_newer_than_its_pin_is_a_warning(dockerfile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer, older, unknown = when(dockerfile, capsys)
    assert newer["newer_than_pin"]
    assert (newer["at"], newer["confidence"]) == ("20240701T000000Z", "weak")
    assert any("commonest cause of unmet dependencies" in each for each in newer["warnings"])
    assert any("Dockerfile:1 (stated date, 20240701T000000Z) is newer than Dockerfile:2" in each
               for each in newer["contradictions"])  # fmt: skip
    assert (older["at"], older["confidence"], older["warnings"]) == (JUNE, "exact", [])
    assert older["next"] == f"snapproxy run --at {JUNE} -- docker build ."
    assert (unknown["at"], unknown["confidence"], unknown["next"]) == (None, "unknown", None)
    assert "alpine:3.19.1 contains no date" in unknown["notes"][0]


def test_the_text_has_the_verdict_the_evidence_and_the_next_command(
    dockerfile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["when", str(dockerfile)]) == 0
    text = capsys.readouterr().out
    assert "confidence  exact: an address with a time states it" in text
    assert "made        cannot tell" in text
    assert "warning     The base is newer than the pin" in text
    assert f"Dockerfile:5: pinned address, {JUNE}" in text
    assert f"use         {JUNE}" in text


def test_a_later_stage_has_the_pin_of_the_stage_below(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM debian:bookworm-20240513 AS a\nARG SNAPSHOT=20240601\nFROM a\nRUN true\n")
    assert [each["at"] for each in when(file, capsys)] == [JUNE, JUNE]


def test_a_record_of_a_build_is_an_upper_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.buildinfo"
    file.write_text(BUILDINFO)
    (found,) = when(file, capsys)
    assert (found["kind"], found["earliest"], found["latest"]) == ("list", None, JUNE)
    assert found["confidence"] == "weak"
    assert found["evidence"][0]["line"] == 2


def test_an_image_by_its_history_and_its_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest layer has the sources; the history names the snapshot from which Debian's image was made."""
    old = tar_of(etc__apt__sources_dot_list="deb http://snapshot.debian.org/archive/debian/20240101T000000Z x main\n")
    new = tar_of(etc__apt__sources_dot_list="deb http://ftp.debian.org/debian bookworm main\n")
    history = [{"created": "2024-06-02T00:00:00Z", "created_by": "# debian.sh --arch 'amd64' out/ 'x' '@1717200000'"}]
    image_of_layers(tmp_path / "image", [old, new], created="2024-06-02T00:00:00Z", history=history)
    (found,) = when(tmp_path / "image", capsys)
    assert (found["kind"], found["at"], found["confidence"]) == ("image", JUNE, "good")
    assert [each["kind"] for each in found["evidence"]] == ["address in a comment", "file date"]
    (named,) = when(f"oci:{tmp_path / 'image'}:image", capsys)
    assert named["at"] == JUNE


def test_a_damaged_layer_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image_of_layers(tmp_path / "image", [b"no tar" * 100], created="2024-06-01T00:00:00Z")
    (found,) = when(tmp_path / "image", capsys)
    assert (found["latest"], found["confidence"]) == (JUNE, "weak")
    assert "Layer 1 was not read" in found["notes"][0]


def test_a_root_in_a_folder_and_in_a_tar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tar_of(etc__apk__repositories=f"http://10.0.0.1:3142/alpine/{JUNE}/v3.20/main\n")
    (tmp_path / "root.tar").write_bytes(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(tmp_path / "root", filter="data")
    for subject in ("root.tar", "root"):
        (found,) = when(tmp_path / subject, capsys)
        assert (found["kind"], found["at"], found["confidence"]) == ("root", JUNE, "exact"), subject


def test_a_link_that_the_user_names_is_followed(
    dockerfile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "root.tar").write_bytes(
        tar_of(etc__apk__repositories=f"http://10.0.0.1:3142/alpine/{JUNE}/v3.20/main\n")
    )
    for target, kind in ((dockerfile, "stage"), (tmp_path / "root.tar", "root")):
        link = tmp_path / f"link-{kind}"
        link.symlink_to(target)
        assert when(link, capsys)[0]["kind"] == kind


def test_a_tar_that_is_damaged_is_named_as_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "root.tar").write_bytes(tar_of(a="x" * 2000, b="y" * 2000)[:3000])
    assert main(["when", str(tmp_path / "root.tar")]) == 1
    assert "is damaged" in capsys.readouterr().err


def test_the_text_of_a_file_cannot_control_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Dockerfile").write_bytes(b"FROM x:20240513\nENV SNAPSHOT=20240601 \x1b]0;title\x07=\xff\n")
    assert main(["when", str(tmp_path / "Dockerfile"), "--offline"]) == 0
    assert capsys.readouterr().out.replace("\n", "").isprintable()


def test_an_empty_root_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "root").mkdir()
    (found,) = when(tmp_path / "root", capsys)
    assert (found["confidence"], found["at"], found["evidence"]) == ("unknown", None, [])


@pytest.mark.parametrize(("content", "message"), [
    (None, "The subject does not exist"),
    ("anything\n", "neither a Dockerfile nor a known list"),
    ("FROM a b c d\n", "The Dockerfile cannot be read"),
])  # fmt: skip
def test_a_subject_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "file").write_text(content)
    assert main(["when", str(tmp_path / "file")]) == 1
    assert message in capsys.readouterr().err


def test_an_unknown_archive_is_refused_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["when", "/nonexistent", "--archive", "debiam"]) == 1
    assert "Did you mean debian?" in capsys.readouterr().err
