"""pacman's configuration texts: a mirrorlist, lines for pacman.conf, the proxy form, an edit, a Dockerfile, an environment, mkosi's.

The facts beside each line say what pacman does without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snapproxy.client_config.snippets import DEFAULT_BASE, Snippet, user_name
from snapproxy.core.model import TimeSpec

MIRRORLIST = "/etc/pacman.d/mirrorlist"
CONF = "/etc/pacman.conf"

#: What a client needs in every form. Goes under [options].
SETTINGS = """\
# Under [options]. Without it pacman gives up after ten seconds without a byte, while the archive that remembers answers slowly.
DisableDownloadTimeout
"""

#: The host whose addresses snapproxy answers as its own.
_ARCHIVE = "archive.archlinux.org"

DISTRO = "archlinux"
"""The name of the distribution, and of the row."""

FOLDERS = "$repo/os/$arch"


@dataclass(frozen=True, slots=True)
class PacmanOptions:
    """What the texts are for. `base` is snapproxy's own address, `http://HOST:PORT` without a slash at its end.

    `folders` is how the archive's mirrors lay a repository out.
    """

    when: TimeSpec
    base: str = DEFAULT_BASE
    archive: str = DISTRO
    folders: str = FOLDERS

    @property
    def proxy(self) -> str:
        """The proxy form's URL. pacman sends a user name at once; the password is a dummy."""
        return self.base.replace("://", f"://{user_name(self.when)}:x@", 1)

    @property
    def server(self) -> str:
        """The mirror form, as a `Server` names it."""
        return f"{self.base}/{self.archive}/{user_name(self.when)}/{self.folders}"


def mirror(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return a mirrorlist of one line: any further server would be asked when this one refuses, and would answer with today."""
    return (Snippet(MIRRORLIST, f"Server = {request.server}\n"), Snippet(CONF, SETTINGS))


def cache(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return lines that only bring packages through snapproxy: databases still come from the servers of the mirrorlist."""
    text = f"""\
# In each repository's section, before its Include (pacman 6.1 or later). Packages come from here where it has them.
CacheServer = {request.server}
"""
    return (Snippet(CONF, f"{SETTINGS}\n{text}"),)


def proxy(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return the proxy form; libcurl reads `http_proxy` in lower case only, and only for servers that the mirrorlist names by http."""
    lines = f"export http_proxy={request.proxy} no_proxy=\nsed -i 's,https://,http://,' {MIRRORLIST}\npacman -Syuu\n"
    return (Snippet("", lines), Snippet(CONF, SETTINGS))


def edit(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return the edit for a mirrorlist that names the archive itself by https, with live mirrors after it (archlinux-docker's REPRO.md).

    They are dropped: pacman would go on to them after a refusal.
    """
    archive = _ARCHIVE.replace(".", r"\.")
    line = f"sed -i -e 's,https\\?://{archive}/,{request.base}/,' -e '\\,{request.base}/,!d' {MIRRORLIST}\n"
    return (Snippet("", line),)


def dockerfile(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return lines for a Dockerfile. The time is an argument, so that another one runs the layer again."""
    host = request.base.partition("://")[2]
    text = f"""\
# SNAPPROXY must be reachable from inside the build; on this machine: docker build --network=host
ARG SNAPPROXY={host}
ARG SNAPSHOT={user_name(request.when)}
RUN echo "Server = http://$SNAPPROXY/{DISTRO}/$SNAPSHOT/\\$repo/os/\\$arch" > {MIRRORLIST} \\
 && sed -i '/^\\[options\\]/a DisableDownloadTimeout' {CONF} \\
 && pacman -Syyuu --noconfirm
"""
    return (Snippet("Dockerfile", text),)


def environment(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return shell lines: the proxy variables, and the archive's address as archlinux-repro reads it."""
    lines = [
        f"export http_proxy={request.proxy} https_proxy={request.proxy} no_proxy=",
        f"export ARCH_ARCHIVE_CACHE={request.base}/packages",
    ]
    if request.when.instant is not None:
        lines.append(f"export SOURCE_DATE_EPOCH={request.when.instant}")
    return (Snippet("", "\n".join(lines) + "\n"),)


def mkosi(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return lines of mkosi.conf. Its `Snapshot=` would be a folder of the archive, taken at its word; a mirror may be any time."""
    mirror = f"{request.base}/{DISTRO}/{user_name(request.when)}"
    return (Snippet("mkosi.conf", f"[Distribution]\nDistribution=arch\nMirror={mirror}\n"),)


#: Every form by the name `--form` takes. The first one is the default.
FORMS: dict[str, Callable[[PacmanOptions], tuple[Snippet, ...]]] = {
    "mirror": mirror,
    "cache": cache,
    "proxy": proxy,
    "edit": edit,
    "dockerfile": dockerfile,
    "environment": environment,
    "mkosi": mkosi,
}

#: What an archive that is no whole distribution has, or is another one.
OWN_FORMS = {name: FORMS[name] for name in ("mirror", "cache")}
