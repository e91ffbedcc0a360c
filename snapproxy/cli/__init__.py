"""The command line, one file a verb.

`main` is the only place that turns an error into words and an exit code: 0 done, 1 it failed, 2 the call or the configuration
is wrong, 130 interrupted. `run` passes on its command's own code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from snapproxy.cli.messages import print_error
from snapproxy.cli.parser import parse
from snapproxy.cli.verbs import main_of
from snapproxy.errors import ConfigurationError, SnapproxyError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        code = main_of(arguments.verb)(arguments)
        sys.stdout.flush()
    except SnapproxyError as error:
        print_error(error)
        return 2 if isinstance(error, ConfigurationError) else 1
    except BrokenPipeError:
        # The reader of a pipe left (`| head`): no error, but nothing more may be written at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"snapproxy: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code
