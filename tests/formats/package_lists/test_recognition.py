"""A list is recognised by its content alone, and the error for another one names the place for each format."""

from __future__ import annotations

import pytest

from snapproxy.formats.package_lists.known import FORMATS, read_list
from snapproxy.formats.package_lists.model import ListFormat, ListFormatError, PackageList
from tests.fakes import rpm_apk_arch_lists
from tests.fakes.deb_sbom_lists import CONTENTS, FORMAT_OF
from tests.fakes.rpm_apk_arch_lists import accepts, refusal

# The lines `name=version` of dpkg-query are a list for debootsnap too.
ALSO = {"dpkg/query-equals.txt": ["debootsnap"]}


def test_every_sample_has_a_format() -> None:
    assert FORMAT_OF.keys() == CONTENTS.keys()


@pytest.mark.parametrize("name", CONTENTS)
def test_a_sample_is_of_its_own_format_alone(name: str) -> None:
    claims = [each.name for each in FORMATS if accepts(each, CONTENTS[name])]
    assert claims == [FORMAT_OF[name], *ALSO.get(name, [])]
    assert read_list(CONTENTS[name]).format == FORMAT_OF[name]


@pytest.mark.parametrize("name", rpm_apk_arch_lists.CONTENTS)
def test_a_sample_of_another_package_manager_is_of_one_format(name: str) -> None:
    assert sum(accepts(each, rpm_apk_arch_lists.CONTENTS[name]) for each in FORMATS) == 1


def test_names_and_descriptions() -> None:
    names = [each.name for each in FORMATS]
    assert len(set(names)) == len(names) >= 20
    assert all(each.description and "\n" not in each.description for each in FORMATS)


def test_an_unknown_list_is_explained_for_each_format() -> None:
    error = refusal(b"hello\t2.10-3\nsome other line\n")
    lines = error.why.splitlines()
    assert lines[0] == "It has none of the known forms. The first fault for each format:"
    assert sorted(name for line in lines[1:] for name in line.strip().partition(":")[0].split(", ")) == sorted(
        each.name for each in FORMATS
    )
    expected = "line 2: Expected NAME[:ARCHITECTURE], a tab or =, VERSION, not 'some other line'."
    assert f"  dpkg-query: {expected}" in lines
    assert "  dpkg-status: line 1: It does not begin with the field Package." in lines
    assert len(lines) < len(FORMATS)
    assert max(map(len, lines)) < 300


def test_a_fault_of_a_recognised_list_is_reported_alone_with_its_format() -> None:
    error = refusal(CONTENTS["mkosi/arch.manifest"].replace(b'"any"', b'"a/b"'))
    assert str(error).splitlines() == [
        "The list cannot be read",
        "packages[0]: It has no valid name, version or architecture of pacman.",
        "It was read as mkosi-manifest: a manifest of mkosi.",
    ]
    assert (error.place, error.is_recognised) == ("packages[0]", True)


def test_the_first_format_that_accepts_a_list_reads_it() -> None:
    def refuse(data: bytes) -> PackageList:
        raise ListFormatError("line 7", "It is not mine.")

    other, first, second = (
        ListFormat("other", "", refuse),
        ListFormat("first", "", lambda data: PackageList("first", ())),
        ListFormat("second", "", lambda data: PackageList("second", ())),
    )
    assert read_list(b"", (other, first, second)).format == "first"
    with pytest.raises(ListFormatError, match=r"  other: line 7: It is not mine\."):
        read_list(b"", (other,))
