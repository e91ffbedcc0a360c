"""Signed roots are judged as in design.md section 6, from reports of gpgv, recorded and real."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.signatures import Verdict, judge

MADE, EXPIRES = 1590969600, 1609459200  # 1 June 2020, 1 January 2021
GOOD, OTHER = "D9D85A53C7B38F009F2DF7F4AAF2222CF6E17AC1", "69853265330BC66667E66D8E4062CADE4130A977"


def status(*lines: str) -> list[str]:
    return [f"[GNUPG:] {line}\n" for line in lines]


def signed(
    outcome: str = "GOODSIG",
    key: str = GOOD,
    *,
    made: int = MADE,
    hash_: int = 8,
    class_: str = "01",
    expired: str = "",
) -> list[str]:
    """What gpgv 2.2.40 says of one signature, with a key's expiry as it stands before SIG_ID."""
    expiry = [f"KEYEXPIRED {expired}"] if expired else []
    return status(
        "NEWSIG good@test",
        f"KEY_CONSIDERED {key} 0",
        *expiry,
        "SIG_ID RbU9hSDSsB0syhkeCf+linUr95U 2020-06-01 1590969600",
        f"{outcome} {key[-16:]} good <good@test>",
        f"VALIDSIG {key} 2020-06-01 {made} 0 4 0 22 {hash_} {class_} {key}",
    )


UNKNOWN = status("NEWSIG", f"ERRSIG {OTHER[-16:]} 22 8 01 {MADE} 9 {OTHER}", f"NO_PUBKEY {OTHER[-16:]}")
BAD = status("NEWSIG", f"BADSIG {OTHER[-16:]} other <other@test>")
WEAK = status("NEWSIG", f"ERRSIG {OTHER[-16:]} 22 2 01 {MADE} 5 {OTHER}")
EXPIRED = "EXPKEYSIG"


# --- recorded ---------------------------------------------------------------------------------------------------


def test_one_good_signature_is_enough_and_its_primary_key_is_named() -> None:
    """Debian's security archive signs with a subkey."""
    lines = status(
        "NEWSIG",
        "KEY_CONSIDERED AC530D520F2F3269F5E98313A48449044AAD5C5D 0",
        "SIG_ID 3mysYIOG5yPK6Yyxhlv6luIW/i0 2026-11-18 1795040262",
        "GOODSIG 54404762BBB6E853 Debian Security Archive Automatic Signing Key (11/bullseye) <ftpmaster@debian.org>",
        "VALIDSIG ED541312A33F1128F10B1C6C54404762BBB6E853 2026-11-18 1795040262 0 4 0 1 8 01 "
        "AC530D520F2F3269F5E98313A48449044AAD5C5D",
    )
    assert judge(lines) == Verdict(signers=("AC530D520F2F3269F5E98313A48449044AAD5C5D",))
    assert judge(lines).good


def test_keys_we_do_not_hold_count_for_nothing_beside_a_good_one() -> None:
    assert judge(signed() + UNKNOWN) == judge(UNKNOWN + signed()) == Verdict(signers=(GOOD,))
    assert judge(signed() + signed(key=OTHER)).signers == (GOOD, OTHER)


@pytest.mark.parametrize("worthless", [UNKNOWN, WEAK, signed("REVKEYSIG", OTHER), signed("EXPSIG", OTHER)])
def test_a_signature_that_does_not_count_takes_nothing_from_a_good_one(worthless: list[str]) -> None:
    assert judge(worthless + signed()).signers == (GOOD,)


@pytest.mark.parametrize("lines", [BAD, BAD + signed(), signed() + BAD, UNKNOWN + BAD])
def test_a_bad_signature_is_fatal_whatever_stands_beside_it(lines: list[str]) -> None:
    verdict = judge(lines)
    assert not verdict.good
    assert verdict.reason == "The root's signature is bad"


def test_an_unknown_key_is_named() -> None:
    verdict = judge(UNKNOWN)
    assert (verdict.good, verdict.reason) == (False, "The root is signed by a key that is in no keyring")
    assert OTHER in verdict.why
    assert "keyrings" in verdict.hint


@pytest.mark.parametrize("hash_", [1, 2, 3, 6, 99])
def test_weak_hashes_are_refused_whatever_gpgv_thinks_of_them(hash_: int) -> None:
    """gpgv calls SHA-1 and RIPEMD-160 good unless told otherwise."""
    refused = status("NEWSIG", f"ERRSIG {GOOD[-16:]} 22 {hash_} 01 {MADE} 5 {GOOD}")
    for lines in (signed(hash_=hash_), refused):
        assert judge(lines).reason == "The root's signature uses a weak hash"


@pytest.mark.parametrize("hash_", [8, 9, 10, 11, 12, 14])
def test_strong_hashes_pass(hash_: int) -> None:
    assert judge(signed(hash_=hash_)).good


@pytest.mark.parametrize(("made", "passes"), [(EXPIRES - 1, True), (EXPIRES, False), (EXPIRES + 1, False)])
def test_an_expired_key_passes_for_what_it_signed_before(made: int, passes: bool) -> None:
    verdict = judge(signed(EXPIRED, made=made, expired=str(EXPIRES)))
    assert verdict.good is passes
    assert passes or verdict.reason == "The root was signed after its key had expired"


def test_of_several_expiries_the_first_counts() -> None:
    """A primary key that ended before its subkey: gpgv names both, and says 0 for a part without an end."""
    lines = signed(EXPIRED, made=EXPIRES + 5, expired=str(EXPIRES + 9))
    assert judge(lines).good
    lines[1:1] = status(f"KEYEXPIRED {EXPIRES}")
    assert not judge(lines).good


@pytest.mark.parametrize("expired", ["", "0", "soon", "9" * 5000])
def test_an_expired_key_whose_end_is_not_said_does_not_pass(expired: str) -> None:
    assert not judge(signed(EXPIRED, expired=expired)).good


@pytest.mark.parametrize("made", ["", "0", "soon"])
def test_an_expired_key_does_not_pass_when_the_time_of_signing_is_not_said(made: str) -> None:
    lines = [line.replace(str(MADE), made) for line in signed(EXPIRED, expired=str(EXPIRES))]
    assert not judge(lines).good


def test_an_old_subkeys_end_means_nothing_while_the_signing_key_lives() -> None:
    assert judge(signed(made=EXPIRES + 5, expired=str(EXPIRES))).good


def test_an_expiry_belongs_to_its_own_signature() -> None:
    lines = signed(EXPIRED, made=EXPIRES + 5, expired=str(EXPIRES + 9)) + signed(EXPIRED, expired=str(EXPIRES))
    assert len(judge(lines).signers) == 2


def test_a_revoked_key_never_passes() -> None:
    verdict = judge(signed("REVKEYSIG"))
    assert (verdict.good, verdict.reason) == (False, "The root is signed by a revoked key")
    assert GOOD in verdict.why


def test_a_signature_that_has_itself_expired_is_refused() -> None:
    assert judge(signed("EXPSIG")).reason == "The root's signature has itself expired"


def test_the_gravest_reason_is_told() -> None:
    assert "revoked" in judge(UNKNOWN + signed("REVKEYSIG") + WEAK).reason


@pytest.mark.parametrize("lines", [status("NODATA 1", "NODATA 2"), status("NODATA 4"), status("UNEXPECTED 0")])
def test_a_root_without_signature_is_refused(lines: list[str]) -> None:
    assert judge(lines).reason == "The root has no signature"


@pytest.mark.parametrize("lines", [[], ["gpgv: Good signature"], ["GOODSIG X", "VALIDSIG X"]])
def test_silence_is_no_verdict(lines: list[str]) -> None:
    assert judge(lines).reason == "gpgv gave no verdict"


@pytest.mark.parametrize(
    "lines",
    [
        signed()[:-1],  # good, but never called valid
        [line for line in signed() if "GOODSIG" not in line],
        signed(class_="10"),  # over a user id, not over a document
        status("NEWSIG", f"GOODSIG {GOOD[-16:]} x", "VALIDSIG"),
        status("NEWSIG", f"GOODSIG {GOOD[-16:]} x", f"VALIDSIG ../x 2020-06-01 {MADE} 0 4 0 22 8 01"),
        status("NEWSIG", f"ERRSIG {GOOD[-16:]} 22 8 01 {MADE} 1 {GOOD}"),
        status("NEWSIG", "ERRSIG"),
        status("NEWSIG"),
    ],
)
def test_what_cannot_be_made_out_does_not_pass(lines: list[str]) -> None:
    assert not judge(lines).good


WORDS = st.sampled_from(
    ["NEWSIG", "GOODSIG", "BADSIG", "ERRSIG", "EXPKEYSIG", "VALIDSIG", "KEYEXPIRED", "0", "9", "01", "8"]
) | st.just(GOOD)


@given(st.lists(st.lists(WORDS | st.text(max_size=5), max_size=12).map(" ".join)))
def test_any_lines_are_judged_and_none_passes_without_its_outcome(lines: list[str]) -> None:
    verdict = judge([f"[GNUPG:] {line}" for line in lines])
    assert verdict.good is not bool(verdict.reason)
    assert verdict.reason.isascii()
    assert len(verdict.reason) <= 80
    assert not verdict.good or {line.split(" ")[0] for line in lines} >= {"NEWSIG", "VALIDSIG"}


# --- run --------------------------------------------------------------------------------------------------------

BODY = "Origin: T\n"
Gpg = Callable[..., bytes]


@pytest.fixture(scope="session")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpg]:
    """Run gpg in a home of its own, at a time of the test's choosing."""
    home = tmp_path_factory.mktemp("g")
    home.chmod(0o700)
    base = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--no-tty", "--passphrase", ""]

    def run(*arguments: str, at: str = "20200601T000000", text: str = "") -> bytes:
        command = [*base, "--pinentry-mode", "loopback", "--faked-system-time", at, *arguments]
        return subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout

    for name, until in [("good", "never"), ("other", "never"), ("brief", "20210101T000000"), ("gone", "never")]:
        run("--quick-gen-key", f"{name} <{name}@test>", "ed25519", "sign", until, at="20200101T000000")
    yield run
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)


@pytest.fixture(scope="session")
def verify(gpg: Gpg, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Verdict]:
    """Judge a signed text by the real gpgv, with a keyring of these keys."""
    folder = tmp_path_factory.mktemp("v")

    def run(signed_text: bytes, *keys: str) -> Verdict:
        (folder / "keyring.gpg").write_bytes(gpg("--export", *keys))
        (folder / "InRelease").write_bytes(signed_text)
        command = ["gpgv", "--status-fd", "1", "--keyring", str(folder / "keyring.gpg"), str(folder / "InRelease")]
        return judge(subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines())

    return run


def fingerprint_of(gpg: Gpg, key: str) -> str:
    listing = gpg("--list-keys", "--with-colons", key).decode()
    return listing.partition("\nfpr:::::::::")[2].partition(":")[0]


def clearsign(gpg: Gpg, *keys: str, at: str = "20200601T000000", more: tuple[str, ...] = ()) -> bytes:
    return gpg("--clearsign", *more, *(word for key in keys for word in ("-u", key)), at=at, text=BODY)


def test_gpgv_and_a_good_root(gpg: Gpg, verify: Callable[..., Verdict]) -> None:
    fingerprint = fingerprint_of(gpg, "good")
    assert verify(clearsign(gpg, "good"), "good") == Verdict(signers=(fingerprint,))
    assert verify(clearsign(gpg, "good", "other"), "good").signers == (fingerprint,)
    assert len(verify(clearsign(gpg, "good", "other"), "good", "other").signers) == 2


def test_gpgv_and_a_root_that_was_changed(gpg: Gpg, verify: Callable[..., Verdict]) -> None:
    changed = clearsign(gpg, "good", "other").replace(b"Origin: T", b"Origin: X")
    assert verify(changed, "good").reason == "The root's signature is bad"


def test_gpgv_and_a_root_by_a_stranger(gpg: Gpg, verify: Callable[..., Verdict]) -> None:
    assert verify(clearsign(gpg, "good"), "other").reason == "The root is signed by a key that is in no keyring"


def test_gpgv_and_weak_hashes(gpg: Gpg, verify: Callable[..., Verdict]) -> None:
    for name in ("SHA1", "RIPEMD160"):
        weak = clearsign(gpg, "good", more=("--digest-algo", name))
        assert verify(weak, "good").reason == "The root's signature uses a weak hash"
    weak = clearsign(gpg, "good", more=("--digest-algo", "MD5", "--allow-weak-digest-algos"))
    assert verify(weak, "good").reason == "The root's signature uses a weak hash"


def test_gpgv_and_an_expired_key(gpg: Gpg, verify: Callable[..., Verdict]) -> None:
    """The key's owner signs on with a longer life, which the keyring we hold does not know."""
    in_time = clearsign(gpg, "brief", at="20201231T000000")
    assert verify(in_time, "brief").good
    fingerprint = fingerprint_of(gpg, "brief")
    gpg("--quick-set-expire", fingerprint, "20220101T000000", at="20201231T000000")
    late = clearsign(gpg, "brief", at="20210601T000000")
    assert verify(late, "brief").good
    gpg("--quick-set-expire", fingerprint, "20210101T000000", at="20201231T000001")
    assert verify(late, "brief").reason == "The root was signed after its key had expired"


def test_gpgv_and_an_expired_signature(gpg: Gpg, verify: Callable[..., Verdict]) -> None:
    brief = clearsign(gpg, "good", more=("--default-sig-expire", "30d"))
    assert verify(brief, "good").reason == "The root's signature has itself expired"


def test_gpgv_and_a_revoked_key(gpg: Gpg, verify: Callable[..., Verdict]) -> None:
    root = clearsign(gpg, "gone")
    assert verify(root, "gone").good
    home = gpg("--version").decode().partition("\nHome: ")[2].partition("\n")[0]
    revocation = Path(home, "openpgp-revocs.d", f"{fingerprint_of(gpg, 'gone')}.rev").read_text()
    gpg("--import", text=revocation.replace("\n:-----", "\n-----"))
    assert verify(root, "gone").reason == "The root is signed by a revoked key"


def test_gpgv_and_a_root_that_is_not_signed_or_cut(gpg: Gpg, verify: Callable[..., Verdict]) -> None:
    assert verify(BODY.encode(), "good").reason == "The root has no signature"
    assert verify(b"", "good").reason == "The root has no signature"
    assert verify(clearsign(gpg, "good")[:-150], "good").good is False


def test_gpgv_and_a_keyring_that_is_not_there(gpg: Gpg, tmp_path: Path) -> None:
    (tmp_path / "InRelease").write_bytes(clearsign(gpg, "good"))
    command = ["gpgv", "--status-fd", "1", "--keyring", str(tmp_path / "none.gpg"), str(tmp_path / "InRelease")]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    assert judge(lines).reason == "The root is signed by a key that is in no keyring"


def test_gpgv_and_debians_own_root() -> None:
    """With Debian's keys where this machine has them; without them its signers are strangers, never good."""
    root = Path("tests/data/debian-security/dists/bookworm-security/InRelease")
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    command = ["gpgv", "--status-fd", "1", "--keyring", str(keyring), str(root)]
    verdict = judge(subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines())
    if keyring.exists():
        assert "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0" in verdict.signers
    else:
        assert verdict.reason == "The root is signed by a key that is in no keyring"
