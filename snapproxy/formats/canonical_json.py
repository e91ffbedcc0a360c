"""Writes JSON, each value in exactly one way."""

from __future__ import annotations

import json
from typing import Any


def canonical(value: Any) -> str:
    """Write a value as RFC 8785 does: keys sorted, no spaces, nothing escaped that need not be. No floats, whole numbers below 2**53."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def indented(value: Any) -> bytes:
    """Write a document for people to read: keys sorted, two spaces a level, a line feed at the end."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
