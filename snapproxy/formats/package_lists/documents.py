"""Parse the JSON documents that lists come in: bare, as the predicate of an in-toto statement, or in an envelope.

- An in-toto statement (v0.1, v1) has the document as its `predicate`, older ones of cosign as `Data` of that.
- A DSSE envelope has the statement in base64, as `payload`; a bundle of Sigstore has the envelope.
- `docker buildx imagetools inspect --format '{{json .SBOM}}'` prints it as the member `SPDX`, and `.Provenance` as
  `SLSA`.

Signatures are not verified: a list is a request for files, whose digests or archives are checked themselves.
"""

from __future__ import annotations

import binascii
from base64 import b64decode

from snapproxy.formats import strict_json
from snapproxy.formats.package_lists.model import LARGEST, ListFormatError
from snapproxy.formats.package_lists.tree import MOST_VALUES, TreeValue

MOST_OBJECTS = 2_000_000
"""Maximum number of objects and arrays of a bill of materials; it may list every file of an image."""

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_WRAPPERS = ("predicate", "Data", "SPDX", "SLSA")
_BLANKS = b" \t\r\n"


def read_document(data: bytes, *words: bytes) -> TreeValue:
    """Return the object in which one of `words` (keys with their quotes) may be found.

    Raises ListFormatError. The words are searched for first, so that a document is only parsed by the readers of its
    own format.
    """
    if len(data) > LARGEST:
        raise ListFormatError("", f"It has {len(data)} bytes; the maximum is {LARGEST}.")
    if data.lstrip(_BLANKS)[:1] != b"{":
        raise ListFormatError("", "It is not a JSON object.")
    payload = _payload(data)
    if not any(word in payload for word in words):
        names = " or ".join(word.decode().strip('"') for word in words)
        raise ListFormatError("", f"It has no member {names}.")
    document = _parsed(payload)
    for name in _WRAPPERS:
        if isinstance(document.raw, dict) and isinstance(document.raw.get(name), dict):
            document = document.member(name)
    return document


def _payload(data: bytes) -> bytes:
    """Return the payload of an envelope, `data` itself without one."""
    if b'"payloadType"' not in data:
        return data
    envelope = _parsed(data).raw
    inner = envelope.get("dsseEnvelope", envelope)
    if not isinstance(inner, dict) or inner.get("payloadType") != _PAYLOAD_TYPE:
        return data
    try:
        return b64decode(inner["payload"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise ListFormatError("payload", "Expected base64.", is_recognised=True) from None


def _parsed(data: bytes) -> TreeValue:
    if data.count(b"{") + data.count(b"[") > MOST_OBJECTS or data.count(b",") > MOST_VALUES:
        raise ListFormatError("", f"It has more than {MOST_OBJECTS} objects or {MOST_VALUES} values.")
    try:
        found = strict_json.parse(data)
    except ValueError as error:
        raise ListFormatError("", str(error)) from None
    if not isinstance(found, dict):
        raise ListFormatError("", "It is not a JSON object.")
    return TreeValue(found)
