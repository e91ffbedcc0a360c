"""The parser of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence

from snapproxy import __version__
from snapproxy.cli.verbs import VERBS, usage_of

EPILOG = """\
TIME is 20240601T000000Z, 20240601, 2024-06-01, 2024-06-01T00:00:00Z, 1717200000 (SOURCE_DATE_EPOCH) or live;
.exact and .nearest may follow an instant. `snapproxy VERB --help` describes each verb.
"""


def build_parser(loaded: Collection[str] = VERBS.keys()) -> argparse.ArgumentParser:
    """Return the parser. It lists every verb, and imports the arguments of the verbs in `loaded`."""
    parser = argparse.ArgumentParser(
        prog="snapproxy",
        description="Makes a package manager see its distribution as it was at one instant.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"snapproxy {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, summary in VERBS.items():
        verb = verbs.add_parser(
            name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )
        verb.set_defaults(verb=name)
        if name in loaded:
            usage = usage_of(name)
            verb.description, verb.epilog = usage.__doc__, usage.EPILOG
            usage.add_arguments(verb)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. Everything after the first `--` is the user's command, unparsed.

    argparse changed twice how it treats a second `--`, so it gets none.
    """
    own, command = list(argv), []
    if "--" in own:
        cut = own.index("--")
        own, command = own[:cut], own[cut + 1 :]
    # No option before the verb takes a value, so the first word is the verb.
    called = next((word for word in own if not word.startswith("-")), "")
    parser = build_parser({called})
    arguments = parser.parse_args(own)
    if hasattr(arguments, "command"):
        arguments.command += command
        if not arguments.command:
            parser.error(
                f"{own[0]}: no command given; write it after --, as in: snapproxy run --at 2024-06-01 -- apt-get update"
            )
    elif command:
        parser.error(f"unrecognized arguments: -- {' '.join(command)}")
    return arguments
