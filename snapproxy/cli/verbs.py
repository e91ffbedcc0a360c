"""The verbs in the order of `snapproxy --help`, and the two modules of each verb.

`snapproxy.cli.usage.VERB` has the description, the options, the epilog and examples of a verb, and is imported to parse
its arguments. `snapproxy.cli.VERB` does the work, and is imported after the arguments are parsed, so that `--help`
imports no server, no client and no store.
"""

from __future__ import annotations

import argparse
import importlib
import keyword
from collections.abc import Callable, Mapping
from types import ModuleType

VERBS: Mapping[str, str] = {
    "serve": "run the proxy (needs no configuration)",
    "run": "run a command pinned to a time",
    "sources": "print client configuration for a time",
    "resolve": "print the snapshot that answers for a time",
    "timeline": "list the snapshots of an archive",
    "bad": "mark a snapshot as bad, or remove the mark",
    "when": "infer when a root, an image or a Dockerfile was made",
    "diff": "list the packages that differ between two times",
    "bisect": "find the first snapshot at which a command fails",
    "fetch": "fetch files as they were at a time",
    "prefetch": "fetch packages, dependencies, lists or suites into a capture",
    "observe": "record an archive as it is now",
    "capture": "list, show, compare, close, rename and remove captures",
    "lock": "write a capture's lock, show or compare locks",
    "export": "export a capture to a layout, a registry or a tree of files",
    "attach": "attach a capture to an image in a registry",
    "import": "import an exported capture into the store",
    "verify": "re-hash the files that a capture or a lock names",
    "fsck": "re-hash all stored files, fetch damaged ones again",
    "doctor": "check this installation, and say what to do",
    "backup": "copy the store to a folder while servers use it",
    "restore": "restore the store from a backup",
    "reproduce": "run a command again from a lock alone, and compare",
    "gc": "remove stored files that nothing needs, or report them",
    "pin": "protect the files of a capture, a snapshot or a lock",
    "unpin": "remove a pin",
    "stats": "print what is stored, or the counters of a server",
    "token": "create, list and revoke the tokens of clients",
    "config": "validate the settings, or print all of them",
}
"""The text of each verb in the list of `--help`."""


def usage_of(verb: str) -> ModuleType:
    """Import the module that describes a verb: its docstring, `EPILOG`, `EXAMPLES` and `add_arguments`."""
    return importlib.import_module(f"snapproxy.cli.usage.{_module(verb)}")


def main_of(verb: str) -> Callable[[argparse.Namespace], int]:
    """Import the function that carries out a verb and returns the exit code."""
    main: Callable[[argparse.Namespace], int] = importlib.import_module(f"snapproxy.cli.{_module(verb)}").main
    return main


def _module(verb: str) -> str:
    return f"{verb}_verb" if keyword.iskeyword(verb) else verb
