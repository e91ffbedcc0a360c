"""Print the difference between two records."""

from __future__ import annotations

from snapproxy.capture.record_diff import compare
from snapproxy.cli.messages import print_json
from snapproxy.cli.tables import format_table
from snapproxy.core.record import Record


def print_difference(one: Record, other: Record, *, as_json: bool) -> bool:
    """Print the differences as a table or as JSON, and return whether there are any."""
    found = compare(one, other)
    if as_json:
        print_json(found.value())
    else:
        print(format_table(found.rows({**one.families, **other.families})), end="")
    return bool(found)
