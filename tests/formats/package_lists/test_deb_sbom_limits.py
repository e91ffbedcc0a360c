"""Limits of the readers of Debian lists, SBOMs and builds: size, entries, depth, hostile texts, wrong types."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snapproxy.formats import strict_json
from snapproxy.formats.package_lists import (
    debian_buildinfo,
    debootsnap,
    documents,
    dpkg_list,
    dpkg_status,
    mkosi_manifest,
    provenance,
    rules_distroless,
    sbom,
    spdx,
    text_lines,
)
from snapproxy.formats.package_lists.known import read_list
from snapproxy.formats.package_lists.model import MOST_ENTRIES
from tests.fakes.deb_sbom_lists import CONTENTS, FORMAT_OF
from tests.fakes.rpm_apk_arch_lists import accepts, own_format, refusal

SIZED = (debian_buildinfo, documents, dpkg_status, spdx, text_lines)
COUNTED = (
    *(debian_buildinfo, debootsnap, dpkg_list, dpkg_status, mkosi_manifest),
    *(provenance, rules_distroless, sbom, text_lines),
)
DOCUMENTS = sorted(name for name in CONTENTS if "json" in name or "manifest" in name)
MEMBERS = (b"bomFormat", b"spdxVersion", b"artifacts", b"manifest_version", b"sha256", b"materials")


@pytest.mark.parametrize("name", CONTENTS)
def test_a_reader_limits_the_size(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = own_format(CONTENTS[name])
    for module in SIZED:
        monkeypatch.setattr(module, "LARGEST", len(CONTENTS[name]))
    assert accepts(own, CONTENTS[name])
    assert not accepts(own, CONTENTS[name] + b"\n")


@pytest.mark.parametrize("name", CONTENTS)
def test_a_reader_limits_the_number_of_entries(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = CONTENTS[name]
    own = own_format(data)
    assert own.name == FORMAT_OF[name]
    for module in COUNTED:
        monkeypatch.setattr(module, "MOST_ENTRIES", 0)
    assert not accepts(own, data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"hello\t1\n" * 300_000, "line 200001: It has more than 200000 lines."),
        (b"hello=1," * 300_000, "It has characters beyond ASCII, or more than 200000 commas."),
        (b"hello=1 ,\n" * 150_000 + b"hello=1\n" * 150_000, "line 200001: It has more than 200000 packages."),
        (b"0" * 64 + b" a_1_all.deb\n" + b"#\n" * 300_000, "line 200001: It has more than 200000 lines."),
        (CONTENTS["dpkg/list.txt"] + b"ii  hello 1 all x\n" * 300_000, "It has more than 200000 lines."),
        (CONTENTS["dpkg/status.d"] * 101_000, "It has more than 200000 packages."),
        (b"\n" * 2_000_001, "It has more than 2000000 lines."),
    ],
)
def test_hundreds_of_thousands_of_lines_are_too_many(data: bytes, why: str) -> None:
    assert MOST_ENTRIES == 200_000
    assert why in str(refusal(data))


@pytest.mark.parametrize("word", MEMBERS)
@pytest.mark.parametrize(
    "form",
    [
        b'{"%s": ' + b"[" * 100_000,
        b'{"%s": ' + b'{"a": ' * 100_000,
        b'{"%s": ' + b"9" * 5000 + b"}",
        b'{"%s": [' + b"{}," * 2_000_000 + b"{}]}",
        b'{"%s": [' + b"0," * 3_000_001 + b"0]}",
        b'{"%s": "\\ud800"}',
        b'{"%s": 1e999999}',
        b'{"%s": NaN}',
        b'{"%s": "\xff"}',
    ],
    ids=lambda form: f"{form[:14]!r} {len(form)}",
)
def test_deep_and_large_documents_are_refused(word: bytes, form: bytes) -> None:
    refusal(form.replace(b"%s", word, 1))


@pytest.mark.parametrize(
    "data",
    [
        b"a" + b"-" * 4000 + b"=1" + b"-" * 4000 + b"!",
        b"'" * 4095 + b"\n",
        b"hello=" + b"1" * 5000,
        b"hello=" + b"1-" * 1000 + b"!",
        b"Package: hello\n" + b"A:\n" * 100_000,
        b"Package: " + b"x" * (2 << 20),
        b"Package: a\nVersion: 1\nArchitecture: all\nDescription: x\n" + b" x\n" * (6 << 20),
        b"x\nInstalled-Build-Depends:" + b" a," * 300_000,
        b"Format: 1\nInstalled-Build-Depends:" + b" " * 1_000_000,
        b"Desired=Unknown/Install/Remove/Purge/Hold\n+++-\n" + b"ii " + b" " * 1_000_000,
        b"SPDXVersion: SPDX-2.3\n" + b"a" * 1_000_000,
        b"0" * 64 + b" " + b"a-" * 2000 + b".rpm",
        b"0" * 64 + b" " + b"1-" * 2000 + b".apk",
        b"0" * 64 + b" " + b"a-" * 1900 + b"!.pkg.tar.zst",
        b"0" * 64 + b" " + b"a_" * 1900 + b".deb",
    ],
    ids=lambda data: f"{data[:20]!r} {len(data)}",
)
def test_hostile_texts_are_refused(data: bytes) -> None:
    refusal(data)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every value in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, below in inner for each in paths(below, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = replaced(value[path[0]], path[1:], new)
    return copied


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("new", [None, True, -1, 1.5, 10**400, "", "a\0b", "\ud800", [], ["x"], {}, {"x": "y"}])
def test_a_value_of_another_type(name: str, new: Any) -> None:
    document = json.loads(CONTENTS[name])
    own = own_format(CONTENTS[name])
    for path in paths(document):
        accepts(own, json.dumps(replaced(document, path, new)).encode())


@pytest.mark.parametrize(
    ("name", "path", "new", "place"),
    [
        ("mkosi/arch.manifest", ("manifest_version",), 2, "manifest_version"),
        ("mkosi/arch.manifest", ("packages", 0, "type"), "apk", "packages[0].type"),
        ("mkosi/arch.manifest", ("packages", 0, "type"), [], "packages[0].type"),
        ("mkosi/arch.manifest", ("packages", 0, "version"), "2024", "packages[0]"),
        ("mkosi/arch.manifest", ("packages", 1), "openssl", "packages[1]"),
        ("mkosi/arch.manifest", ("config", "distribution"), "a/b", "config.distribution"),
        ("mkosi/fedora.manifest", ("packages", 2, "version"), "2:4.15", "packages[2]"),
        ("mkosi/fedora.manifest", ("packages", 2, "architecture"), None, "packages[2].architecture"),
        ("rules-distroless/v1.lock.json", ("version",), 2, "version"),
        ("rules-distroless/v1.lock.json", ("packages", 1, "url"), "https://e/%ff", "packages[1].url"),
        ("rules-distroless/v1.lock.json", ("packages", 3, "urls"), [], "packages[3]"),
        ("rules-distroless/v1.lock.json", ("packages", 1, "sha256"), "ab", "packages[1].sha256"),
        ("rules-distroless/v1.lock.json", ("packages", 1, "name"), "A", "packages[1]"),
        ("rules-distroless/v2.lock.json", ("version",), 3, "version"),
        ("rules-distroless/v2.lock.json", ("sources", "bookworm", "uris"), "x", "sources.bookworm.uris"),
        ("rules-distroless/v2.lock.json", ("sources", "bookworm"), None, "sources.bookworm"),
        ("syft/image.syft.json", ("artifacts", 0, "type"), None, "artifacts[0].type"),
        ("syft/image.syft.json", ("artifacts", 0, "metadata"), 7, "artifacts[0].metadata"),
        ("syft/image.syft.json", ("artifacts", 0, "version"), "a b", "artifacts[0].version"),
        ("syft/image.cdx.json", ("components",), {}, "components"),
        ("syft/image.cdx.json", ("components", 1, "purl"), 7, "components[1].purl"),
        ("syft/image.cdx.json", ("components", 1, "properties", 0), 7, "components[1].properties[0]"),
        ("trivy/image.cdx.json", ("components", 1, "hashes", 0), {"alg": "MD5"}, "components[1].hashes[0].content"),
        ("syft/image.spdx.json", ("packages",), {}, "packages"),
        ("syft/image.spdx.json", ("packages", 0, "externalRefs", 0), 7, "packages[0].externalRefs[0]"),
        ("syft/image.spdx.json", ("creationInfo", "creators"), "x", "creationInfo.creators"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(name: str, path: tuple[Any, ...], new: Any, place: str) -> None:
    refused = refusal(json.dumps(replaced(json.loads(CONTENTS[name]), path, new)).encode())
    assert (refused.place, refused.is_recognised) == (place, True)


@pytest.mark.parametrize(
    ("name", "old", "new", "place"),
    [
        ("mkosi/arch.manifest", '"name": "openssl"', '"name": "a", "name": "b"', "packages[1].name"),
        ("syft/image.cdx.json", '"name": "libstdc++6"', '"name": "a", "name": "b"', "components[1].name"),
        ("syft/image.spdx.json", '"name": "bash"', '"name": "a", "name": "b"', "packages[0].name"),
        ("syft/image.syft.json", '"name": "musl"', '"name": "a", "name": "b"', "artifacts[0].name"),
        ("rules-distroless/v1.lock.json", '"name": "ncurses-base"', '"name": "a", "name": "b"', "packages[0].name"),
    ],
)
def test_a_repeated_key_is_named(name: str, old: str, new: str, place: str) -> None:
    refused = refusal(CONTENTS[name].replace(old.encode(), new.encode()))
    assert (refused.place, refused.problem, refused.is_recognised) == (place, "The key occurs twice.", True)


def test_a_material_with_a_wrong_digest_is_named() -> None:
    document = json.loads(CONTENTS["buildkit/slsa-v0.2.json"])["predicate"]
    for new, place in (("ab", "materials[2].digest.sha256"), (7, "materials[2].digest.sha256")):
        refused = refusal(json.dumps(replaced(document, ("materials", 2, "digest", "sha256"), new)).encode())
        assert (refused.place, refused.is_recognised) == (place, True)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_parsed_by_its_own_reader_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bill of materials has many megabytes. An envelope is opened by each of the readers before its own."""
    parsed: list[bytes] = []
    parse = strict_json.parse
    monkeypatch.setattr(strict_json, "parse", lambda data: parsed.append(data) or parse(data))
    read_list(CONTENTS[name])
    assert len([data for data in parsed if b'"payloadType"' not in data]) == 1
