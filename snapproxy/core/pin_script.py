"""Read the address of the script that pins a whole root file system: `/<time>[/~<capture>]/pin.sh`.

This module only reads a path; `client_config.pin_script` writes the script.
"""

from __future__ import annotations

import re

from snapproxy.core.credentials import is_capture_name
from snapproxy.core.exchange import ScriptTarget
from snapproxy.core.model import Refusal
from snapproxy.core.time_spec import parse_time
from snapproxy.errors import ClientError

_PATH = re.compile(r"(?P<when>[^/]+)/(?:~(?P<capture>[^/]*)/)?pin\.sh")


def read_script(path: str, query: str | None, capture: str) -> ScriptTarget | None:
    """Read a canonical path that begins with no archive's name; None if it is not the address of a script.

    `capture` is the capture named before the path. Never raises: the errors of the address are in the target, because
    the answer must be a shell script as well.
    """
    found = _PATH.fullmatch(path)
    if not found:
        return None
    name = found["capture"] if found["capture"] is not None else capture
    try:
        when = parse_time(found["when"])
    except ClientError as error:
        return ScriptTarget(Refusal(error.status, error.reason, error.why, error.hint))
    if query is not None:
        return ScriptTarget(Refusal(400, "this address does not accept a query string"))
    if found["capture"] is not None and not is_capture_name(name):
        return ScriptTarget(Refusal(400, "that is not the name of a capture"))
    return ScriptTarget(when, name)
