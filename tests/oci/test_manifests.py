"""Manifests as values: canonical bytes, strict parsing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.canonical_json import canonical
from snapproxy.formats.strict_json import read_object
from snapproxy.oci.manifests import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    EMPTY_CONFIG,
    INDEX,
    LIMIT,
    MANIFEST,
    Descriptor,
    ImageIndex,
    Manifest,
    ManifestDocument,
    digest_of,
)

LAYER = Descriptor("application/octet-stream", digest_of(b"abc"), 3, annotations={"b": "ü", "a": "1"})
MANIFEST_VALUE = Manifest((LAYER,), "application/vnd.example").value()


def document(value: Any, media_type: str = "") -> ManifestDocument:
    return ManifestDocument(media_type, json.dumps(value).encode())


def test_a_manifest_has_one_canonical_form() -> None:
    assert (
        Manifest((LAYER,), "application/vnd.example").document().data
        == (
            '{"artifactType":"application/vnd.example",'
            '"config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",'
            '"mediaType":"application/vnd.oci.empty.v1+json","size":2},'
            '"layers":[{"annotations":{"a":"1","b":"ü"},'
            '"digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",'
            '"mediaType":"application/octet-stream","size":3}],'
            '"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}'
        ).encode()
    )


def test_the_order_of_annotations_changes_nothing() -> None:
    one = Manifest((LAYER,), annotations={"x": "1", "y": "2"}).document()
    other = Manifest((LAYER,), annotations={"y": "2", "x": "1"}).document()
    assert one.digest == other.digest


def test_empty_members_are_omitted() -> None:
    assert set(Manifest((LAYER,)).value()) == {"schemaVersion", "mediaType", "config", "layers"}
    assert set(Descriptor(MANIFEST, EMPTY_CONFIG.digest, 2).value()) == {"mediaType", "digest", "size"}


def test_a_referrer_is_described_by_its_type_and_all_its_annotations() -> None:
    manifest = Manifest((LAYER,), "application/vnd.example", subject=LAYER, annotations={"a": "b"})
    found = manifest.document().referrer
    assert (found.artifact_type, found.annotations) == ("application/vnd.example", {"a": "b"})
    image = Manifest((LAYER,), config=Descriptor("application/vnd.oci.image.config.v1+json", digest_of(b"c"), 1))
    assert image.document().referrer.artifact_type == "application/vnd.oci.image.config.v1+json"


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
_DESCRIPTORS = st.builds(
    Descriptor,
    st.sampled_from([MANIFEST, "application/octet-stream"]),
    st.binary().map(digest_of),
    st.integers(0, 1 << 50),
    st.sampled_from(["", "application/vnd.example"]),
    st.dictionaries(_TEXT, _TEXT, max_size=3),
    st.sampled_from([{}, {"os": "linux", "os.features": ("a", "b")}]),
    st.sampled_from([(), ("https://example.org/a",)]),
    st.sampled_from(["", "e30="]),
)


@given(st.lists(_DESCRIPTORS, max_size=3), st.none() | _DESCRIPTORS)
def test_a_written_manifest_can_be_read(found: list[Descriptor], subject: Descriptor | None) -> None:
    for value in (
        Manifest(tuple(found), "application/vnd.example", subject=subject),
        ImageIndex(tuple(found), subject=subject),
    ):
        assert value.document().read() == value


@pytest.mark.parametrize("media_type", [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX, ""])
@given(
    st.binary(max_size=60) | st.recursive(st.none() | st.integers() | _TEXT, st.lists).map(lambda v: repr(v).encode())
)
def test_reading_raises_only_archive_data_errors(media_type: str, data: bytes) -> None:
    with pytest.raises(ArchiveDataError):
        ManifestDocument(media_type, data).read()


def test_types_of_docker_are_read_and_a_type_may_be_stated_outside_only() -> None:
    assert document(MANIFEST_VALUE | {"mediaType": DOCKER_MANIFEST}).read().media_type == DOCKER_MANIFEST
    bare = {name: each for name, each in MANIFEST_VALUE.items() if name != "mediaType"}
    assert document(bare, MANIFEST).read().media_type == MANIFEST


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": 1},
        {"schemaVersion": 3},
        {"schemaVersion": True},
        {"schemaVersion": None},
        {"mediaType": "application/vnd.oci.image.manifest.v2+json"},
        {"mediaType": INDEX},
        {"mediaType": 7},
        {"manifests": []},
        {"layers": {}},
        {"layers": [1]},
        {"config": None},
        {"annotations": []},
        {"annotations": {"a": 1}},
        {"artifactType": ["a"]},
        {"subject": "sha256:00"},
    ],
)
def test_a_manifest_that_breaks_the_format_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ArchiveDataError):
        document(MANIFEST_VALUE | change).read()


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "sha512:" + "0" * 128},
        {"digest": "blake3:" + "0" * 64},
        {"digest": "sha256:../../../etc/passwd"},
        {"digest": "SHA256:" + "0" * 64},
        {"digest": "0" * 64},
        {"size": -1},
        {"size": 3.0},
        {"size": 1 << 51},
        {"size": True},
        {"size": "3"},
        {"mediaType": ""},
        {"mediaType": "text"},
        {"data": "%"},
        {"urls": [1]},
        {"platform": []},
        {"platform": {"os": 1}},
        {"platform": {"os.features": [1]}},
    ],
)
def test_a_descriptor_that_breaks_the_format_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ArchiveDataError):
        document(MANIFEST_VALUE | {"layers": [LAYER.value() | change]}).read()


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '{"a":1.5}',
        '{"a":1e3}',
        '{"a":NaN}',
        '{"a":9007199254740992}',
        '{"a":' + "9" * 5000 + "}",
        '{"a":"\\ud800"}',
        "[" * 100_000,
        "[]",
        '"a"',
        '{"a":1} x',
        "\ufeff{}",
    ],
)
def test_json_that_readers_differ_on_is_refused(text: str) -> None:
    with pytest.raises(ArchiveDataError):
        read_object(text.encode(), "The manifest")


@pytest.mark.parametrize("value", [1.5, {1: "a"}, {"a": {1.0}}, [1 << 53], [-(1 << 53)], b"a"])
def test_a_value_without_a_canonical_form_is_not_written(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)


def test_a_manifest_over_4_mib_is_neither_written_nor_read() -> None:
    layers = tuple(Descriptor("a/b", digest_of(b"%d" % number), 1) for number in range(40_000))
    with pytest.raises(ArchiveDataError, match="4 MiB"):
        Manifest(layers).document()
    with pytest.raises(ArchiveDataError, match="4 MiB"):
        ManifestDocument(MANIFEST, b" " * (LIMIT + 1)).read()
