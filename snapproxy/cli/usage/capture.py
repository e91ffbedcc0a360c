"""List, show, compare and manage captures: the records of everything that builds were served."""

from __future__ import annotations

import argparse
from typing import Any

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
A build records into a capture that is named by the proxy's password (http_proxy=URL https_proxy=URL, where URL is
http://TIME:NAME@HOST:3142), by /~NAME/ before an address, or by `snapproxy run --capture NAME`. A closed capture
records nothing more. Removing a capture leaves its files in the store.
"""

EXAMPLES = (
    "capture list",
    "capture show mybuild",
    "capture diff mybuild other",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add_json(_add(actions, "list", "list the captures"))
    show = _add(actions, "show", "list the files of a capture")
    show.add_argument("name", metavar="NAME", help="a capture")
    add_json(show)
    diff = _add(actions, "diff", "list what differs in capture B, compared with capture A")
    diff.add_argument("one", metavar="A", help="a capture")
    diff.add_argument("other", metavar="B", help="another capture")
    add_json(diff)
    close = _add(actions, "close", "end the recording into a capture")
    close.add_argument("name", metavar="NAME", help="a capture")
    rename = _add(actions, "rename", "rename a capture")
    rename.add_argument("name", metavar="NAME", help="a capture")
    rename.add_argument("to", metavar="NEW", help="its new name")
    remove = _add(actions, "remove", "remove a capture; its files stay in the store")
    remove.add_argument("name", metavar="NAME", help="a capture")


def _add(actions: Any, name: str, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    parser.set_defaults(action=name)
    add_config(parser)
    return parser
