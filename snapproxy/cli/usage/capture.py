"""List, show, compare and manage captures: the records of everything that builds were served."""

from __future__ import annotations

import argparse
from typing import Any

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
A build records into a capture that is named by the proxy's password (http_proxy=http://WHEN:NAME@HOST:3142), by /~NAME/ before
an address, or by `snapproxy run --capture NAME`. A closed capture takes nothing more. Removing one leaves its files in the store.
"""


def _add(actions: Any, name: str, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=what, allow_abbrev=False)
    parser.set_defaults(action=name)
    add_config(parser)
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add_json(_add(actions, "list", "list captures"))
    show = _add(actions, "show", "list what a capture holds")
    show.add_argument("name", metavar="NAME")
    add_json(show)
    diff = _add(actions, "diff", "say in what a capture differs from another")
    diff.add_argument("one", metavar="A")
    diff.add_argument("other", metavar="B")
    add_json(diff)
    _add(actions, "close", "let a capture take nothing more").add_argument("name", metavar="NAME")
    rename = _add(actions, "rename", "give a capture another name")
    rename.add_argument("name", metavar="NAME")
    rename.add_argument("to", metavar="NEW")
    _add(actions, "remove", "forget a capture").add_argument("name", metavar="NAME")
