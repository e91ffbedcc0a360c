"""Compare versions as pacman does: `epoch:version-release`, each part by segments (vercmp(8), libalpm).

univers is not used here, because its `arch.vercmp` sorts `2a_r1` before `2a10`, and pacman sorts it after.
"""

from __future__ import annotations

import re

_EPOCH = re.compile(r"(?:(?P<epoch>[0-9]*):)?(?P<rest>.*)", re.DOTALL)
# The separators before a segment, and the segment: a run of digits or of letters.
_SEGMENT = re.compile(r"(?P<gap>[^0-9A-Za-z]*)(?P<run>[0-9]+|[A-Za-z]+|)")


def compare(one: str, other: str) -> int:
    """Return -1, 0 or 1 if `one` is older than, equal to or newer than `other`.

    The releases are compared only if both versions have one.
    """
    (epoch, version, release), (other_epoch, other_version, other_release) = _split(one), _split(other)
    order = _compare_segments(epoch, other_epoch) or _compare_segments(version, other_version)
    if order or release is None or other_release is None:
        return order
    return _compare_segments(release, other_release)


def _split(text: str) -> tuple[str, str, str | None]:
    found = _EPOCH.fullmatch(text)
    epoch, rest = (found["epoch"], found["rest"]) if found else (None, text)
    version, dash, release = rest.rpartition("-")
    return epoch or "0", version if dash else release, release if dash else None


def _compare_segments(one: str, other: str) -> int:
    if one == other:
        return 0
    at = other_at = 0
    while at < len(one) and other_at < len(other):
        first, second = _segment(one, at), _segment(other, other_at)
        if first.end("gap") == len(one) or second.end("gap") == len(other):
            at, other_at = first.end("gap"), second.end("gap")
            break
        order = _compare_segment(first, second)
        if order:
            return order
        at, other_at = first.end(), second.end()
    return _compare_remainders(one[at:], other[other_at:])


def _segment(text: str, at: int) -> re.Match[str]:
    found = _SEGMENT.match(text, at)
    if found is None:
        raise AssertionError("the pattern matches the empty string, so it matches everywhere")
    return found


def _compare_segment(first: re.Match[str], second: re.Match[str]) -> int:
    if len(first["gap"]) != len(second["gap"]):
        return -1 if len(first["gap"]) < len(second["gap"]) else 1
    run, other_run = first["run"], second["run"]
    if run[0].isdigit() != other_run[0].isdigit():
        return 1 if run[0].isdigit() else -1  # a number is newer than a word
    if run[0].isdigit():
        run, other_run = run.lstrip("0"), other_run.lstrip("0")
        if len(run) != len(other_run):
            return -1 if len(run) < len(other_run) else 1
    return (run > other_run) - (run < other_run)


def _compare_remainders(rest: str, other: str) -> int:
    """Compare the parts that follow the common segments: `1.0` is newer than `1.0rc`, and older than `1.0.1`."""
    if not rest and not other:
        return 0
    if rest[:1].isalpha() or (not rest and not other[:1].isalpha()):
        return -1
    return 1
