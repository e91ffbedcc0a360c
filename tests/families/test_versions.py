"""Versions are ordered as by the distributions' own tools (dpkg, vercmp, rpm), which compare the same pairs.

apk is compared if it is installed (Debian has no package of it). The ascending list was checked with apk 3.0.6.
"""

import itertools
import shutil
import subprocess
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from snapproxy.core.listing import Lister
from snapproxy.families import LISTERS

APK, APT, PACMAN, RPM = (LISTERS[name] for name in ("apk", "apt", "pacman", "rpm"))
Ask = Callable[[str, str], int]

with_a_tool = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def sign(order: int | None) -> int:
    assert order is not None
    return (order > 0) - (order < 0)


def dpkg(one: str, other: str) -> int:
    for operator, order in (("lt", -1), ("gt", 1)):
        done = subprocess.run(["dpkg", "--compare-versions", one, operator, other], check=False, capture_output=True)
        assert done.returncode in (0, 1), done.stderr
        if done.returncode == 0:
            return order
    return 0


def vercmp(one: str, other: str) -> int:
    return int(subprocess.run(["vercmp", one, other], check=True, capture_output=True, text=True).stdout)


def rpm(one: str, other: str) -> int:
    script = f"%{{lua:print(rpm.vercmp('{one}', '{other}'))}}"
    return int(subprocess.run(["rpm", "--eval", script], check=True, capture_output=True, text=True).stdout)


def apk(one: str, other: str) -> int:
    output = subprocess.run(["apk", "version", "-t", one, other], check=True, capture_output=True, text=True).stdout
    return {"<": -1, "=": 0, ">": 1}[output.strip()]


HAS_APK = shutil.which("apk") is not None
TOOLS = {**({"apk": apk} if HAS_APK else {}), "apt": dpkg, "pacman": vercmp, "rpm": rpm}

#: In ascending order; each is strictly newer than the previous one.
LADDERS: dict[str, Sequence[str]] = {
    "apk": (
        "1.0_alpha",
        "1.0_beta2",
        "1.0_beta10",
        "1.0_pre1",
        "1.0_rc1",
        "1.0_rc1_git20240309",
        "1.0",
        "1.0-r0",
        "1.0-r9",
        "1.0-r10",
        "1.0_cvs",
        "1.0_svn20240101",
        "1.0_git20231225",
        "1.0_git20240309-r1",
        "1.0_hg",
        "1.0_p1",
        "1.0a",
        "1.0b",
        "1.0.0",
        "1.01",
        "1.09",
        "1.1",
        "1.10",
    ),
    "apt": (
        "0.9~~",
        "0.9~~a",
        "0.9~",
        "0.9",
        "0.9a",
        "0.9+b1",
        "0.9.1-1~bpo12+1",
        "0.9.1-1",
        "0.9.1-1+deb12u2",
        "0.9.1-1+deb12u10",
        "0.9.2-1-2",
        "0.10",
        "1:0.1",
    ),
    "pacman": (
        "1.0a",
        "1.0alpha",
        "1.0b",
        "1.0beta",
        "1.0p",
        "1.0rc",
        "1.0",
        "1.0.a",
        "1.0.1",
        "2a10",
        "2a_r1",
        "6.9.2.arch1-1",
        "6.9.10.arch1-1",
        "6.9.10.arch1-1.1",
        "6.9.10.arch1-10",
        "1:0.1-1",
    ),
    "rpm": (
        "1.0~rc1-1",
        "1.0~rc2-1",
        "1.0-1.fc39",
        "1.0-1.fc40",
        "1.0-10.fc40",
        "1.0^20240601git1a2b-1",
        "1.0.1-1",
        "6.8.9-300.fc40",
        "6.8.11-300.fc40",
        "1:0.1-1",
    ),
}


@pytest.mark.parametrize(("family", "ladder"), LADDERS.items())
def test_a_ladder_is_climbed_as_the_tool_climbs_it(family: str, ladder: Sequence[str]) -> None:
    compare = LISTERS[family].compare
    for one, other in itertools.pairwise(ladder) if family in TOOLS else ():
        assert TOOLS[family](one, other) == -1, (one, other)
    for one, other in itertools.combinations(ladder, 2):
        assert (sign(compare(one, other)), sign(compare(other, one))) == (-1, 1), (one, other)
    for one in ladder:
        assert compare(one, one) == 0


def alike(pieces: Sequence[str], first: str = "0123") -> st.SearchStrategy[tuple[str, str]]:
    """Return pairs of versions. Most share a beginning and an end, because random pairs are too easy to compare."""
    body = st.lists(st.sampled_from(pieces), max_size=6).map("".join)
    head = st.sampled_from(first)
    return st.tuples(head, body, body, body, body, st.booleans()).map(
        lambda parts: (
            parts[0] + parts[1] + parts[2] + parts[4],
            parts[0] + parts[1] + parts[3] + (parts[4] if parts[5] else ""),
        )
    )


def released(pairs: st.SearchStrategy[tuple[str, str]], releases: Sequence[str]) -> st.SearchStrategy[tuple[str, str]]:
    """Add an epoch and a release to each version of a pair."""
    epoch, release = st.sampled_from(("", "", "0:", "1:", "12:")), st.sampled_from(releases)
    return st.tuples(pairs, epoch, epoch, release, release).map(
        lambda parts: (parts[1] + parts[0][0] + parts[3], parts[2] + parts[0][1] + parts[4])
    )


RELEASES = ("", "-0", "-1", "-1", "-10", "-1.1")
DEBIAN = released(
    alike(["0", "1", "01", "10", "9", "a", "b", "rc", "~", "~~", "+", ".", "git", "Z"]), (*RELEASES, "-1~bpo")
)
ARCH = released(alike(["0", "1", "01", "10", "9", "a", "b", "rc", "+", ".", "..", "_", "git", "r"]), RELEASES)
FEDORA = released(alike(["0", "1", "01", "10", "9", "a", "b", "rc", "~", "^", "+", ".", "_", "..", "fc40"]), RELEASES)


ALPINE = released(
    alike([".0", ".1", ".01", ".10", ".9", "_rc", "_rc1", "_p1", "_git20240309", "_beta2"]), ("", "-r0", "-r1", "-r10")
).map(lambda pair: (pair[0].partition(":")[2] or pair[0], pair[1].partition(":")[2] or pair[1]))
ASKED = [(APT, dpkg, DEBIAN), (PACMAN, vercmp, ARCH), (RPM, rpm, FEDORA), *([(APK, apk, ALPINE)] if HAS_APK else [])]


@pytest.mark.parametrize(("lister", "tool", "pairs"), ASKED)
@with_a_tool
@given(data=st.data())
def test_any_two_are_ordered_as_by_the_tool(
    lister: Lister, tool: Ask, pairs: st.SearchStrategy[tuple[str, str]], data: st.DataObject
) -> None:
    one, other = data.draw(pairs)
    assume(lister.compare(one, one) == 0)  # the family's rules must accept the version
    assume(lister.compare(other, other) == 0)
    order = lister.compare(one, other)
    assert sign(order) == tool(one, other)
    assert sign(lister.compare(other, one)) == -sign(order)


@pytest.mark.parametrize("lister", [APK, APT, PACMAN, RPM])
@given(one=st.text(max_size=20), other=st.text(max_size=20))
def test_any_words_can_be_compared(lister: Lister, one: str, other: str) -> None:
    order = lister.compare(one, other)
    assert order is None or isinstance(order, int)


def test_versions_that_debian_forbids_are_not_ordered_but_a_leading_letter_is() -> None:
    assert APT.compare("1.0_1", "1.0_2") is None
    assert sign(APT.compare("v1.2", "v1.10")) == -1


def test_versions_that_alpine_forbids_are_not_ordered() -> None:
    assert APK.compare("1.0_x", "1.0") is None
    assert APK.compare("1.0-r1-r2", "1.0") is None
