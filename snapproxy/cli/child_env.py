"""The environment of a command that runs behind its own proxy, with an apt configuration that no setting overrides."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from snapproxy.client_config.apt import proxy_conf

PROXY_VARIABLES = tuple(name for word in ("http_proxy", "https_proxy", "all_proxy") for name in (word, word.upper()))
"""Both cases are set: apt and curl read only the lower case (for http), apk prefers the upper case."""


def environment(caller: Mapping[str, str], proxy: str, apt_config: Path) -> dict[str, str]:
    """Return the caller's environment, changed so that every request goes to `proxy`, without exceptions."""
    ours = dict.fromkeys(PROXY_VARIABLES, proxy) | {"no_proxy": "", "NO_PROXY": "", "APT_CONFIG": str(apt_config)}
    return {**caller, **ours}


def write_apt_config(folder: Path, proxy: str, caller: Mapping[str, str]) -> Path:
    """Write the file for $APT_CONFIG into `folder` and return its path.

    apt reads $APT_CONFIG first, then apt.conf.d, then Dir::Etc::main. Later lines win, and an Acquire::http::Proxy in
    them would override the environment and connect the build to the current archive. Therefore the settings are written
    to a file that replaces Dir::Etc::main and includes it. They are in the first file too, for an apt without a main
    file.
    """
    last, first = folder / "last.conf", folder / "apt.conf"
    settings = proxy_conf(proxy)
    last.write_text(_include(_main_file(caller)) + settings, encoding="utf-8")
    own = Path(caller["APT_CONFIG"]).absolute() if caller.get("APT_CONFIG") else None
    first.write_text(f'{_include(own)}{settings}Dir::Etc::main "{last}";\n', encoding="utf-8")
    folder.chmod(0o755)  # a command may drop its privileges before it runs apt
    return first


def _include(file: Path | None) -> str:
    return f'#include "{file}";\n' if file is not None and file.is_file() else ""


def _main_file(caller: Mapping[str, str]) -> Path | None:
    """Return the path of apt's main file under the caller's own configuration, None if apt is not installed."""
    program = shutil.which("apt-config", path=caller.get("PATH"))
    if program is None:
        return None
    command = [program, "shell", "MAIN", "Dir::Etc::main/f"]
    # apt's own program, from PATH
    answer = subprocess.run(command, env=dict(caller), capture_output=True, text=True, check=False)  # noqa: S603
    for word in shlex.split(answer.stdout):
        name, _, value = word.partition("=")
        if name == "MAIN" and value:
            return Path(value)
    return None
