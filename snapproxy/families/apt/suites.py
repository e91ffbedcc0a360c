"""Compare a root with the suite that its path names, as Debian and Ubuntu define suites and codenames.

apt only warns if they differ ("Conflicting distribution"), because many archives have no names, names without meaning,
or one root for several paths. Therefore only a difference that cannot be an alias counts:

- `unstable` (sid), `experimental` (rc-buggy), `testing`, `stable`, `oldstable` and so on are different suites at any
  time. `Suite: stable` is the exception: vendors write it for each of their suites.
- A released codename is never unstable or experimental. It is testing, stable or older at some time, so those do not
  contradict it.
- Two codenames are different suites in Debian's own archives. Vendors link one to another.
- Ubuntu's roots name the suite of their path; `devel` and its pockets are aliases.

A root with one name that agrees with its path, or is unknown, is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping

NAMES = ("origin", "suite", "codename")
"""The fields of a root that are compared, in lower case."""

_FIXED = {"sid": "unstable", "rc-buggy": "experimental", "unstable": "unstable", "experimental": "experimental"}
_MOVING = frozenset({"testing", "stable", "oldstable", "oldoldstable"})
# fmt: off
_CODENAMES = frozenset({
    "buzz", "rex", "bo", "hamm", "slink", "potato", "woody", "sarge", "etch", "lenny", "squeeze",
    "wheezy", "jessie", "stretch", "buster", "bullseye", "bookworm", "trixie", "forky", "duke",
})
# fmt: on
_KNOWN = tuple(sorted({*_FIXED, *_MOVING, *_CODENAMES}))


def contradiction(suite: str, release: Mapping[str, str]) -> str:
    """Return the names in a root (fields in lower case) that contradict the suite in its path; '' if none does.

    `suite` is the path below `dists/`, such as `bookworm-updates` or `buster/updates`; '' for a flat repository.
    """
    names = [name for field in ("suite", "codename") if (name := release.get(field, ""))]
    origin = release.get("origin", "").lower()
    if origin == "ubuntu":
        differs = bool(names) and suite not in ("", names[0]) and not suite.startswith("devel")
    else:
        compared = [_compare(_base(suite), _base(name), is_debian=origin == "debian") for name in names]
        differs = False in compared and True not in compared
    return " and ".join(names) if differs else ""


def _base(name: str) -> str:
    """Return the suite or codename without its pocket (`-updates`, `/updates`, `-backports`); '' for an unknown one."""
    name = name.lower()
    known = next((each for each in _KNOWN if name == each or name.startswith((f"{each}-", f"{each}/"))), "")
    return _FIXED.get(known, known)


def _compare(path: str, stated: str, *, is_debian: bool) -> bool | None:
    """Return whether two names are the same suite; None if they may be."""
    if not path or not stated:
        return None
    if path == stated:
        return True
    kinds = {"codename" if each in _CODENAMES else "moving" if each in _MOVING else "fixed" for each in (path, stated)}
    if kinds == {"codename", "moving"} or (kinds == {"codename"} and not is_debian):
        return None
    return None if stated == "stable" and not is_debian else False
