"""Read OpenPGP's cleartext signature framework (RFC 9580, section 7): extract the signed text from an InRelease.

The parser is strict, so that the extracted text is exactly the text that gpgv verifies. Callers verify the signature
itself, by running gpgv.
"""

from __future__ import annotations

from snapproxy.errors import ArchiveDataError

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_END = b"-----END PGP SIGNATURE-----"
# gpg does not sign white space at the end of a line.
_BLANKS = b" \t\r"


def is_clearsigned(data: bytes) -> bool:
    """Return whether `data` begins with the header of a cleartext signed message."""
    return data.startswith(_BEGIN)


def body(data: bytes) -> bytes:
    """Return the signed text with dash escapes removed, each line ended by a newline.

    Raises ArchiveDataError unless `data` is exactly one signed message. Text before, after or between its parts is
    refused, because a lenient parser might treat it as signed (CVE-2013-1051 and CVE-2018-0501 in apt); so are a second
    message and unknown headers.
    """
    lines = data.split(b"\n")
    if lines[0].rstrip(_BLANKS) != _BEGIN:
        raise _refused("It does not begin with the header of a signed message.")
    text = _end_of_headers(lines)
    signature = next((i for i in range(text, len(lines)) if lines[i].rstrip(_BLANKS) == _SIGNATURE), None)
    if signature is None:
        raise _refused("Its signature is missing; the file may be truncated.")
    end = next((i for i in range(signature, len(lines)) if lines[i].rstrip(_BLANKS) == _END), None)
    if end is None:
        raise _refused("Its signature has no end; the file may be truncated.")
    if any(line.startswith(b"-") for line in lines[signature + 1 : end]):
        raise _refused("It has more than one signature block.")
    if any(line.strip(_BLANKS) for line in lines[end + 1 :]):
        raise _refused("It has text after its signature.")
    return b"".join(_unescaped(line) + b"\n" for line in lines[text:signature])


def _end_of_headers(lines: list[bytes]) -> int:
    """Return the index of the first line of the text. `Hash` is the only header allowed before it."""
    for number, line in enumerate(lines[1:], start=1):
        if line in {b"", b"\r"}:
            return number + 1
        if not line.startswith(b"Hash: "):
            break
    raise _refused("It has a header other than Hash, or no empty line after its headers.")


def _unescaped(line: bytes) -> bytes:
    if line.startswith(b"- "):
        return line[2:]
    if line.startswith(b"-"):
        raise _refused("A line of its text begins with a dash that is not escaped.")
    return line


def _refused(why: str) -> ArchiveDataError:
    return ArchiveDataError("The root is not one cleartext signed message", why=why)
