"""The forms of names and versions in lists of apk, pacman and rpm."""

from __future__ import annotations

import re
from dataclasses import dataclass

# PKGBUILD(5): a name begins with neither hyphen nor dot; version and release contain no hyphen, a version no colon and
# no slash. Every version in use has a digit: two words such as `some text-1` are no package.
PACMAN_NAME = re.compile(r"[A-Za-z0-9@_+][A-Za-z0-9@._+-]*")
PACMAN_VERSION = re.compile(r"(?:[0-9]+:)?(?=[^-]*[0-9])[!-,.0-9;-~]+-[0-9]+(?:\.[0-9]+)?")
PACMAN_ARCHITECTURE = re.compile(r"[A-Za-z0-9_]+")

# apk-package(5). Every version that abuild makes has a release; those of virtual packages (`.build-deps`) have none.
APK_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
APK_VERSION = re.compile(
    r"[0-9]+(?:\.[0-9]+)*[a-z]?(?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*(?:~[0-9a-f]+)?-r[0-9]+"
)
APK_VIRTUAL = re.compile(r"\.[A-Za-z0-9._+-]+")

RPM_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+%{}~^-]*")
RPM_VERSION = re.compile(r"(?:(?P<epoch>[0-9]{1,10}|\(none\)):)?(?P<rest>[A-Za-z0-9._+~^%{}]+-[A-Za-z0-9._+~^%{}]+)")
# rpm's architectures by their beginnings (rpmrc): a list of other words must not look like one of packages.
RPM_ARCHITECTURE = re.compile(
    r"noarch|src|nosrc|x86_64(?:_v[1-9])?|amd64|ia32e|i[3-6]86|athlon|geode|pentium[34]|aarch64|armv[3-8][a-z]*"
    r"|ppc(?:64|32|8260|8560|iseries|pseries)?[a-z0-9]*|s390x?|riscv(?:32|64)?|loongarch64|ia64"
    r"|sparc[a-z0-9]*|alpha[a-z0-9]*|mips[a-z0-9]*|m68k[a-z]*|sh[34]?a?"
)


@dataclass(frozen=True, slots=True)
class RpmName:
    """A package of rpm. `version` is `[epoch:]version-release`, without an epoch of 0."""

    name: str
    version: str
    architecture: str


def rpm_version(text: str) -> str:
    """Return `[epoch:]version-release` without an epoch of 0, '' if `text` has another form.

    rpm's `%{EPOCH}` is `(none)` for a package without one.
    """
    found = RPM_VERSION.fullmatch(text)
    if found is None:
        return ""
    epoch = (found["epoch"] or "").lstrip("0")
    return f"{epoch}:{found['rest']}" if epoch.isdecimal() else found["rest"]


def rpm_name(text: str) -> RpmName | None:
    """Split `name-[epoch:]version-release.arch`, from the right; None if `text` has another form."""
    rest, _, architecture = text.rpartition(".")
    rest, _, release = rest.rpartition("-")
    name, _, version = rest.rpartition("-")
    full = rpm_version(f"{version}-{release}")
    if not full or not RPM_NAME.fullmatch(name) or not RPM_ARCHITECTURE.fullmatch(architecture):
        return None
    return RpmName(name, full, architecture)


def rpm_file_name(path: str) -> RpmName | None:
    """Split the file name of a package, `name-version-release.arch.rpm`; None if `path` has none."""
    file = path.rpartition("/")[2]
    return rpm_name(file.removesuffix(".rpm")) if file.endswith(".rpm") else None


def apk_name(text: str) -> tuple[str, str] | None:
    """Split `name-version` at the last hyphen before a digit, the rule of apk-package(5); None for other texts."""
    found = re.fullmatch(r"(?P<name>.+)-(?P<version>[0-9].*)", text)
    if found is None or not APK_NAME.fullmatch(found["name"]) or not APK_VERSION.fullmatch(found["version"]):
        return None
    return found["name"], found["version"]
