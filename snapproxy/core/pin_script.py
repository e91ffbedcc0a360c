"""The address of the script that pins a whole root: `/<when>[/~<capture>]/pin.sh`. Reads a path only; its text is `client_config.pin_script`'s."""

from __future__ import annotations

import re

from snapproxy.core.credentials import is_capture_name
from snapproxy.core.exchange import ScriptTarget
from snapproxy.core.model import Refusal
from snapproxy.core.time_spec import parse_time
from snapproxy.errors import ClientError

_PATH = re.compile(r"(?P<when>[^/]+)/(?:~(?P<capture>[^/]*)/)?pin\.sh")


def read_script(path: str, query: str | None, capture: str) -> ScriptTarget | None:
    """Read a canonical path behind which no archive stands, None when it is no script's. `capture` is what stood before it.

    Raises nothing: what is wrong with the address is told in the script's own language.
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
        return ScriptTarget(Refusal(400, "a query string has no meaning here"))
    if found["capture"] is not None and not is_capture_name(name):
        return ScriptTarget(Refusal(400, "that is not the name of a capture"))
    return ScriptTarget(when, name)
