"""Write JSON with exactly one form for each value, so that equal values have equal digests.

`canonical` follows RFC 8785 for the accepted values: sorted keys, no spaces, UTF-8 without needless escapes, no
fractions, integers below 2**53.
"""

from __future__ import annotations

import json
from typing import Any

from snapproxy.formats.strict_json import check_exact


def canonical(value: Any) -> bytes:
    """Write a value made of dicts, lists, strings, integers, booleans and None. Raises TypeError for any other value.

    Keys are sorted by code point, which for ASCII keys (all keys of snapproxy) is the order of RFC 8785.
    """
    check_exact(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def indented(value: Any) -> bytes:
    """Write a document for people to read: sorted keys, two spaces per level, a line feed at the end."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
