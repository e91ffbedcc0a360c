"""Names of the releases of Debian and Ubuntu: find a mistyped suite before apt asks for it in vain.

The row of an archive has no suites, and their listing is not stored, so the names are data here. A name that is newer
than this version can be accepted by the caller.
"""

from __future__ import annotations

import difflib
import re


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DEBIAN = _names("""
    buzz rex bo hamm slink potato woody sarge etch lenny squeeze wheezy jessie stretch buster bullseye bookworm trixie
    forky duke sid stable oldstable oldoldstable testing unstable experimental rc-buggy
""")
_UBUNTU = _names("""
    warty hoary breezy dapper edgy feisty gutsy hardy intrepid jaunty karmic lucid maverick natty oneiric precise
    quantal raring saucy trusty utopic vivid wily xenial yakkety zesty artful bionic cosmic disco eoan focal groovy
    hirsute impish jammy kinetic lunar mantic noble oracular plucky questing resolute stonking devel
""")

#: Distributions whose suite is a release; `sources` itself adds the suites of updates.
_WHOLE = {"debian": _DEBIAN, "ubuntu": _UBUNTU}
#: Archives whose suites begin with a release: `bookworm-security`, `buster/updates`.
_BEGINNING = {
    **dict.fromkeys(("debian-security", "debian-debug", "debian-archive", "debian-backports"), _DEBIAN),
    "debian-volatile": _DEBIAN,
    "debian-ports": _DEBIAN | {"unreleased"},
    "ubuntu-ports": _UBUNTU,
    "ppa": _UBUNTU,
}


def is_release(archive: str, suite: str) -> bool:
    """Whether `archive` can have `suite`; always true for an archive whose releases are not listed here."""
    if archive in _WHOLE:
        return suite in _WHOLE[archive]
    return archive not in _BEGINNING or _parts(suite)[0] in _BEGINNING[archive] or suite in _BEGINNING[archive]


def nearest(archive: str, suite: str) -> str:
    """Return the suite that was probably meant, '' if no release has a similar name."""
    releases = sorted(_WHOLE.get(archive) or _BEGINNING.get(archive) or ())
    begin, end = _parts(suite.lower())
    found = difflib.get_close_matches(begin, releases, n=1, cutoff=0.7)
    return found[0] + (end if archive in _BEGINNING else "") if found else ""


def _parts(suite: str) -> tuple[str, str]:
    """Split a suite into its release and the rest."""
    begin = re.split("[-/]", suite, maxsplit=1)[0]
    return begin, suite[len(begin) :]
