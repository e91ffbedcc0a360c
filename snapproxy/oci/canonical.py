"""JSON as it is hashed: one spelling for one value. And JSON from strangers, read strictly. Pure.

The spelling is RFC 8785's for what we allow: sorted keys, no spaces, UTF-8 unescaped, no fractions, integers that every reader
keeps exactly.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from snapproxy.errors import ArchiveDataError

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
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unrepeated,
            parse_float=_refuse,
            parse_constant=_refuse,
            parse_int=_whole,
        )
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except RecursionError:
        raise _unreadable(what, "it is nested too deep") from None
    except ValueError as error:
        raise _unreadable(what, str(error)[:200]) from None
    if not isinstance(value, dict):
        raise _unreadable(what, "it is no object")
    return value


def _check(value: Any) -> None:
    match value:
        case dict():
            for key, each in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"no key of canonical JSON: {key!r}")
                _check(each)
        case list() | tuple():
            for each in value:
                _check(each)
        case bool() | str() | None:
            pass
        case int() if abs(value) < EXACT:
            pass
        case _:
            raise TypeError(f"not in canonical JSON: {value!r}")


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no whole number")


def _whole(text: str) -> int:
    if len(text) > len(str(EXACT)) or abs(int(text)) >= EXACT:
        raise ValueError(f"{text[:40]} is too great a number")
    return int(text)


def _unreadable(what: str, why: str) -> ArchiveDataError:
    return ArchiveDataError(f"{what} cannot be read", why=f"This is no JSON we accept: {why}.")
