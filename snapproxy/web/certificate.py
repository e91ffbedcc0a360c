"""The certificate of the TLS listener: read it from its files, and replace it while the server runs."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import NoReturn

from snapproxy.errors import ConfigurationError

HANDSHAKE_S = 10.0
"""Seconds for a handshake, and for the end of a session: a client that sends nothing keeps no connection longer."""

_REASON = "The certificate of the TLS listener cannot be used"


class ServerCertificate:
    """The certificate that new connections get.

    `context` is for the listening socket. It passes each handshake on to the current certificate.
    """

    def __init__(self, current: ssl.SSLContext) -> None:
        self._current = current
        self.context = _new_context()
        # Called in every handshake, also if the client names no server (SSLContext.sni_callback).
        self.context.sni_callback = self._choose

    def replace(self, current: ssl.SSLContext) -> None:
        """Use another certificate for the connections that begin from now on."""
        self._current = current

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


@dataclass(frozen=True, slots=True)
class TlsListener:
    """Listening sockets whose connections begin with a TLS handshake."""

    sockets: Sequence[socket]
    certificate: ServerCertificate


def read_certificate(certificate: Path, key: Path) -> ssl.SSLContext:
    """Read a certificate with its chain, and its private key, from PEM files.

    The key must not be readable or writable by other users. Raises ConfigurationError.
    """
    context = _new_context()
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            raise ConfigurationError(
                _REASON,
                why=f"{key} has the mode {mode:04o}: other users can read or write the private key.",
                hint=f"Run: chmod o-rw {key}",
            )
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        why = f"{certificate} and {key}: {error.reason or 'they are not a certificate and its key in PEM form'}."
        raise ConfigurationError(_REASON, why=why, hint="Both are PEM files, and the key belongs to it.") from error
    except OSError as error:
        named = f"{error.filename}: " if error.filename else f"{certificate} or {key}: "
        raise ConfigurationError(
            _REASON,
            why=f"{named}{error.strerror}.",
            hint="The user of the service must be able to read both files, also when it reloads its settings.",
        ) from error
    return context


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> NoReturn:
    """Raise: OpenSSL would ask the terminal for the password of an encrypted key."""
    raise ConfigurationError(
        _REASON, why="The private key is encrypted.", hint="Remove its password: openssl pkey -in KEY -out NEW-KEY"
    )
