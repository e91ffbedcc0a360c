"""Print errors on stderr, and JSON on stdout, errors too if the command prints JSON."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from snapproxy.errors import SnapproxyError


def print_error(error: SnapproxyError) -> None:
    """Print an error on stderr: the reason, and on further lines the cause and what to do."""
    first, *rest = str(error).splitlines()
    print(f"snapproxy: {first}", *(f"  {line}" for line in rest), sep="\n", file=sys.stderr)


def printable(text: str) -> str:
    """Return text of an untrusted file for a terminal: what cannot be printed is replaced by `?`."""
    return "".join(each if each.isprintable() else "?" for each in text)


def print_json_error(error: SnapproxyError, file: TextIO | None = None) -> None:
    """Print an error as the JSON document that the command could not print, on stdout unless a file is given."""
    print_json({"error": {"reason": error.reason, "why": error.why, "hint": error.hint}}, file)


def print_json(value: Any, file: TextIO | None = None) -> None:
    """Print one JSON document, on stdout unless a file is given."""
    print(json.dumps(value, indent=2, sort_keys=True), file=file or sys.stdout)
