"""Limits of the readers of rpm's, apk's and pacman's lists: size, entries, depth, and time for hostile texts."""

from __future__ import annotations

import pytest

from snapproxy.formats import strict_json
from snapproxy.formats.package_lists import (
    apk_installed,
    apk_query,
    apko_lock,
    dnf_manifest,
    known,
    konflux_lock,
    pacman_local,
    rpm_ostree_lock,
    text_lines,
    tree,
)
from snapproxy.formats.package_lists.spdx import read_text
from tests.fakes.rpm_apk_arch_lists import CONTENTS, accepts, own_format, refusal


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"- " * 100_000 + b"packages:",
        b"{packages: " * 100_000,
        b"packages: &a [*a, *a]\n",
        b"a: &a [x]\nb: &b [*a, *a, *a]\npackages: [*b, *b, *b]\n",
        b'{"packages": 1e999999}',
        b'{"packages": ' + b"9" * 5000 + b"}",
        b'{"packages": "\\ud800"}',
        b"-" * 1_000_000,
        b"a-" * 500_000,
        b"a-1" * 300_000,
        b"P:" + b"a" * 1_000_000,
        b"%NAME%\n" * 100_000,
        b"%NAME%\n\n" * 100_000,
        b"format = 2\n" + b"x" * 1_000_000,
        b"\0" * 1_000_000,
        b" " * 1_000_000,
    ],
    ids=lambda data: f"{data[:12]!r} {len(data)}",
)
def test_deep_large_and_slow_documents_are_refused(data: bytes) -> None:
    refusal(data)


def test_a_package_of_many_checksums_is_read_in_linear_time() -> None:
    """Copying the checksums for each line takes minutes, longer than a test may."""
    data = b"SPDXVersion: SPDX-2.3\nPackageName: a\n" + b"PackageChecksum: SHA1: a\n" * 400_000
    assert read_text(data).entries == ()


@pytest.mark.parametrize("line", [b"a-1-r0\n", b"a-1-1.noarch\n", b"a 1-1\n"], ids=["apk info", "rpm -qa", "pacman -Q"])
def test_a_million_lines_are_too_many(line: bytes) -> None:
    assert "line 200001: It has more than 200000 lines." in refusal(line * 1_000_000).why


@pytest.mark.parametrize("name", CONTENTS)
def test_a_reader_limits_the_size(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = own_format(CONTENTS[name])
    for module in (text_lines, tree, pacman_local, apk_installed):
        monkeypatch.setattr(module, "LARGEST", 10)
    monkeypatch.setattr("snapproxy.formats.strict_yaml.LARGEST", 10)
    assert not accepts(own, CONTENTS[name])


@pytest.mark.parametrize("name", [name for name in CONTENTS if "installed.manifest" not in name])
def test_a_reader_limits_the_number_of_entries(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = CONTENTS[name]
    if data.count(b"%NAME%") == 1 or name.startswith("dnf/version"):
        data = data + data if name.endswith("desc") else data.replace(b"x86_64:", b"i686: []\n        x86_64:")
        data += b"" if name.endswith("desc") else data[data.rindex(b"            - ") :]
    own = own_format(data)
    for module in (text_lines, apk_installed, apk_query, apko_lock, dnf_manifest, konflux_lock, pacman_local):
        monkeypatch.setattr(module, "MOST_ENTRIES", 1)
    monkeypatch.setattr(rpm_ostree_lock, "MOST_ENTRIES", 1)
    assert not accepts(own, data)


def test_json_has_limits_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    data = CONTENTS["apk/query.json"]
    monkeypatch.setattr(strict_json, "MOST", 5)
    assert "It has more than 5 objects" in str(refusal(data))
    monkeypatch.setattr(strict_json, "MOST", 100)
    monkeypatch.setattr(tree, "MOST_VALUES", 5)
    assert "5 values" in str(refusal(data))


def test_the_list_itself_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MOST_ENTRIES", 1)
    assert "It has 2 entries; the maximum is 1." in str(refusal(CONTENTS["pacman/query.txt"]))
    monkeypatch.setattr(known, "LARGEST", 1)
    assert "the maximum is 1." in str(refusal(CONTENTS["pacman/query.txt"]))
