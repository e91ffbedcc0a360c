"""The environment of a command that runs behind its own proxy, with configurations of apt and apk 3.

apt's configuration cannot be overridden by another setting. apk 3 requests its indexes instead of using those that it
has from another time. dnf and apk 2 read no such variable. zypper reads $ZYPP_CONF, which is not set: where that file
does not exist, as in a chroot that the command enters, zypper would ignore its own configuration.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from snapproxy.client_config.apt import proxy_conf
from snapproxy.client_config.apt_mixture import AptAdditions
from snapproxy.core.address import foreign_host

PROXY_VARIABLES = tuple(name for word in ("http_proxy", "https_proxy", "all_proxy") for name in (word, word.upper()))
"""Both cases are set: apt and curl read only the lower case (for http), apk prefers the upper case."""


REFUSED_BY_APT = "https-refused"
"""The file of a run in which apt's https method notes the addresses that it refused, one a line."""

MOST_NOTED_BYTES = 1 << 20
"""Maximum number of bytes that are read of that file."""

#: apt's method protocol (method.7 of apt's documentation, "libapt-pkg and method communication"): a failure without
#: `Transient-Failure` is final. apt repeats a refused CONNECT as often as a temporary failure, for two minutes.
_HTTPS_METHOD = """\
#!/bin/sh
# Refuses every https source at once, and notes its address.
printf '100 Capabilities\\nVersion: 1.0\\nSingle-Instance: true\\n\\n'
while IFS= read -r line; do
    case $line in
        '600 '*) asked=yes ;;
        'URI: '*) uri=${line#URI: } ;;
        '')
            if [ -n "$asked" ]; then
                printf '%s\\n' "$uri" >> "${0%/*}/@NOTES@"
                printf '400 URI Failure\\nURI: %s\\n' "$uri"
                printf 'Message: CONNECT is off: write http:// for https:// in the sources\\n\\n'
            fi
            asked='' uri=''
            ;;
    esac
done
"""


def environment(
    caller: Mapping[str, str],
    proxy: str,
    folder: Path,
    *,
    refuses_https: bool = False,
    additions: AptAdditions | None = None,
) -> dict[str, str]:
    """Return the caller's environment, changed so that every request goes to `proxy`, without exceptions.

    The configurations of the clients are written into `folder`. `refuses_https`: the proxy refuses every https request,
    so apt need not try. `additions`: sources and preferences that apt gets besides the caller's own.
    """
    method = write_https_method(folder) if refuses_https else None
    ours = {
        "no_proxy": "",
        "NO_PROXY": "",
        "APT_CONFIG": str(write_apt_config(folder, proxy, caller, https_method=method, additions=additions)),
        "APK_CONFIG": str(write_apk_config(folder, caller)),
    }
    folder.chmod(0o755)  # a command may drop its privileges before it runs a client
    return {**caller, **dict.fromkeys(PROXY_VARIABLES, proxy), **ours}


def write_https_method(folder: Path) -> Path:
    """Write the program that apt calls for https sources, and the file of its notes. apt runs it as another user."""
    notes, method = folder / REFUSED_BY_APT, folder / "https"
    notes.touch()
    notes.chmod(0o666)
    method.write_text(_HTTPS_METHOD.replace("@NOTES@", REFUSED_BY_APT), encoding="utf-8")
    method.chmod(0o755)
    return method


def refused_by_apt(folder: Path) -> Counter[str]:
    """Return how many requests apt's https method refused, by host as `https://HOST`."""
    try:
        with (folder / REFUSED_BY_APT).open("rb") as notes:
            lines = notes.read(MOST_NOTED_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return Counter()
    hosts = (foreign_host("GET", line) for line in lines)
    return Counter(host for host in hosts if host)


def write_apk_config(folder: Path, caller: Mapping[str, str]) -> Path:
    """Write the file for $APK_CONFIG (apk 3) into `folder` and return its path. It accepts no cached index."""
    file, theirs = folder / "apk.conf", Path(caller.get("APK_CONFIG") or "/etc/apk/config")
    file.write_text(f"{_text_of(theirs)}\ncache-max-age 0\n", encoding="utf-8")
    return file


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def write_apt_config(
    folder: Path,
    proxy: str,
    caller: Mapping[str, str],
    *,
    https_method: Path | None = None,
    additions: AptAdditions | None = None,
) -> Path:
    """Write the file for $APT_CONFIG into `folder` and return its path.

    apt reads $APT_CONFIG first, then apt.conf.d, then Dir::Etc::main. Later lines win, and an Acquire::http::Proxy in
    them would override the environment and connect the build to the current archive. Therefore the settings are written
    to a file that replaces Dir::Etc::main and includes it. They are in the first file too, for an apt without a main
    file.
    """
    last, first = folder / "last.conf", folder / "apt.conf"
    settings = proxy_conf(proxy)
    if https_method is not None:
        settings += f'Dir::Bin::Methods::https "{https_method}";\n'
    if additions is not None:
        settings += _write_additions(folder, caller, additions)
    last.write_text(_include(_main_file(caller)) + settings, encoding="utf-8")
    own = Path(caller["APT_CONFIG"]).absolute() if caller.get("APT_CONFIG") else None
    first.write_text(f'{_include(own)}{settings}Dir::Etc::main "{last}";\n', encoding="utf-8")
    return first


def _write_additions(folder: Path, caller: Mapping[str, str], additions: AptAdditions) -> str:
    """Write folders with the caller's sources and preferences and our own; return the settings that name them."""
    settings = ""
    for key, name, text in (
        ("Dir::Etc::sourceparts", "zz-snapproxy.list", additions.sources),
        ("Dir::Etc::preferencesparts", "00-snapproxy", additions.preferences),
    ):
        parts = folder / key.rpartition(":")[2]
        parts.mkdir(mode=0o755)
        theirs = _apt_path(caller, f"{key}/d")
        for file in sorted(theirs.iterdir()) if theirs is not None and theirs.is_dir() else ():
            (parts / file.name).symlink_to(file.absolute())
        (parts / name).write_text(text, encoding="utf-8")
        settings += f'{key} "{parts}";\n'
    return settings


def _include(file: Path | None) -> str:
    return f'#include "{file}";\n' if file is not None and file.is_file() else ""


def _main_file(caller: Mapping[str, str]) -> Path | None:
    """Return the path of apt's main file under the caller's own configuration, None if apt is not installed."""
    return _apt_path(caller, "Dir::Etc::main/f")


def _apt_path(caller: Mapping[str, str], key: str) -> Path | None:
    """Return a path of the caller's own apt configuration: `/f` of a file, `/d` of a folder."""
    program = shutil.which("apt-config", path=caller.get("PATH"))
    if program is None:
        return None
    # apt's own program, from PATH
    command = [program, "shell", "FOUND", key]
    answer = subprocess.run(command, env=dict(caller), capture_output=True, text=True, check=False)  # noqa: S603
    for word in shlex.split(answer.stdout):
        name, _, value = word.partition("=")
        if name == "FOUND" and value:
            return Path(value)
    return None
