"""Names of places, as in skopeo."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ClientError
from snapproxy.oci.places import LayoutPlace, Reference, TarPlace, TreePlace, is_loopback, read_place, read_reference

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("oci:out", LayoutPlace("out")),
        ("oci:/srv/out:v1", LayoutPlace("/srv/out", "v1")),
        ("oci:out:team/build:2024-06-01", LayoutPlace("out", "team/build:2024-06-01")),
        ("oci-archive:a b.tar", TarPlace("a b.tar")),
        ("oci-archive:out.tar:latest", TarPlace("out.tar", "latest")),
        ("dir:/srv/a:b", TreePlace("/srv/a:b")),
        ("docker://r.example/a/b:v1", Reference("r.example", "a/b", "v1")),
        ("docker://localhost:5000/a", Reference("localhost:5000", "a")),
        ("docker://localhost/a", Reference("localhost", "a")),
        ("docker://[::1]:5000/a", Reference("[::1]:5000", "a")),
        (f"docker://r.example/a@{DIGEST}", Reference("r.example", "a", digest=DIGEST)),
        ("docker://debian", Reference("docker.io", "library/debian")),
        ("docker://debian:12", Reference("docker.io", "library/debian", "12")),
        ("docker://team/image", Reference("docker.io", "team/image")),
        ("docker://index.docker.io/debian", Reference("docker.io", "library/debian")),
        ("docker://docker.io/team/image", Reference("docker.io", "team/image")),
    ],
)
def test_a_place_is_read(text: str, place: object) -> None:
    assert read_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "out",
        "out.tar",
        "oci:",
        "oci::v1",
        "oci:out:",
        "oci:out:-v1",
        "oci:C:/out",
        "oci:out:a b",
        "oci-archive:",
        "dir:",
        "dir:a\0b",
        "docker:r.example/a",
        "docker://",
        "docker:///a",
        "docker://r.example/",
        "docker://r.example/A",
        "docker://r.example/a//b",
        "docker://r.example/../b",
        "docker://r.example/a__.b",
        "docker://r.example/a:" + "v" * 129,
        "docker://r.example/a:",
        "docker://r.example/a@",
        "docker://r.example/a@sha256:" + "A" * 64,
        "docker://r.example/a@sha512:" + "a" * 128,
        f"docker://r.example/a:v1@{DIGEST}",
        "docker://r.example:0/a",
        "docker://r.example:65536/a",
        "docker://user:pw@r.example/a",
        "docker://[::z]:5000/a",
        "docker://-r.example/a",
        "docker://r.example/" + "a" * 250,
        "containers-storage:a",
        "http://r.example/a",
    ],
)
def test_an_invalid_place_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(ClientError) as refused:
        read_place(text)
    assert "oci-archive:FILE.tar" in refused.value.hint
    assert len(refused.value.reason) <= 80


def test_docker_hub_has_another_api_host() -> None:
    assert read_reference("debian").api_host == "registry-1.docker.io"
    assert read_reference("r.example:5000/a").api_host == "r.example:5000"


def test_the_default_tag_is_latest() -> None:
    assert (read_reference("r.example/a").version, read_reference(f"r.example/a@{DIGEST}").version) == (
        "latest",
        DIGEST,
    )
    assert read_reference(f"r.example/a@{DIGEST}").name == f"r.example/a@{DIGEST}"


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:5000", "127.0.0.1", "127.8.9.1:80", "[::1]:5000", "a.localhost"]
)
def test_loopback_hosts_are_recognized(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.org", "10.0.0.1", "[::2]", "127.0.0.1.example.org", "r.example"])
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


_PART = st.from_regex(r"[a-z0-9]+(?:[._-][a-z0-9]+)?", fullmatch=True)


@given(
    st.sampled_from(["r.example", "localhost:5000", "[::1]:5000"]),
    st.lists(_PART, min_size=1, max_size=3),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
)
def test_a_written_name_can_be_read(registry: str, parts: list[str], tag: str) -> None:
    place = Reference(registry, "/".join(parts), tag)
    assert read_place(str(place)) == place


@given(st.text(max_size=80))
def test_reading_is_total(text: str) -> None:
    for prefix in ("", "oci:", "oci-archive:", "docker://", "dir:"):
        try:
            place = read_place(prefix + text)
        except ClientError:
            continue
        assert str(read_place(str(place))) == str(place)
