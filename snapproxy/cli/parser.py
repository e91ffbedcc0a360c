"""The verbs in their order, and the parser they make up."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from snapproxy import __version__
from snapproxy.cli import (
    attach,
    bad,
    capture,
    config,
    diff,
    export,
    fetch,
    import_verb,
    lock,
    observe,
    reproduce,
    resolve,
    run,
    serve,
    sources,
    stats,
    timeline,
    verify,
)

VERBS = {
    "serve": serve,
    "run": run,
    "sources": sources,
    "resolve": resolve,
    "timeline": timeline,
    "bad": bad,
    "diff": diff,
    "fetch": fetch,
    "observe": observe,
    "capture": capture,
    "lock": lock,
    "export": export,
    "attach": attach,
    "import": import_verb,
    "verify": verify,
    "reproduce": reproduce,
    "stats": stats,
    "config": config,
}

EPILOG = """\
WHEN is 20240601T000000Z, 20240601, 2024-06-01, 2024-06-01T00:00:00Z, 1717200000 (SOURCE_DATE_EPOCH) or live;
.exact and .nearest may follow an instant. `snapproxy VERB --help` says more.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser. Every verb's module gives its `HELP`, its arguments and the function to call."""
    parser = argparse.ArgumentParser(
        prog="snapproxy",
        description="Makes a package manager see its distribution as it was at one instant.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"snapproxy {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, module in VERBS.items():
        verb = verbs.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            epilog=module.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(verb)
        verb.set_defaults(verb=module.main)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. What follows the first `--` is a command's own, whatever it looks like.

    argparse changed twice in how it treats a second `--`, so it is not shown any.
    """
    own, command = list(argv), []
    if "--" in own:
        cut = own.index("--")
        own, command = own[:cut], own[cut + 1 :]
    parser = build_parser()
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
