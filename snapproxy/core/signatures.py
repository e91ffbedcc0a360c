"""Evaluate the signatures of a root: gpgv's report, or the results for its raw signatures.

`trust` runs gpgv and finds the keys. The status lines are those of `gpgv --status-fd` (GnuPG's doc/DETAILS; Sequoia's
gpgv-sq writes them too, sqv has none). gpgv's exit code is not sufficient: it is 0 for a revoked key and for SHA-1, and
2 for a good signature together with one by an unknown key.

The rules, from docs/explain/design.md section 6: one good signature is enough, and those by unknown keys are ignored; a
bad one is fatal; MD5, SHA-1 and RIPEMD-160 do not count; an expired key counts for signatures made before it expired; a
revoked one never does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from snapproxy.core.model import Instant

_PREFIX = "[GNUPG:] "
_OUTCOMES = frozenset({"GOODSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "BADSIG", "ERRSIG"})
# RFC 9580, section 9.5: SHA-256, 384, 512, 224, SHA3-256, SHA3-512. All others are weak or unknown.
_STRONG_HASHES = frozenset({"8", "9", "10", "11", "12", "14"})
# A signature over a binary document (a detached signature) or over text (a clear-signed root): RFC 9580, section 5.2.1.
_OVER_DOCUMENTS = frozenset({"00", "01"})
_LONGEST_INSTANT = 12  # digits
_LONGEST_NAME = 140  # of a key, in a message to a client
_NO_PUBLIC_KEY = "9"  # ERRSIG's code, libgpg-error's GPG_ERR_NO_PUBKEY


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a root is accepted. `signers` are the primary fingerprints of the keys that count; empty: refused.

    `reason` is a fixed text, ASCII, at most 80 characters; `why` may name keys, in hex. `is_mismatch`: a signature is
    not one of these bytes; a detached one may be of the root before or after.
    """

    signers: tuple[str, ...] = ()
    reason: str = ""
    why: str = ""
    hint: str = ""
    is_mismatch: bool = False

    @property
    def good(self) -> bool:
        """Whether at least one signature counts and none is bad."""
        return bool(self.signers)


class _Fault(IntEnum):
    """The reasons why a signature does not count; the greatest among a root's signatures is reported."""

    UNREADABLE = 1
    UNKNOWN_KEY = 2
    WEAK_HASH = 3
    EXPIRED = 4
    LATE = 5
    REVOKED = 6
    BAD = 7


_REASONS = {
    _Fault.UNREADABLE: (
        "The root's signature cannot be checked",
        "gpgv may be too old for it, or the root is damaged.",
    ),
    _Fault.UNKNOWN_KEY: (
        "The root is signed by a key that is in no keyring",
        "Add the archive's keyring in the configuration: [archives.NAME] keyrings = [...].",
    ),
    _Fault.WEAK_HASH: ("The root's signature uses a weak hash", "MD5, SHA-1 and RIPEMD-160 are no longer secure."),
    _Fault.EXPIRED: ("The root's signature has itself expired", "Request the archive at another time."),
    _Fault.LATE: (
        "The root was signed after its key had expired",
        "A newer keyring may have a later expiry date for the key.",
    ),
    _Fault.REVOKED: (
        "The root is signed by a revoked key",
        "Request the archive at a time when another key signed it.",
    ),
    _Fault.BAD: ("The root's signature is bad", "The root was changed after it was signed, or damaged in transit."),
}


@dataclass(slots=True)
class _Signature:
    """gpgv's report of one signature: the outcomes, the words of VALIDSIG, and when its key or a part of it expired."""

    outcomes: list[list[str]] = field(default_factory=list)
    valid: list[str] = field(default_factory=list)
    expiries: list[Instant] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The longest reported name of the key: the signing key's fingerprint, otherwise its id."""
        names = [name for words in (*self.outcomes, self.valid) for name in (*words[1:2], *words[7:8]) if _is_hex(name)]
        return max(names, key=len, default="?")

    @property
    def signer(self) -> str:
        """The primary key's fingerprint."""
        return _word(self.valid, 10) or _word(self.valid, 1)


def judge(status_lines: Iterable[str]) -> Verdict:
    """Evaluate a root by gpgv's status lines. Never raises: other lines and unknown ones are ignored."""
    lines = [line.rstrip("\r\n").removeprefix(_PREFIX).split(" ") for line in status_lines if line.startswith(_PREFIX)]
    if not lines:
        return Verdict(reason="gpgv gave no verdict", hint="Check that gpgv is installed and runs.")
    signatures = _gather(lines)
    if not signatures:
        return Verdict(reason="The root has no signature", why="gpgv found none in it.")
    faults = [(_fault(signature), signature) for signature in signatures]
    reported = max((fault for fault, _ in faults if fault is not None), default=None)
    signers = tuple(signature.signer for fault, signature in faults if fault is None)
    if reported is None or (signers and reported is not _Fault.BAD):
        return Verdict(signers=signers)
    keys = ", ".join(signature.key for fault, signature in faults if fault is reported)
    reason, hint = _REASONS[reported]
    return Verdict(reason=reason, why=f"The key: {keys}.", hint=hint, is_mismatch=reported is _Fault.BAD)


def judge_raw_signatures(findings: Sequence[tuple[str, bool | None]]) -> Verdict:
    """Evaluate a root by its raw signatures, with the same rules.

    A finding is (name of the key, whether the signature is good; None if the key is unknown).
    """
    if not findings:
        return Verdict(reason="The root has no signature", why="It contains no signature of a supported kind.")
    good, bad = ([key for key, is_good in findings if is_good is wanted] for wanted in (True, False))
    if good and not bad:
        return Verdict(signers=tuple(good))
    reason, hint = _REASONS[_Fault.BAD if bad else _Fault.UNKNOWN_KEY]
    keys = ", ".join(repr(key[:_LONGEST_NAME]) for key in bad or [key for key, _ in findings])
    return Verdict(reason=reason, why=f"The key: {keys}.", hint=hint)


def _gather(lines: Iterable[list[str]]) -> list[_Signature]:
    """Group the lines by signature: each begins with NEWSIG."""
    signatures: list[_Signature] = []
    for words in lines:
        if words[0] == "NEWSIG":
            signatures.append(_Signature())
        elif not signatures:
            continue
        elif words[0] in _OUTCOMES:
            signatures[-1].outcomes.append(words)
        elif words[0] == "VALIDSIG":
            signatures[-1].valid = words
        elif words[0] == "KEYEXPIRED" and (expiry := _instant(words, 1)):
            signatures[-1].expiries.append(expiry)
    return signatures


def _fault(signature: _Signature) -> _Fault | None:
    """Return why the signature does not count, None if it does."""
    outcomes = {words[0] for words in signature.outcomes}
    if "BADSIG" in outcomes:
        return _Fault.BAD
    if "REVKEYSIG" in outcomes:
        return _Fault.REVOKED
    if "ERRSIG" in outcomes:
        return _error(next(words for words in signature.outcomes if words[0] == "ERRSIG"))
    valid = signature.valid
    if _word(valid, 9) not in _OVER_DOCUMENTS or not _is_hex(signature.signer):
        return _Fault.UNREADABLE
    if _word(valid, 8) not in _STRONG_HASHES:
        return _Fault.WEAK_HASH
    if "EXPSIG" in outcomes:
        return _Fault.EXPIRED
    if "EXPKEYSIG" in outcomes:
        # gpgv reports the expiry of every expired part of the key, and 0 for a subkey that expires with its primary
        # key. It does not report which part is which, so the signature must be older than all of them.
        made = _instant(valid, 3)
        return None if made and signature.expiries and made < min(signature.expiries) else _Fault.LATE
    return None if outcomes == {"GOODSIG"} else _Fault.UNREADABLE


def _error(words: list[str]) -> _Fault:
    """Read ERRSIG: key id, public key algorithm, hash algorithm, class, time, code, fingerprint."""
    if _word(words, 6) == _NO_PUBLIC_KEY:
        return _Fault.UNKNOWN_KEY
    if _word(words, 3) not in _STRONG_HASHES:
        return _Fault.WEAK_HASH
    return _Fault.UNREADABLE


def _instant(words: list[str], at: int) -> Instant:
    """Return the seconds in the word at `at`, 0 if it is not a time."""
    word = _word(words, at)
    return int(word) if len(word) <= _LONGEST_INSTANT and word.isascii() and word.isdigit() else 0


def _word(words: list[str], at: int) -> str:
    """Return the word at `at`, '' if the line is shorter. The order is that of GnuPG's doc/DETAILS."""
    return words[at] if len(words) > at else ""


def _is_hex(word: str) -> bool:
    """Return whether the word identifies a key: an id of 16 hex digits, or a fingerprint of 40 or 64."""
    return len(word) in {16, 40, 64} and all(digit in "0123456789ABCDEF" for digit in word)
