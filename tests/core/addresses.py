"""Calls `core.address` as a client would; shared by the tests of the address forms and of the refusals."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from snapproxy.archives import BUILTIN, HISTORIES
from snapproxy.core.address import AddressBook, read
from snapproxy.core.exchange import FileTarget
from snapproxy.core.model import Refusal
from snapproxy.core.time_spec import parse_time

ROWS = {row.name: row for row in BUILTIN}
BOOK = AddressBook(
    archives=BUILTIN,
    histories=HISTORIES,
    passes=(("files.example", 80), ("git.example", 443), ("other.example", 8080)),
    own_hosts=frozenset({"proxy.example:3142", "[::1]:3142"}),
)
TS = "20240601T000000Z"
SHA1 = "0123456789abcdef0123456789abcdef01234567"


def ask(target: str, book: AddressBook = BOOK, *, pair: str | None = None, method: str = "GET") -> Any:
    header = "" if pair is None else "Basic " + b64encode(pair.encode()).decode()
    return read(method, target, book, proxy_authorization=header)


def file(name: str, when: str, path: str, **further: str) -> FileTarget:
    return FileTarget(ROWS[name], parse_time(when), path, **further)


def refused(answer: object, status: int) -> Refusal:
    assert isinstance(answer, Refusal), answer
    assert answer.status == status, answer
    assert len(answer.reason) <= 80
    assert answer.reason.isascii()
    return answer
