"""Reads OpenPGP's cleartext signature framework (RFC 9580, section 7): the signed text inside an InRelease.

It only takes the wrapping off, and strictly, so that what we read is what gpgv judged. Whether the signature is good is
decided elsewhere, from gpgv's own words.
"""

from __future__ import annotations

from snapproxy.errors import ArchiveDataError

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_END = b"-----END PGP SIGNATURE-----"
# gpg does not sign the blanks at the end of a line.
_BLANKS = b" \t\r"


def is_clearsigned(data: bytes) -> bool:
    """Whether `data` begins as a cleartext signed message does."""
    return data.startswith(_BEGIN)


def body(data: bytes) -> bytes:
    """Return the text that is signed, its dash-escapes undone, each line ended by a newline.

    Raises ArchiveDataError unless `data` is exactly one signed message: text before, after or between, which a lenient reader
    might take for signed, is refused (CVE-2013-1051 and CVE-2018-0501 in apt), as are a second message and unknown headers.
    """
    lines = data.split(b"\n")
    if lines[0].rstrip(_BLANKS) != _BEGIN:
        raise _refused("It does not begin with the header of a signed message.")
    text = _end_of_headers(lines)
    signature = next((i for i in range(text, len(lines)) if lines[i].rstrip(_BLANKS) == _SIGNATURE), None)
    if signature is None:
        raise _refused("Its signature is missing; it may have been cut short.")
    end = next((i for i in range(signature, len(lines)) if lines[i].rstrip(_BLANKS) == _END), None)
    if end is None:
        raise _refused("Its signature has no end; it may have been cut short.")
    if any(line.startswith(b"-") for line in lines[signature + 1 : end]):
        raise _refused("It has more than one signature block.")
    if any(line.strip(_BLANKS) for line in lines[end + 1 :]):
        raise _refused("It has text after its signature.")
    return b"".join(_unescaped(line) + b"\n" for line in lines[text:signature])


def _end_of_headers(lines: list[bytes]) -> int:
    """Return the index of the first line of the text. Only `Hash` may stand before it."""
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
