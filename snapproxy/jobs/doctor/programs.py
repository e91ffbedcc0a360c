"""Check the programs and keyrings that snapproxy needs, and the environment. The functions block."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from snapproxy.core.model import Archive
from snapproxy.core.signature_schemes import OpenPgp
from snapproxy.families import FAMILIES
from snapproxy.jobs.doctor.finding import Diagnosis, ok, problem, warning
from snapproxy.trust.openpgp import PROGRAMS
from snapproxy.trust.roots import available_keyrings

_SECONDS = 20.0
_HELPER = "snapproxy.indexes.helper_main"
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
_EXPIRED = "e"
_VALIDITY = 1
"""The field of a key's validity in gpg's listing (doc/DETAILS of GnuPG)."""


def check_verifier() -> Diagnosis:
    """Return whether a program that checks OpenPGP signatures is installed."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        what = f"none of {', '.join(PROGRAMS)} is in PATH: roots of apt and rpm archives are refused"
        return problem("signatures", what, "Install the package gpgv.")
    return ok("signatures", f"checked by {found}")


def check_helper() -> Diagnosis:
    """Return whether the process that parses indexes can be started, by importing its module."""
    try:
        ended = subprocess.run(  # noqa: S603 - fixed arguments
            [sys.executable, "-I", "-c", f"import {_HELPER}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return problem("helper process", f"it does not run: {error}", "Check the limits of processes and memory.")
    if ended.returncode:
        line = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
        hint = "Install snapproxy for this interpreter: the helper does not use PYTHONPATH."
        return problem("helper process", f"{sys.executable} cannot run it: {line}", hint)
    return ok("helper process", f"{sys.executable} runs it")


def check_keyrings(archives: Sequence[Archive]) -> Iterator[Diagnosis]:
    """Yield the findings about the keyrings of the archives in use."""
    for archive in archives:
        check, usable = f"keyrings of {archive.name}", available_keyrings(archive, FAMILIES[archive.family])
        if not usable:
            listed = ", ".join(archive.keyrings) or "none is configured"
            hint = f"Install the archive's keyring package, or set archives.{archive.name}.keyrings."
            yield warning(check, f"no key can be read ({listed}): files have the proof `index` at most", hint)
            continue
        expired = [name for name in usable if _is_expired(name)] if _is_openpgp(archive) else []
        if len(expired) == len(usable):
            what = f"all keys of {', '.join(expired)} are expired: new signatures are refused"
            yield problem(check, what, "Upgrade the archive's keyring package.")
        else:
            yield ok(check, ", ".join(usable))


def _is_openpgp(archive: Archive) -> bool:
    return isinstance(FAMILIES[archive.family].scheme, OpenPgp)


def _is_expired(keyring: str) -> bool:
    """Return whether every primary key of a keyring is expired, if gpg is installed."""
    gpg = shutil.which("gpg")
    if gpg is None:
        return False
    command = [gpg, "--batch", "--no-options", "--with-colons", "--show-keys", "--no-default-keyring", keyring]
    try:
        listed = subprocess.run(  # noqa: S603 - the name of a configured keyring is its last argument
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    keys = [line.split(":") for line in listed.stdout.decode(errors="replace").splitlines() if line.startswith("pub:")]
    return bool(keys) and all(fields[_VALIDITY] == _EXPIRED for fields in keys)


def check_environment(environ: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Yield the proxy variables that are set: requests to upstreams ignore them."""
    named = [name for each in _PROXY_VARIABLES for name in (each, each.upper()) if environ.get(name)]
    if not named:
        yield ok("environment", "no proxy variable is set")
        return
    yield warning(
        "environment",
        f"{', '.join(named)} is set and ignored: for upstreams the setting upstream_proxy counts",
        "If upstreams are reached through a proxy only, set upstream_proxy.",
    )


def check_unit() -> Iterator[Diagnosis]:
    """Yield the state of the units of systemd, if it runs and knows them."""
    systemctl = shutil.which("systemctl")
    if systemctl is None or not Path("/run/systemd/system").is_dir():
        return
    for unit in ("snapproxy.service", "snapproxy.socket"):
        command = [systemctl, "show", unit, "--property=LoadState,ActiveState,SubState,Result"]
        try:
            shown = subprocess.run(  # noqa: S603 - fixed arguments
                command, capture_output=True, text=True, check=False, timeout=_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired):
            return
        state = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
        if state.get("LoadState") != "loaded":
            continue
        match state.get("ActiveState"):
            case "failed":
                yield problem(unit, f"it failed ({state.get('Result')})", f"Read `journalctl -u {unit}`.")
            case "inactive":
                yield warning(unit, "it is installed and does not run", f"systemctl enable --now {unit}")
            case active:
                yield ok(unit, f"{active} ({state.get('SubState')})")
