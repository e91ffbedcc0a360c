"""Name the versions of a package that are nearest to one that does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cmp_to_key

from snapproxy.core.model import Instant
from snapproxy.core.time_spec import format_instant
from snapproxy.prefetch.query import Compare


def near_versions(version: str, known: Mapping[str, Instant | None], compare: Compare) -> str:
    """Return a sentence with the newest older and the oldest newer version of `known`, which is not empty.

    `known` has the latest known instant of each version. If a version cannot be ordered, the last ones by name are
    returned.
    """
    if compare(version, version) is None or any(compare(each, version) is None for each in known):
        near = sorted(known)[-2:]
    else:

        def order(one: str, other: str) -> int:
            return compare(one, other) or 0

        ordered = sorted(known, key=cmp_to_key(order))
        older = [each for each in ordered if (compare(each, version) or 0) < 0]
        newer = [each for each in ordered if (compare(each, version) or 0) >= 0]
        near = older[-1:] + newer[:1]
    return f"The nearest versions: {', '.join(_dated(each, known[each]) for each in near)}."


def _dated(version: str, instant: Instant | None) -> str:
    return version if instant is None else f"{version} (listed at {format_instant(instant)})"
