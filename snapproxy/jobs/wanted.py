"""Reads what a sweep is asked to observe: which roots, and of each which indexes."""

from __future__ import annotations

from collections.abc import Sequence

from snapproxy.base.context import RequestContext
from snapproxy.core.model import Role
from snapproxy.errors import ClientError


def roots_wanted(context: RequestContext, paths: Sequence[str]) -> dict[tuple[str, ...], set[str]]:
    """Return which roots to observe, each by the names it may have, and the indexes asked for alone (none: all it names).

    Raises ClientError for a path that is neither.
    """
    wanted: dict[tuple[str, ...], set[str]] = {}
    for path in paths:
        place = context.family.classify(path)
        if place.role is Role.ROOT:
            wanted[(path,)] = set()
        elif place.role is Role.INDEX and place.roots:
            wanted.setdefault(place.roots, set()).add(path)
        else:
            raise ClientError(
                "That is neither a root nor an index",
                why=f"{path} is no file of {context.archive.name} that vouches for others.",
                hint="Name a root, such as dists/stable/InRelease, or an index of one.",
            )
    return wanted
