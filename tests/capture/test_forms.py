"""The other formats of a record: each is valid for its format's library, and agrees with the record."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf.json_format import Parse
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from snapproxy.capture import cyclonedx, intoto, sha256sums, spdx
from snapproxy.capture.lock import digest
from snapproxy.core.model import Role
from snapproxy.core.record import Record
from snapproxy.errors import RecordError
from tests.capture.records import CURL, DUMP, content, entry, example

EPOCH = 1_717_200_000
GTK = "gtk-doc-1:1.33-1-any.pkg.tar.zst"
FORMS: dict[str, Callable[[Record], bytes]] = {
    "cyclonedx": cyclonedx.write,
    "intoto": intoto.write,
    "sha256sums": sha256sums.of_packages,
    "sha256sums-titled": sha256sums.of_titles,
    "spdx": spdx.write,
}


@pytest.mark.parametrize("form", FORMS)
def test_any_order_gives_the_same_bytes(form: str) -> None:
    record = example()
    assert FORMS[form](replace(record, entries=record.entries[::-1])) == FORMS[form](record)


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_record_has_every_form(form: str) -> None:
    FORMS[form](Record((), {}))


@pytest.mark.parametrize("record", [example(), Record((), {})], ids=["example", "empty"])
@pytest.mark.parametrize("created", [None, EPOCH])
def test_cyclonedx_is_valid_1_6(record: Record, created: int | None) -> None:
    faults = JsonStrictValidator(SchemaVersion.V1_6).validate_str(cyclonedx.write(record, created).decode())
    assert faults is None


def test_cyclonedx_tells_packages_from_files() -> None:
    bill = json.loads(cyclonedx.write(example(), EPOCH))
    assert bill["metadata"]["timestamp"] == "2024-06-01T00:00:00Z"
    assert bill["metadata"]["properties"] == [
        {"name": "snapproxy:lock", "value": f"sha256:{digest(example())}"},
        {"name": "snapproxy:unpinned", "value": "::1"},
        {"name": "snapproxy:unpinned", "value": "github.com"},
    ]
    parts = {part["bom-ref"]: part for part in bill["components"]}
    curl, root = parts[f"debian/{DUMP}/{CURL}"], parts[f"debian/{DUMP}/dists/bookworm/InRelease"]
    assert (curl["type"], curl["name"], curl["version"]) == ("library", "curl", "7.88.1-10+deb12u5")
    assert curl["purl"] == "pkg:deb/debian/curl@7.88.1-10%2Bdeb12u5?arch=amd64"
    assert curl["hashes"] == [{"alg": "SHA-256", "content": content(CURL)}]
    assert (root["type"], "purl" in root) == ("file", False)
    assert {"name": "snapproxy:proof", "value": "gpg"} in root["properties"]
    assert "timestamp" not in json.loads(cyclonedx.write(example()))["metadata"]


@pytest.mark.parametrize("created", [None, EPOCH])
def test_spdx_is_valid_2_3(created: int | None) -> None:
    document = JsonLikeDictParser().parse(json.loads(spdx.write(example(), created)))
    assert validate_full_spdx_document(document) == []


def test_spdx_tells_packages_from_files() -> None:
    bill = json.loads(spdx.write(example(), EPOCH))
    assert bill["creationInfo"]["created"] == "2024-06-01T00:00:00Z"
    assert bill["comment"].endswith("without a record of their files: ::1, github.com.")
    (curl,) = (part for part in bill["packages"] if part["name"] == "curl")
    assert curl["versionInfo"] == "7.88.1-10+deb12u5"
    assert curl["packageFileName"] == CURL
    assert curl["checksums"] == [{"algorithm": "SHA256", "checksumValue": content(CURL)}]
    assert curl["externalRefs"][0]["referenceLocator"] == "pkg:deb/debian/curl@7.88.1-10%2Bdeb12u5?arch=amd64"
    assert [part["primaryPackagePurpose"] for part in bill["packages"]] == [
        "FILE",
        "INSTALL",
        "FILE",
        "FILE",
        "INSTALL",
    ]


def test_an_spdx_document_has_a_name_space_of_its_own() -> None:
    smaller = replace(example(), unpinned=frozenset())
    documents = [spdx.write(example()), spdx.write(example(), EPOCH), spdx.write(smaller)]
    spaces = {json.loads(document)["documentNamespace"] for document in documents}
    assert len(spaces) == 3
    assert json.loads(documents[0])["creationInfo"]["created"] == "1970-01-01T00:00:00Z"


def test_the_statement_is_in_totos_and_claims_no_builder() -> None:
    data = intoto.write(example())
    message = Parse(data, StatementMessage())
    Statement.copy_from_pb(message).validate()
    statement: dict[str, Any] = json.loads(data)
    assert statement["subject"] == [{"digest": {"sha256": digest(example())}, "name": "snapproxy.lock.json"}]
    assert set(statement["predicate"]) == {"resolvedDependencies", "unpinned"}
    assert statement["predicate"]["resolvedDependencies"][-1] == {
        "annotations": {"proof": "gpg", "role": "package", "size": 315_000},
        "digest": {"sha256": content(CURL)},
        "name": f"debian/{DUMP}/{CURL}",
        "uri": "pkg:deb/debian/curl@7.88.1-10%2Bdeb12u5?arch=amd64",
    }


def test_each_bill_names_the_solvers_that_chose_packages() -> None:
    solved = replace(example(), solvers=frozenset({"apt 2.6.1 (internal)"}))
    named = {"name": "snapproxy:solver", "value": "apt 2.6.1 (internal)"}
    assert named in json.loads(cyclonedx.write(solved))["metadata"]["properties"]
    assert " Solvers that chose packages: apt 2.6.1 (internal)." in json.loads(spdx.write(solved))["comment"]
    assert json.loads(intoto.write(solved))["predicate"]["solvers"] == ["apt 2.6.1 (internal)"]


def test_packages_are_listed_in_repro_gets_form() -> None:
    lines = sha256sums.of_packages(example()).decode().splitlines()
    assert lines == [f"{content(path)}  {path}" for path in (f"core/os/x86_64/{GTK}", CURL)]


def test_two_packages_of_one_path_cannot_be_listed_so() -> None:
    security = entry(CURL, archive="debian-security", text="another")
    record = Record((entry(CURL), security), {"debian": "apt", "debian-security": "apt"})
    with pytest.raises(RecordError, match="sha256sums-titled"):
        sha256sums.of_packages(record)
    assert len(sha256sums.of_titles(record).splitlines()) == 2


def test_coreutils_checks_a_list_of_titles(tmp_path: Path) -> None:
    names = ["a b", "größe", "*star", "-dash", "p/libstdc++6_1~rc1_all.deb"]
    entries = tuple(entry(name, Role.OTHER, sha256=sha256(name.encode()).hexdigest()) for name in names)
    record = Record(entries, {"debian": "apt"})
    for name in names:
        file = tmp_path / "debian" / DUMP / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    checked = subprocess.run(
        ["sha256sum", "-c", "--strict", "--quiet"],
        cwd=tmp_path,
        input=sha256sums.of_titles(record),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, b"")
