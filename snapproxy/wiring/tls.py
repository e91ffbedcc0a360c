"""The TLS listener of the settings, whose certificate a reload replaces."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from snapproxy.config import Config
from snapproxy.web.certificate import ServerCertificate, read_certificate


class TlsCertificate:
    """The certificate that the settings name (`wiring.service.Reloadable`).

    `current` is None without a TLS listener; `[tls]` itself takes effect at a start alone. Raises ConfigurationError.
    """

    def __init__(self, config: Config) -> None:
        self.current = ServerCertificate(_read(config)) if config.tls_listen else None

    def prepare(self, config: Config) -> Callable[[], None]:
        """Read the files again, also if their names are the same."""
        current = self.current
        if current is None or not config.tls_listen:
            return lambda: None
        new = _read(config)
        return lambda: current.replace(new)


def _read(config: Config) -> ssl.SSLContext:
    return read_certificate(Path(config.tls_certificate), Path(config.tls_key))
