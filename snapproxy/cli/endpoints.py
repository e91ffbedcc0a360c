"""Argument types for the address of a listening socket and for a host that is passed through.

The settings accept the same texts, so the readers are those of `config.value_types`.
"""

from __future__ import annotations

import argparse

from snapproxy.config.value_types import passed_hosts, split_host


def an_endpoint(text: str) -> tuple[str, int]:
    """Read ADDRESS:PORT (an argparse type)."""
    try:
        return split_host(text)[0]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not ADDRESS:PORT, such as 127.0.0.1:3142 or [::1]:3142"
        ) from None


def a_passed_host(text: str) -> list[tuple[str, int]]:
    """Read HOST[:PORT] (an argparse type)."""
    try:
        return passed_hosts(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not {error}") from None
