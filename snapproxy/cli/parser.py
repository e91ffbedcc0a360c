"""The parser of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Sequence
from typing import NoReturn

from snapproxy import __version__
from snapproxy.cli.messages import print_json_error
from snapproxy.cli.verbs import VERBS, usage_of
from snapproxy.core.similar import similar
from snapproxy.errors import ConfigurationError

EPILOG = """\
TIME is 20240601T000000Z, 20240601, 2024-06-01, 2024-06-01T00:00:00Z, 1717200000 (SOURCE_DATE_EPOCH) or live;
.exact and .nearest may follow an instant. `snapproxy VERB --help` describes each verb.
"""


class _Parser(argparse.ArgumentParser):
    """Prints a usage error as text on stderr."""

    def suggesting(self, message: str, word: str, known: Iterable[str]) -> NoReturn:
        """End with a usage error that suggests the known word that is most like `word`, if there is one."""
        close = similar(word, known)
        self.error(f"{message}; did you mean {close}?" if close else message)


class _JsonParser(_Parser):
    """Prints a usage error as JSON on stdout as well."""

    def error(self, message: str) -> NoReturn:
        print_json_error(ConfigurationError(message, hint=self.format_usage().strip()))
        super().error(message)


def build_parser(loaded: Collection[str] = VERBS.keys(), *, as_json: bool = False) -> _Parser:
    """Return the parser. It lists every verb, and imports the arguments of the verbs in `loaded`.

    `as_json`: a usage error is printed as JSON too.
    """
    parser = (_JsonParser if as_json else _Parser)(
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
        verb.set_defaults(verb=name, parser=verb)
        if name in loaded:
            usage = usage_of(name)
            verb.description, verb.epilog = usage.__doc__, usage.EPILOG + _examples(usage.EXAMPLES)
            usage.add_arguments(verb)
    return parser


def _examples(examples: Sequence[str]) -> str:
    title = "Example" if len(examples) == 1 else "Examples"
    return f"\n{title}:\n" + "".join(f"  snapproxy {each}\n" for each in examples)


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
    parser = build_parser({called}, as_json="--json" in own)
    _check_verb(parser, own, called)
    arguments, unknown = parser.parse_known_args(own)
    verb: _Parser = arguments.parser
    if scattered := getattr(arguments, "scattered", ""):
        # argparse gives `*` the words before the first option alone, and the others are left over.
        getattr(arguments, scattered).extend(word for word in unknown if not word.startswith("-"))
        unknown = [word for word in unknown if word.startswith("-")]
    if unknown:
        options = [option for action in verb._actions for option in action.option_strings]  # noqa: SLF001 -- no public list
        verb.suggesting(f"unrecognized arguments: {' '.join(unknown)}", unknown[0].partition("=")[0], options)
    if hasattr(arguments, "command"):
        arguments.command += command
        if not arguments.command:
            verb.error("no command given; write it after --, as in: snapproxy run --at 2024-06-01 -- apt-get update")
    elif command:
        verb.error(f"unrecognized arguments: -- {' '.join(command)}")
    return arguments


def _check_verb(parser: _Parser, own: Sequence[str], called: str) -> None:
    """End with a usage error if the first word is not a verb, or an option of a verb precedes it."""
    if called and called not in VERBS:
        first = own[0]
        if first.startswith("--"):
            parser.error(f"{first} must follow the verb, as in: snapproxy resolve {first} ...")
        parser.suggesting(f"there is no verb {called!r}", called, VERBS)
