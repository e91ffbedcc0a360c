"""Suggest the name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def similar(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like `name`, '' if none is like it."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")
