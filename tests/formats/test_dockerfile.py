"""Dates in Dockerfiles: tags, variables, addresses, stages."""

from __future__ import annotations

import pytest

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.time_evidence.dockerfile import looks_like_dockerfile, read_dockerfile, tag_date_of

MIDNIGHT = 1715558400  # 2024-05-13
DAY = 86400
TWO_STAGES = b"""\
# syntax=docker/dockerfile:1
ARG SUITE=bookworm
ARG SNAPSHOT=20240601T000000Z
FROM --platform=linux/amd64 debian:${SUITE}-20240513-slim AS Build
ARG SNAPSHOT
RUN echo "deb http://snapshot.debian.org/archive/debian/${SNAPSHOT} $SUITE main" \\
    # a comment within
    > /etc/apt/sources.list
FROM alpine:3.19.1
COPY --from=build /x /x
FROM build
ENV SOURCE_DATE_EPOCH=1717200000
"""


@pytest.mark.parametrize(("image", "first", "last"), [
    ("debian:bookworm-20240513", MIDNIGHT, MIDNIGHT + DAY - 1),
    ("debian:bookworm-20240513-slim@sha256:" + "0" * 64, MIDNIGHT, MIDNIGHT + DAY - 1),
    ("ubuntu:jammy-20240513", MIDNIGHT, MIDNIGHT + DAY - 1),
    ("archlinux:base-20240513.0.123456", MIDNIGHT, MIDNIGHT + DAY - 1),
    ("registry.example:5000/debian:2024-05-13", MIDNIGHT, MIDNIGHT + DAY - 1),
    ("example/x:20240513T000001Z", MIDNIGHT + 1, MIDNIGHT + 1),
])  # fmt: skip
def test_the_date_in_a_tag(image: str, first: int, last: int) -> None:
    found = tag_date_of(image)
    assert found is not None
    assert (found.first, found.last) == (first, last)


@pytest.mark.parametrize("image", [
    "debian", "debian:bookworm", "alpine:3.19.1", "x:20241345", "x:120240513", "20240513/x:latest",
    "localhost:20240513/x", "debian@sha256:2024051300000000000000000000000000000000000000000000000000000000",
])  # fmt: skip
def test_other_names_have_none(image: str) -> None:
    assert tag_date_of(image) is None


def test_stages_variables_and_continued_lines() -> None:
    build, plain, last = read_dockerfile(TWO_STAGES)
    assert (build.name, build.base, build.line) == ("Build", "debian:bookworm-20240513-slim", 4)
    assert build.tag_date is not None
    assert [each.first for each in build.times] == [1717200000]
    run = next(each for each in build.instructions if each.word == "RUN")
    assert "archive/debian/20240601T000000Z $SUITE main" in run.text
    assert run.line == 6
    assert (plain.tag_date, plain.parent) == (None, None)
    assert (last.parent, last.tag_date) == (0, None)
    assert last.epoch is not None
    assert last.epoch.first == 1717200000


@pytest.mark.parametrize(("value", "span"), [
    ("20240513", 1), ("2024-05-13", 1), ("20240513T000000Z", 1), ("1715558400", 1), ("2024/05/13", DAY),
])  # fmt: skip
def test_values_of_a_snapshot_variable(value: str, span: int) -> None:
    (stage,) = read_dockerfile(f"FROM x\nENV DEBIAN_SNAPSHOT={value}\n".encode())
    assert [(each.first, each.last) for each in stage.times] == [(MIDNIGHT, MIDNIGHT + span - 1)]


@pytest.mark.parametrize("line", ["ARG SNAPSHOT", "ARG SNAPSHOT=latest", "ENV VERSION=20240513", 'ARG SNAPSHOT="2024'])
def test_other_variables_have_no_time(line: str) -> None:
    (stage,) = read_dockerfile(f"FROM x\n{line}\n".encode())
    assert stage.times == ()


def test_a_here_document_is_one_instruction_and_a_windows_escape_continues() -> None:
    (stage,) = read_dockerfile(b"# escape=`\nFROM x `\n  AS y\nRUN <<EOF\nFROM nothing\nhttp://a.example\nEOF\nRUN b\n")
    assert stage.name == "y"
    assert [each.word for each in stage.instructions] == ["RUN", "RUN"]
    assert "http://a.example" in stage.instructions[0].text


@pytest.mark.parametrize("line", [
    "RUN echo $((1<<10))", "RUN cat <<<word", "RUN echo 'a << b'", "RUN x <<EOF", "RUN echo a<<b",
])  # fmt: skip
def test_no_here_document_hides_the_next_stage(line: str) -> None:
    """A shift, a here-string and a terminator that is missing begin none."""
    first, second = read_dockerfile(f"FROM x\n{line}\nRUN http://a.example\nFROM y\n".encode())
    assert [each.word for each in first.instructions] == ["RUN", "RUN"]
    assert second.base == "y"


def test_several_here_documents_of_one_instruction() -> None:
    (stage,) = read_dockerfile(b"FROM x\nRUN <<A 3<<-'B'\none\nA\ntwo\n\tB\nRUN c\n")
    assert [each.text.split() for each in stage.instructions] == [["<<A", "3<<-'B'", "one", "two"], ["c"]]


def test_many_here_documents_cost_no_more_than_their_lines() -> None:
    """Without an index of the lines this would compare a billion lines."""
    here = "<<a " * 60_000
    (stage,) = read_dockerfile(f"FROM x\nRUN {here}\n{'b' * 30}\n".encode() + b"RUN y\n" * 19_000)
    assert len(stage.instructions) == 19_001


@pytest.mark.parametrize("data", [
    b"", b"RUN x\n", b"FROM a b c\n", b"FROM x\n" * 300, b"#\n" * 30_000, b"x" * (2 << 20),
])  # fmt: skip
def test_a_file_that_is_none_or_exceeds_a_limit_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveDataError):
        read_dockerfile(data)


def test_all_replaced_text_together_is_limited() -> None:
    longest = f"FROM x\nENV A={'x' * 16_000}\n" + "RUN $A\n" * 300
    with pytest.raises(ArchiveDataError, match="With its variables replaced"):
        read_dockerfile(longest.encode())


def test_variables_do_not_grow_without_a_limit() -> None:
    doubling = "".join(f"ENV A{number}=$A{number - 1}$A{number - 1}\n" for number in range(1, 100))
    (stage,) = read_dockerfile(f"FROM x\nENV A0={'x' * 100}\n{doubling}".encode())
    assert all(len(each.text) <= 16 << 10 for each in stage.instructions)


@pytest.mark.parametrize(("data", "is_one"), [
    (b"# x\n\nFROM debian\n", True), (b"arg A=1\nfrom $A\n", True), (b"Package: FROM x\n", False), (b"", False),
])  # fmt: skip
def test_recognition(data: bytes, is_one: bool) -> None:
    assert looks_like_dockerfile(data) == is_one
