"""The command line: two modules for each verb (see `verbs`), and modules that several verbs use.

`main` is the only place that turns an error into a message and an exit code: 0 success, 1 failure, 2 invalid arguments
or configuration, 130 interrupted by Ctrl-C, 143 ended by SIGTERM. `run` returns the exit code of its command, `bisect`
3 for a range.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from snapproxy.cli.messages import print_error, print_json_error
from snapproxy.cli.parser import parse
from snapproxy.cli.verbs import main_of
from snapproxy.errors import ConfigurationError, SnapproxyError, TerminatedError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        code = main_of(arguments.verb)(arguments)
        sys.stdout.flush()
    except SnapproxyError as error:
        print_error(error)
        if getattr(arguments, "json", False):
            # `run` prints its JSON on stderr: stdout is its command's.
            print_json_error(error, sys.stderr if arguments.verb == "run" else sys.stdout)
        return 2 if isinstance(error, ConfigurationError) else 1
    except BrokenPipeError:
        # The reader of a pipe closed it (`| head`): not an error, but the interpreter must not write to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"snapproxy: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("snapproxy: interrupted", file=sys.stderr)
        return 130
    except TerminatedError:
        print("snapproxy: terminated", file=sys.stderr)
        return 143
    return code
