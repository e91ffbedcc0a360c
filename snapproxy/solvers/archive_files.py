"""Read a file of the archive through snapproxy, which records it in the capture that the address names.

Solvers read an index again whose content the package manager does not print, and the detached signatures of roots, for
clients that check them offline.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

from snapproxy.solvers.model import SolverError

SECONDS = 300.0
"""Time limit for each part of an answer in seconds: snapproxy may wait for the upstream of the archive."""

POLL_SECONDS = 0.2
"""Interval of the checks for a cancellation in seconds."""

_ABSENT = 404
_PIECE = 1 << 16


def read(base: str, path: str, *, most: int, cancelled: threading.Event) -> bytes | None:
    """Return the file at `path` of the archive at `base`; None if the archive does not have it.

    Raises SolverError if snapproxy refuses the file for another reason, if it has more than `most` bytes, if it does
    not arrive whole, or soon after `cancelled` is set.
    """
    result: Future[bytes | None] = Future()
    threading.Thread(target=_finish, args=(result, base, path, most), daemon=True).start()
    while True:
        with suppress(TimeoutError):
            return result.result(POLL_SECONDS)
        if cancelled.is_set():
            raise SolverError("The solver was cancelled")  # the thread ends with the connection, when snapproxy stops


def _finish(result: Future[bytes | None], base: str, path: str, most: int) -> None:
    try:
        result.set_result(_read(base, path, most))
    except BaseException as error:  # noqa: BLE001 -- raised again by the thread that waits
        result.set_exception(error)


def _read(base: str, path: str, most: int) -> bytes | None:
    try:
        with build_opener(ProxyHandler({})).open(f"{base}/{quote(path)}", timeout=SECONDS) as answer:
            return _whole(answer, path, most)
    except HTTPError as error:
        with error:
            if error.code == _ABSENT:
                return None
            raise _failed(path, f"{error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise _failed(path, str(error) or type(error).__name__) from error


def _whole(answer: HTTPResponse, path: str, most: int) -> bytes:
    whole = bytearray()
    while piece := answer.read(_PIECE):
        whole += piece
        if len(whole) > most:
            raise _failed(path, f"It has more than {most} bytes")
    if answer.length:  # a read by pieces does not report the end of the connection
        raise _failed(path, f"{answer.length} bytes are missing at its end")
    return bytes(whole)


def _failed(path: str, why: str) -> SolverError:
    return SolverError("A file of the archive could not be read", why=f"{path[:200]}: {why}.")
