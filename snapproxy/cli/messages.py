"""Print errors on stderr and JSON on stdout."""

from __future__ import annotations

import json
import sys
from typing import Any

from snapproxy.errors import SnapproxyError


def print_error(error: SnapproxyError) -> None:
    """Print an error on stderr: the reason, and on further lines the cause and what to do."""
    first, *rest = str(error).splitlines()
    print(f"snapproxy: {first}", *(f"  {line}" for line in rest), sep="\n", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2, sort_keys=True))
