"""Configuration texts for pacman: a mirrorlist, lines for pacman.conf, the proxy form, a Dockerfile and others.

The comments for each line describe what pacman does without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snapproxy.client_config.snippets import DEFAULT_BASE, Snippet, exports, proxy_exports, proxy_url, user_name
from snapproxy.core.model import TimeSpec

MIRRORLIST = "/etc/pacman.d/mirrorlist"
CONF = "/etc/pacman.conf"

#: The settings that pacman needs in every form, in the section [options].
SETTINGS = """\
# In the section [options]. Without it pacman gives up after ten seconds without data; a snapshot archive may be slower.
DisableDownloadTimeout
"""

#: The host whose addresses snapproxy serves in the same form.
_ARCHIVE = "archive.archlinux.org"

DISTRO = "archlinux"
"""The name of the distribution and of its archive."""

FOLDERS = "$repo/os/$arch"


@dataclass(frozen=True, slots=True)
class PacmanOptions:
    """Options for the texts. `base` is snapproxy's address, `http://HOST:PORT` without a trailing slash.

    `folders` is the path of a repository on the archive's mirrors.
    """

    when: TimeSpec
    base: str = DEFAULT_BASE
    archive: str = DISTRO
    folders: str = FOLDERS

    @property
    def proxy(self) -> str:
        """The URL of the proxy form. pacman sends the user name with the first request."""
        return proxy_url(self.base, self.when)

    @property
    def server(self) -> str:
        """The value of `Server` for the mirror form."""
        return f"{self.base}/{self.archive}/{user_name(self.when)}/{self.folders}"


def mirror(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return a mirrorlist of one line.

    After a refusal pacman would request the file from a second server and get the current one.
    """
    return (Snippet(MIRRORLIST, f"Server = {request.server}\n"), Snippet(CONF, SETTINGS))


def cache(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return lines that fetch only packages through snapproxy.

    Databases are still fetched from the mirrorlist's servers.
    """
    text = f"""\
# In each repository's section, before its Include (pacman 6.1 or later). pacman tries it first, for packages only.
CacheServer = {request.server}
"""
    return (Snippet(CONF, f"{SETTINGS}\n{text}"),)


def proxy(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return the proxy form. libcurl uses `http_proxy` (lower case only) for http servers, `https_proxy` for https."""
    lines = (*proxy_exports(request.proxy), f"sed -i 's,https://,http://,' {MIRRORLIST}", "pacman -Syuu")
    return (Snippet("", "".join(f"{line}\n" for line in lines)), Snippet(CONF, SETTINGS))


def edit(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return the edit for a mirrorlist with the Arch Linux Archive by https, followed by live mirrors.

    REPRO.md of archlinux-docker has such a list. The live mirrors are removed, because pacman would use them after a
    refusal.
    """
    archive = _ARCHIVE.replace(".", r"\.")
    line = f"sed -i -e 's,https\\?://{archive}/,{request.base}/,' -e '\\,{request.base}/,!d' {MIRRORLIST}\n"
    return (Snippet("", line),)


def dockerfile(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return lines for a Dockerfile. The time is an argument, so that a new time runs the layer again."""
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
    """Return shell lines: the proxy variables, and the variable of archlinux-repro for the archive's address."""
    return (exports(request.base, request.when, ARCH_ARCHIVE_CACHE=f"{request.base}/packages"),)


def mkosi(request: PacmanOptions) -> tuple[Snippet, ...]:
    """Return lines of mkosi.conf. They use `Mirror=`, because `Snapshot=` must be an existing folder of the archive."""
    mirror = f"{request.base}/{DISTRO}/{user_name(request.when)}"
    return (Snippet("mkosi.conf", f"[Distribution]\nDistribution=arch\nMirror={mirror}\n"),)


#: The forms by their names for `--form`. The first one is the default.
FORMS: dict[str, Callable[[PacmanOptions], tuple[Snippet, ...]]] = {
    "mirror": mirror,
    "cache": cache,
    "proxy": proxy,
    "edit": edit,
    "dockerfile": dockerfile,
    "environment": environment,
    "mkosi": mkosi,
}

#: The forms for an archive that is not a whole distribution, or is another distribution.
OWN_FORMS = {name: FORMS[name] for name in ("mirror", "cache")}
