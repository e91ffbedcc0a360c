"""Read a file of the archive through snapproxy, which records it in the capture that the address names.

Solvers read an index again whose content the package manager does not print, and the detached signatures of roots, for
clients that check them offline.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

from snapproxy.solvers.model import SolverError

SECONDS = 300.0
"""Time limit for each part of an answer in seconds: snapproxy may wait for the upstream of the archive."""

_ABSENT = 404
_PIECE = 1 << 16


def read(base: str, path: str, *, most: int) -> bytes | None:
    """Return the file at `path` of the archive at `base`; None if the archive does not have it.

    Raises SolverError if snapproxy refuses the file for another reason, or if it has more than `most` bytes.
    """
    address = f"{base}/{quote(path)}"
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=SECONDS) as answer:
            return _whole(iter(lambda: answer.read(_PIECE), b""), path, most)
    except HTTPError as error:
        with error:
            if error.code == _ABSENT:
                return None
            raise _failed(path, f"{error.code} {error.reason}") from error
    except (URLError, OSError) as error:
        raise _failed(path, str(error)) from error


def _whole(pieces: Iterator[bytes], path: str, most: int) -> bytes:
    whole = bytearray()
    for piece in pieces:
        whole += piece
        if len(whole) > most:
            raise _failed(path, f"It has more than {most} bytes")
    return bytes(whole)


def _failed(path: str, why: str) -> SolverError:
    return SolverError("A file of the archive could not be read", why=f"{path[:200]}: {why}.")
