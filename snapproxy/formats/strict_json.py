"""Parses JSON that strangers wrote: manifests, credentials, locks. What has two meanings is marked; ValueError is the only way out.

What a document may hold, how long it may be, and in whose words it is refused is its reader's business.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any


class Members(dict[str, Any]):
    """An object; `repeated` is a member that stands in it twice (readers differ on which one counts), None for most."""

    repeated: str | None = None


def parse(data: bytes) -> Any:
    """Parse a whole document, objects as `Members`. Raises ValueError, whose text is a sentence that says why it is none."""
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
