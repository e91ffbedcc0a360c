"""The contract of every family. A family's test file subclasses it and provides samples.

class TestApt(FamilyContract):
    family = APT
    samples = {path: bytes, ...}   # roots and indexes, genuine or written by the format's own tools
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snapproxy.core.model import ExpectedFile, Family, Place, Role
from snapproxy.core.signature_schemes import RawSignatures
from snapproxy.errors import ArchiveDataError
from snapproxy.families import FAMILIES
from snapproxy.formats.digests import HEX_LENGTH, is_digest

# Each test function runs for several families, in a subclass for each.
inherited = settings(deadline=None, suppress_health_check=[HealthCheck.differing_executors])

SEGMENTS = st.sampled_from(["", ".", "..", "dists", "pool", "main", "by-hash", "SHA256", "binary-amd64", "x.diff"])
PATHS = st.text() | st.lists(SEGMENTS | st.text(max_size=8), max_size=12).map("/".join)


def is_inside(path: str) -> bool:
    return {"", ".", ".."}.isdisjoint(path.split("/")) and not re.search(r"[\x00-\x1f\x7f-\x9f\\]", path)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


class FamilyContract:
    family: ClassVar[Family]
    samples: ClassVar[Mapping[str, bytes]]
    own_algorithms: ClassVar[Mapping[str, str]] = {}
    """The family's own digest algorithms: the name in an `ExpectedFile`, and an algorithm of the same length."""

    def read(self, path: str, data: Iterable[bytes]) -> list[tuple[str, ExpectedFile]]:
        return list(self.family.read_index(path, data))

    def test_it_is_listed_under_its_name(self) -> None:
        assert FAMILIES[self.family.name] is self.family

    @inherited
    @given(path=PATHS)
    def test_classify_is_total_and_consistent(self, path: str) -> None:
        place = self.family.classify(path)
        assert isinstance(place, Place)
        assert not (place.role is Role.PACKAGE and place.roots), "any root may vouch for a package"
        for parent in place.parents:
            assert self.family.classify(parent).lists_files
        for root in place.roots:
            assert self.family.classify(root).role is Role.ROOT
            assert self.family.classify(root).lists_files
        for other in (*place.parents, *place.roots):
            assert {"", ".", ".."}.isdisjoint(other.split("/")), "a path is led nowhere it did not stand"
        if place.by_hash is not None:
            assert is_digest(*place.by_hash)

    @inherited
    @given(path=PATHS)
    def test_a_name_is_read_off_packages_only(self, path: str) -> None:
        named = self.family.package_name(path)
        if named is not None:
            assert self.family.classify(path).role in (Role.PACKAGE, Role.OTHER), "OTHER: no clean path"
            assert all((named.name, named.version, named.arch))

    def test_metadata_have_no_package_name(self) -> None:
        assert [path for path in self.samples if self.family.package_name(path)] == []

    def test_a_root_has_its_signature_beside_it_or_inside(self) -> None:
        for path in self.samples:
            if self.family.classify(path).role is not Role.ROOT:
                continue
            signature = self.family.signature(path)
            if signature is not None:
                assert self.family.classify(signature).role is Role.SIGNATURE
                assert path in self.family.classify(signature).roots

    def test_a_root_that_carries_raw_signatures_says_which_bytes_they_cover(self) -> None:
        scheme = self.family.scheme
        if not isinstance(scheme, RawSignatures):
            return
        for path, data in self.samples.items():
            for seal in scheme.seals(path, data):
                assert seal.signed
                assert seal.hash in HEX_LENGTH

    def test_expected_files_are_inside_the_archive_and_have_valid_digests(self) -> None:
        for path, data in self.samples.items():
            rows = self.read(path, [data])
            assert rows, path
            for name, expected in rows:
                assert is_inside(name)
                assert is_inside(expected.path)
                assert expected.digests
                assert expected.size is None or expected.size >= 0
                for algorithm, value in expected.digests.items():
                    assert is_digest(self.own_algorithms.get(algorithm, algorithm), value)

    def test_a_checker_checks_every_digest(self) -> None:
        """Stored bytes are found by any digest of their expected file, so the checker must check every digest."""
        for path, data in self.samples.items():
            for _, expected in self.read(path, [data]):
                for algorithm, value in expected.digests.items():
                    checker = self.family.checker(ExpectedFile(expected.path, None, {algorithm: value}))
                    checker.update(b"something else")
                    assert checker.finish() is not None, algorithm

    def test_a_name_has_one_expected_file_and_the_canonical_name_is_among_them(self) -> None:
        for path, data in self.samples.items():
            rows = self.read(path, [data])
            table = dict(rows)
            assert len(table) == len(rows), path
            assert all(table[expected.path] == expected for expected in table.values())

    def test_a_by_hash_name_leads_to_an_expected_file_with_that_digest(self) -> None:
        for path, data in self.samples.items():
            for name, expected in self.read(path, [data]):
                by_hash = self.family.classify(name).by_hash
                assert by_hash is None or expected.digests[by_hash[0]] == by_hash[1]

    def test_the_files_of_a_root_name_it_as_their_root(self) -> None:
        for path, data in self.samples.items():
            if self.family.classify(path).role is not Role.ROOT:
                continue
            for name, _ in self.read(path, [data]):
                place = self.family.classify(name)
                if place.role is Role.INDEX:
                    assert path in place.roots, name

    @inherited
    @given(size=st.integers(1, 5000))
    def test_expected_files_are_the_same_under_any_chunking(self, size: int) -> None:
        for path, data in self.samples.items():
            size = max(size, len(data) // 500)
            assert self.read(path, cut(data, size)) == self.read(path, [data])

    @inherited
    @given(data=st.data())
    def test_damaged_bytes_raise_archive_data_error_or_nothing(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.samples)))
        sample = self.samples[path]
        start = data.draw(st.integers(0, len(sample)))
        stop = data.draw(st.integers(start, min(len(sample), start + 200)))
        damaged = sample[:start] + data.draw(st.binary(max_size=20)) + sample[stop:]
        self.family.root_date(damaged)
        try:
            rows = self.read(path, [damaged])
        except ArchiveDataError as error:
            rows = []
            reason = error.reason
        else:
            reason = ""
        assert all(is_inside(name) for name, _ in rows)
        assert reason.isascii(), "a client prints it"
        assert len(reason) <= 80

    @inherited
    @given(pieces=st.lists(st.binary(max_size=50), max_size=5), flip=st.integers(min_value=0))
    def test_its_checker_accepts_the_expected_bytes_only(self, pieces: list[bytes], flip: int) -> None:
        whole = b"".join(pieces)
        digests = {name: hashlib.new(name, whole).hexdigest() for name in HEX_LENGTH}
        expected = ExpectedFile("x", len(whole), digests)
        assert self._verdict(expected, pieces) is None
        assert self._verdict(expected, [*pieces, b"x"]) == "size differs"
        if whole:
            at = flip % len(whole)
            changed = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
            assert self._verdict(expected, [whole[1:]]) == "size differs"
            assert (
                self._verdict(ExpectedFile("x", len(whole), {"sha256": digests["sha256"]}), [changed])
                == "sha256 differs"
            )

    def _verdict(self, expected: ExpectedFile, pieces: list[bytes]) -> str | None:
        checker = self.family.checker(expected)
        for piece in pieces:
            checker.update(piece)
        return checker.finish()

    @inherited
    @given(data=st.binary(max_size=300))
    def test_the_date_of_anything_can_be_asked(self, data: bytes) -> None:
        assert isinstance(self.family.root_date(data), int | None)
