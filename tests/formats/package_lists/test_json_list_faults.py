"""Faults of lists in JSON are named with their place: apko's locks, apk's queries, rpm-ostree's lockfiles."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snapproxy.formats.package_lists.known import FORMATS
from tests.fakes.rpm_apk_arch_lists import CONTENTS, accepts, refusal

APKO = json.loads(CONTENTS["apko/image.lock.json"])


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


@pytest.mark.parametrize("name", [name for name in CONTENTS if name.endswith(".json")])
@pytest.mark.parametrize("new", [None, True, 7, -1, 1.5, 10**400, "", "x", "a\0b", [], ["x"], {}, {"x": "y"}])
def test_a_value_of_another_type(name: str, new: Any) -> None:
    document = json.loads(CONTENTS[name])
    for path in paths(document):
        data = json.dumps(replaced(document, path, new)).encode()
        for each in FORMATS:
            accepts(each, data)


FIRST = ("contents", "packages", 0)


@pytest.mark.parametrize(
    ("path", "new", "place"),
    [
        (("version",), "v2", "version"),
        (("contents", "packages"), {}, "contents.packages"),
        ((*FIRST, "name"), "a b", "name"),
        ((*FIRST, "version"), "2.0.10", "version"),
        ((*FIRST, "url"), "https://example.org/a%0Ab", "url"),
        ((*FIRST, "url"), "https://example.org/%ff", "url"),
        ((*FIRST, "architecture"), "../x", "architecture"),
        ((*FIRST, "control", "range"), "bytes=1520-641", "control.range"),
        ((*FIRST, "control", "range"), "bytes=0-9,20-30", "control.range"),
        ((*FIRST, "control", "checksum"), "sha1-AAAA", "control.checksum"),
        ((*FIRST, "control", "checksum"), "md5-AAAA", "control.checksum"),
        ((*FIRST, "control", "checksum"), "sha1-A", "control.checksum"),
        ((*FIRST, "data", "range"), "bytes=1522-2407", "data"),
        ((*FIRST, "data", "range"), "bytes=1521-" + "9" * 19, "data.range"),
        ((*FIRST, "data", "range"), None, "data.range"),
        ((*FIRST, "checksum"), "Q1c0e5CAiU6H9SZj7rgN24gh3ftzw=", "checksum"),
        ((*FIRST, "checksum"), "Q2", "checksum"),
    ],
)
def test_a_fault_of_an_apko_lock_is_named(path: tuple[Any, ...], new: Any, place: str) -> None:
    refused = refusal(json.dumps(replaced(APKO, path, new)).encode())
    assert refused.is_recognised
    assert refused.place == (f"contents.packages[0].{place}" if path[:3] == FIRST else place)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'{"packages": {"a": {"evr": "1-1", "evra": "1-1.noarch"}}}', "packages.a"),
        (b'{"packages": {"a": {"evra": "1-1"}}}', "packages.a.evra"),
        (b'{"packages": {"a": {"evra": "1.noarch"}}}', "packages.a.evra"),
        (b'{"packages": {"a": {"evra": "1-1.x/y"}}}', "packages.a.evra"),
        (b'{"packages": {"a": {"evr": "1-1"}, "b c": {"evr": "1-1"}}}', "packages.b c"),
        (b'{"packages": {"a": {"evr": "1-1"}, "b": {}}}', "packages.b"),
        (b'{"packages": {"a": {"evr": "1-1"}, "b": []}}', "packages.b"),
        (b'{"packages": {"a": {"evr": "1-1"}, "a": {"evr": "1-2"}}}', "packages.a"),
        (b'{"packages": {"a": {"evr": "1-1", "evr": "1-2"}}}', "packages.a.evr"),
        (b'{"packages": {"a": {"evr": "1-1", "digest": "sha256:deadcafe"}}}', "packages.a.digest"),
        (b'{"packages": {"a": {"evr": 1}}}', "packages.a.evr"),
        (b'{"packages": {"a": {"evr": "1-1"}}, "metadata": {"generated": "today"}}', "metadata.generated"),
        (
            b'{"packages": {"a": {"evr": "1-1"}}, "metadata": {"generated": "2024-13-01T00:00:00Z"}}',
            "metadata.generated",
        ),
        (
            b'{"packages": {"a": {"evr": "1-1"}}, "metadata": {"generated": "0001-01-01T00:00:00+14:00"}}',
            "metadata.generated",
        ),
        (b'{"packages": {"a": {"evr": "1-1"}}, "metadata": []}', "metadata"),
        (
            b'{"packages": {"a": {"evr": "1-1"}}, "metadata": {"rpmmd_repos": {"r": {}}}}',
            "metadata.rpmmd_repos.r.generated",
        ),
        (b'[{"name": "a", "version": "1-r0"}, 7]', "packages[1]"),
        (b'[{"name": "a", "version": "1-r0"}, {"name": "b"}]', "packages[1].version"),
        (b'[{"name": "a", "version": "1-r0", "file-size": "x"}]', "packages[0].file-size"),
        (b'[{"name": "a", "version": "1-r0", "arch": "X/Y"}]', "packages[0].arch"),
        (b'[{"name": "a", "version": "1-r0", "name": "b"}]', "packages[0].name"),
    ],
)
def test_a_fault_of_a_json_list_is_named(data: bytes, place: str) -> None:
    refused = refusal(data)
    assert (refused.place, refused.is_recognised) == (place, True)


@pytest.mark.parametrize(
    ("metadata", "place"),
    [
        ({"generated": "today"}, "generated"),
        ({"generated": "2024-13-01T00:00:00Z"}, "generated"),
        ({"generated": "0001-01-01T00:00:00+14:00"}, "generated"),
        ({"rpmmd_repos": {"r": {}}}, "rpmmd_repos.r.generated"),
    ],
)
def test_a_time_that_does_not_exist_is_named(metadata: Any, place: str) -> None:
    refused = refusal(json.dumps({"packages": {"a": {"evr": "1-1"}}, "metadata": metadata}).encode())
    assert (refused.place, refused.is_recognised) == (f"metadata.{place}", True)
