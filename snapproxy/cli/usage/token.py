"""Create, list, show and revoke the tokens by which clients prove who they are."""

from __future__ import annotations

import argparse
from typing import Any

from snapproxy.access.scopes import canonical_scope
from snapproxy.cli.options import add_config, add_json

EPILOG = """\
A client sends its token in the password of the proxy address (http://TIME:x.TOKEN@HOST:3142, or
http://TIME:CAPTURE.TOKEN@HOST:3142), as `Authorization: Bearer TOKEN`, or as the password of Basic authentication.
The setting `tokens` says which requests need one. Scopes: read (files), capture:PREFIX (files, and recording into
captures whose names begin with PREFIX), admin (everything, and the pages for operators from other machines).
A token is printed once and stored as a hash. Running servers obey a change from their next request on.
"""

EXAMPLES = (
    "token create builder-7 --scope read --expires 90d",
    "token create ci --scope capture:ci-",
    "token list",
    "token revoke builder-7",
)

LONGEST_NAME = 63


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    create = _add(actions, "create", "create a token and print it")
    create.add_argument("name", type=_a_name, metavar="NAME", help="the name of its owner, for lists")
    create.add_argument(
        "--scope",
        type=_a_scope,
        action="append",
        required=True,
        dest="scopes",
        metavar="SCOPE",
        help="read, capture:PREFIX or admin; may be repeated",
    )
    create.add_argument("--expires", metavar="DURATION", help="end of its use, such as 90d from now")
    add_json(create)
    add_json(_add(actions, "list", "list the tokens, without their secrets"))
    for action, summary in (("show", "show a token, without its secret"), ("revoke", "revoke a token")):
        each = _add(actions, action, summary)
        each.add_argument("name", metavar="NAME", help="the name or the id of a token")
        add_json(each)


def _add(actions: Any, name: str, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    parser.set_defaults(action=name)
    add_config(parser)
    return parser


def _a_name(text: str) -> str:
    """Read the name of a token (an argparse type)."""
    if not 1 <= len(text) <= LONGEST_NAME or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"a name has 1 to {LONGEST_NAME} printable characters without a blank")
    return text


def _a_scope(text: str) -> str:
    """Read a scope (an argparse type)."""
    try:
        return canonical_scope(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}") from None
