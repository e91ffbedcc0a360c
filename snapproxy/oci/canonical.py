"""JSON as it is hashed: one spelling for one value. And JSON from strangers, read strictly. Pure.

The spelling is RFC 8785's for what we allow: sorted keys, no spaces, UTF-8 unescaped, no fractions, integers that every reader
keeps exactly.
"""

from __future__ import annotations

import json
from typing import Any

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.strict_json import Members, parse

EXACT = 1 << 53
"""Integers below this survive readers that know floating point only (RFC 8785, section 3.2.2.3)."""


def canonical(value: Any) -> bytes:
    """Write a value of dicts, lists, strings, whole numbers, truths and None. Raises TypeError for any other.

    Keys are sorted by code point, which for ASCII keys (all of ours) is RFC 8785's order.
    """
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read_object(data: bytes, what: str) -> dict[str, Any]:
    """Read an object; `what` names it in the ArchiveDataError for what is none, repeats a key, holds a fraction or is too deep."""
    try:
        value = parse(data)
        _check(value)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except RecursionError:
        raise _unreadable(what, "It is nested too deep.") from None
    except UnicodeEncodeError:
        raise _unreadable(what, "It holds half a character.") from None
    except (ValueError, TypeError) as error:
        raise _unreadable(what, str(error)) from None
    if not isinstance(value, dict):
        raise _unreadable(what, "It is no object.")
    return value


def _check(value: Any) -> None:
    """Raise TypeError for what has no canonical spelling."""
    match value:
        case Members(repeated=str(name)):
            raise TypeError(f"The key {name[:40]!a} stands twice.")
        case dict():
            for key, each in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"{key!r} is no key of canonical JSON.")
                _check(each)
        case list() | tuple():
            for each in value:
                _check(each)
        case bool() | str() | None:
            pass
        case int() if abs(value) < EXACT:
            pass
        case int():
            raise TypeError("It holds a number of 2^53 or more, which readers round.")
        case _:
            raise TypeError(
                f"It holds a {type(value).__name__}: only objects, lists, texts and whole numbers are known."
            )


def _unreadable(what: str, why: str) -> ArchiveDataError:
    return ArchiveDataError(f"{what} cannot be read", why=why)
