"""Repositories written by createrepo_c: every published file is listed with its size and digest."""

from __future__ import annotations

import hashlib

import pytest

from snapproxy.core.model import ExpectedFile, Role
from snapproxy.families.rpm import RPM
from tests.fakes.content import epoch
from tests.fakes.rpm_world import REPOSITORY, RpmWorld
from tests.fakes.world import FIRST, SECOND

ROOT = f"{REPOSITORY}/repodata/repomd.xml"


@pytest.mark.parametrize(("when", "algorithm"), [(FIRST, "sha256"), (SECOND, "sha512")])
def test_every_published_file_is_listed_unchanged(rpm_world: RpmWorld, when: str, algorithm: str) -> None:
    files = rpm_world.trees[when].files
    found: dict[str, ExpectedFile] = {}
    for path in (ROOT, rpm_world.path_of(when, "-primary.xml")):
        found |= dict(RPM.read_index(path, [files[path].data]))
    paths = {path for path in files if RPM.classify(path).role in (Role.INDEX, Role.PACKAGE)}
    assert found == {
        path: ExpectedFile(path, files[path].size, {algorithm: hashlib.new(algorithm, files[path].data).hexdigest()})
        for path in paths
    }


@pytest.mark.parametrize("when", [FIRST, SECOND])
def test_its_revision_is_the_date(rpm_world: RpmWorld, when: str) -> None:
    assert RPM.root_date(rpm_world.trees[when].files[ROOT].data) == epoch(when)


def test_zchunk_lists_the_same_packages_as_the_other_packing(rpm_world: RpmWorld) -> None:
    files = rpm_world.trees[FIRST].files
    listings = [
        dict(RPM.read_index(path, [files[path].data]))
        for path in (rpm_world.path_of(FIRST, "-primary.xml"), rpm_world.path_of(FIRST, "-primary.xml.zck"))
    ]
    assert listings[0] == listings[1]
    assert len(listings[0]) == 2
