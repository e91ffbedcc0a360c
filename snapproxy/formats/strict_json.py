"""Read JSON written by others (manifests, credentials, locks) strictly and in bounded memory. Pure.

- `parse` parses a document of any shape and marks repeated keys.
- `read_object` parses an object whose members the caller reads; it refuses values that JSON readers interpret differently.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from snapproxy.errors import ArchiveDataError

EXACT = 1 << 53
"""Integers below this limit survive readers that only have floating-point numbers (RFC 8785, section 3.2.2.3)."""


class Members(dict[str, Any]):
    """A parsed object. `repeated` is a key that occurs twice (readers differ on which one counts), usually None."""

    repeated: str | None = None


def parse(data: bytes) -> Any:
    """Parse a whole document, objects as `Members`. Raises ValueError; its text is a sentence that names the fault."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_members)
    except UnicodeDecodeError as error:
        raise ValueError(f"It is not UTF-8 (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"It is no JSON: line {error.lineno}, column {error.colno}.") from None
    except ValueError:  # Python's own bound on the digits of a number
        raise ValueError("It holds a number of thousands of digits.") from None
    except RecursionError:
        raise ValueError("Its arrays or objects are nested too deeply.") from None


def _members(pairs: list[tuple[str, Any]]) -> Members:
    found = Members(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        found.repeated = next(name for name in counts if counts[name] > 1)
    return found


def check_exact(value: Any) -> None:
    """Raise TypeError for a value that JSON readers may interpret differently: it has no canonical form.

    Allowed are objects without repeated keys, arrays, strings, integers below `EXACT`, booleans and null.
    """
    match value:
        case Members(repeated=str(name)):
            raise TypeError(f"The key {name[:40]!a} stands twice.")
        case dict():
            for key, each in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"{key!r} is no key of canonical JSON.")
                check_exact(each)
        case list() | tuple():
            for each in value:
                check_exact(each)
        case bool() | str() | None:
            pass
        case int() if abs(value) < EXACT:
            pass
        case int():
            raise TypeError("It holds a number of 2^53 or more, which readers round.")
        case _:
            kind = type(value).__name__
            raise TypeError(f"It holds a {kind}: only objects, lists, texts and whole numbers are known.")


def read_object(data: bytes, what: str) -> dict[str, Any]:
    """Parse an object. `what` names the document in the message of an ArchiveDataError.

    Raises ArchiveDataError if the document is not a JSON object, repeats a key, contains a fraction, an integer of 2**53 or
    more, or half a surrogate pair, or is nested too deeply.
    """
    try:
        value = parse(data)
        check_exact(value)
        json.dumps(value, ensure_ascii=False).encode()  # raises for half a surrogate pair
    except RecursionError:
        raise _unreadable(what, "It is nested too deep.") from None
    except UnicodeEncodeError:
        raise _unreadable(what, "It holds half a character.") from None
    except (ValueError, TypeError) as error:
        raise _unreadable(what, str(error)) from None
    if not isinstance(value, dict):
        raise _unreadable(what, "It is no object.")
    return value


def _unreadable(what: str, why: str) -> ArchiveDataError:
    return ArchiveDataError(f"{what} cannot be read", why=why)
