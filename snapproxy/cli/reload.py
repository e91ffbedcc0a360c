"""Reload the configuration of a running server at SIGHUP.

The new configuration is read and checked first. A mistake in it changes nothing: it is logged, and the server goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Never, Protocol

from snapproxy.base.clock import Clock
from snapproxy.cli.readiness import notify
from snapproxy.config import Config
from snapproxy.errors import SnapproxyError
from snapproxy_storage import StorageFailure

MAX_STATUS = 500
"""Maximum number of characters of a status line: the log has the whole list of mistakes."""

_log = logging.getLogger(__name__)


class Configurable(Protocol):
    """A server whose configuration can be replaced (`wiring.service.Service`)."""

    async def reload(self, config: Config) -> Sequence[str]: ...

    def status(self) -> str: ...


class Reloader:
    """Reloads `server` from `settings`, which reads and checks them, once for each request and one at a time."""

    def __init__(
        self, server: Configurable, settings: Callable[[], Config], environ: Mapping[str, str], clock: Clock
    ) -> None:
        self._server = server
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._requested = asyncio.Event()

    def request(self) -> None:
        """Reload soon. Requests that arrive during a reload cause one more."""
        self._requested.set()

    async def run(self) -> Never:
        """Reload at each request, until cancelled."""
        while True:
            await self._requested.wait()
            self._requested.clear()
            # systemd matches the answer with its request by this time (Type=notify-reload in systemd.service(5)).
            notify(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}", self._environ)
            fault = await self._reload()
            notify(f"READY=1\nSTATUS={fault or self._server.status()}", self._environ)

    async def _reload(self) -> str:
        """Reload, and return why the former configuration stays in use, '' if it was replaced."""
        try:
            config = await asyncio.to_thread(self._settings)
            changed = await self._server.reload(config)
        except SnapproxyError as error:
            fault = "; ".join([error.reason, *error.why.splitlines()])
        except StorageFailure as failure:
            fault = str(failure)
        except Exception:  # noqa: BLE001 # a server that is in use must not end because of its new settings
            fault = "internal error"
            _log.exception("The configuration could not be reloaded because of an internal error")
        else:
            _log.info("The configuration was reloaded from %s", config.source or "the environment")
            if changed:
                _log.warning("Restart the server to apply the new values of: %s", ", ".join(changed))
            return ""
        _log.error("The configuration was not reloaded, and the former one stays in use: %s", fault)
        return f"not reloaded: {fault}"[:MAX_STATUS]
