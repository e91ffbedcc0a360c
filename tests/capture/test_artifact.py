"""An artifact depends on its record alone, and can be read back to the same record."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.capture import artifact
from snapproxy.capture.artifact import ARTIFACT_TYPE, FILE_TYPE, ArtifactPlan, describe, lock_layer, restore, title_of
from snapproxy.capture.lock import MEDIA_TYPE, digest, encode
from snapproxy.core.model import Role
from snapproxy.core.record import Record
from snapproxy.errors import RecordError
from snapproxy.jobs.pack import layers_of_plan
from snapproxy.oci.manifests import Descriptor
from tests.capture.records import CURL, DUMP, content, entry, example, no_deadline, records


def layers_of(described: ArtifactPlan) -> list[Descriptor]:
    return [layer for layers in layers_of_plan(described) for layer in layers]


def layer(title: str, media_type: str, size: int, sha256: str) -> Descriptor:
    return Descriptor(media_type, f"sha256:{sha256}", size, annotations={artifact.TITLE: title} if title else {})


def only_debian() -> Record:
    entries = tuple(each for each in example().entries if each.archive == "debian")
    return Record(entries, {"debian": "apt"})


def test_the_lock_comes_first_then_a_layer_a_file_by_title() -> None:
    described = describe(example())
    (layers,) = layers_of_plan(described)
    assert layers[0] == layer("snapproxy.lock.json", MEDIA_TYPE, len(described.lock), digest(example()))
    assert described.lock == encode(example())
    assert layers[-1] == layer(f"debian/{DUMP}/{CURL}", FILE_TYPE, 315_000, content(CURL))
    assert [title_of(each) for each in layers[1:]] == sorted(title_of(each) for each in layers[1:])
    assert len(layers) == 1 + 5
    assert described.annotations == {}


def test_types_are_none_that_a_runtime_would_unpack() -> None:
    types = {ARTIFACT_TYPE, *(each.media_type for each in layers_of(describe(example())))}
    assert not any(kind.startswith(("application/vnd.oci.", "application/vnd.android")) for kind in types)


def test_a_time_comes_from_source_date_epoch_alone() -> None:
    assert describe(example(), created=0).annotations == {"org.opencontainers.image.created": "1970-01-01T00:00:00Z"}
    assert describe(example(), created=0).manifests == describe(example()).manifests


def test_bare_titles_are_paths_of_the_repository() -> None:
    titles = [title_of(each) for each in layers_of(describe(only_debian(), bare=True))]
    assert titles[1:] == ["dists/bookworm/InRelease", "dists/bookworm/main/binary-amd64/Packages.xz", CURL]
    with pytest.raises(RecordError, match=r"one archive(.|\n)*archlinux, debian"):
        describe(example(), bare=True)


def test_a_services_answer_is_carried_under_its_digest() -> None:
    call = entry("/mr/binary/curl/", Role.OTHER, requested="always", snapshot="ab12", text="said")
    record = Record((call,), {"debian": "apt"})
    (plain,), (bare,) = (layers_of(describe(record, bare=each))[1:] for each in (False, True))
    assert (title_of(plain), title_of(bare)) == (f"debian/service/{content('said')}", f"service/{content('said')}")


def test_bare_titles_hold_one_time_only() -> None:
    later = {"requested": "20240701T000000Z", "snapshot": "20240630T210000Z", "text": "later"}
    record = Record((entry("a/InRelease", Role.ROOT), entry("a/InRelease", Role.ROOT, **later)), {"debian": "apt"})
    assert len(layers_of(describe(record))) == 3
    with pytest.raises(RecordError, match="is repeated"):
        describe(record, bare=True)


def test_a_file_that_is_called_like_the_lock_cannot_be_bare() -> None:
    record = Record((entry("snapproxy.lock.json", Role.OTHER),), {"debian": "apt"})
    with pytest.raises(RecordError, match="is repeated"):
        describe(record, bare=True)


def test_every_name_of_one_content_has_its_layer() -> None:
    """Plain readers thus find all of them; in a registry they are one blob."""
    twins = [entry(f"dists/{suite}/InRelease", Role.ROOT, text="same") for suite in ("bookworm", "stable")]
    layers = layers_of(describe(Record(tuple(twins), {"debian": "apt"})))
    assert [title_of(each).split("/")[3] for each in layers[1:]] == ["bookworm", "stable"]
    assert len({each.digest for each in layers[1:]}) == 1


@no_deadline
@given(record=records(), shuffler=st.randoms())
def test_any_record_comes_back_whatever_its_order(record: Record, shuffler: Random) -> None:
    try:
        described = describe(record)
    except RecordError as error:
        # the two errors that a record may contain
        assert "two contents" in error.reason or "one folder" in error.reason  # noqa: PT017
        return
    mixed = list(record.entries)
    shuffler.shuffle(mixed)
    assert describe(replace(record, entries=tuple(mixed))) == described
    assert restore(layers_of(described), described.lock) == record


def test_large_records_are_dealt_out_to_several_manifests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "MOST_LAYERS", 3)
    described = describe(example())
    assert [len(layers) for layers in layers_of_plan(described)] == [3, 3]
    assert layers_of(described)[0].media_type == MEDIA_TYPE
    assert restore(layers_of(described), described.lock) == example()


def test_long_names_fill_a_manifest_sooner() -> None:
    """Every written manifest is within the size limit of readers."""
    names = [f"{number:04}/{'é' * 1000}/{'x' * 90}" for number in range(2500)]
    described = describe(Record(tuple(entry(name, Role.OTHER) for name in names), {"debian": "apt"}))
    assert len(described.manifests) > 1
    for layers in layers_of_plan(described):
        written = [each.value() for each in layers]
        assert len(json.dumps(written, ensure_ascii=False).encode()) < 4_000_000


def test_what_is_not_known_is_ignored() -> None:
    described = describe(example())
    strange = [
        layer("", "application/vnd.example", 3, "ab" * 32),
        layer("notes/readme.txt", "text/plain", 1, "cd" * 32),
    ]
    assert restore([*strange, *reversed(layers_of(described))], described.lock) == example()


BAD_TITLES = ["../x", "/etc/passwd", "a/../b", "a//b", "a/", "a\\b", "a\nb", "snapproxy.lock.json", f"debian/{DUMP}"]


@pytest.mark.parametrize("title", BAD_TITLES)
def test_titles_that_escape_or_repeat_are_refused(title: str) -> None:
    described = describe(example())
    with pytest.raises(RecordError, match="do not fit into one folder"):
        restore([*layers_of(described), layer(title, "text/plain", 1, "cd" * 32)], described.lock)


def test_each_file_of_the_lock_needs_its_layer() -> None:
    described = describe(example())
    layers = layers_of(described)
    for spoilt in (
        layers[:-1],
        [*layers[:-1], replace(layers[-1], size=1)],
        [*layers[:-1], replace(layers[-1], digest=f"sha256:{'0' * 64}")],
    ):
        with pytest.raises(RecordError) as caught:
            restore(spoilt, described.lock)
        assert (
            caught.value.why
            == f"No layer has sha256 {content(CURL)} and 315000 bytes, which 'debian/{DUMP}/{CURL}' needs."
        )


def test_another_lock_than_the_layers_name_is_refused() -> None:
    described = describe(example())
    other = encode(only_debian())
    with pytest.raises(RecordError, match=rf"sha256 {sha256(described.lock).hexdigest()}; its bytes have another one"):
        restore(layers_of(described), other)


def test_an_artifact_has_one_lock() -> None:
    layers = layers_of(describe(example()))
    with pytest.raises(RecordError, match="0 of its layers"):
        lock_layer(layers[1:])
    with pytest.raises(RecordError, match="2 of its layers"):
        lock_layer([*layers, replace(layers[0], digest=f"sha256:{'0' * 64}")])
