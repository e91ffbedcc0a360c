"""The access log of a server, whose form a reload may change."""

from __future__ import annotations

import os
from collections.abc import Callable

from snapproxy.config import Config
from snapproxy.web.access_lines import AccessLog

_STDOUT = 1


class ConfiguredAccessLog:
    """The access log of one process. Lines of the combined and the JSON form go to standard output."""

    def __init__(self, config: Config) -> None:
        self.log = AccessLog(config.access_log, write_all)

    def prepare(self, config: Config) -> Callable[[], None]:
        """Return a function that applies the setting (`service.Reloadable`)."""

        def apply() -> None:
            self.log.form = config.access_log

        return apply


def write_all(data: bytes) -> None:
    """Write bytes to standard output. Raises OSError."""
    while data:
        data = data[os.write(_STDOUT, data) :]
