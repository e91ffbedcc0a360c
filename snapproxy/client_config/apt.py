"""Configuration texts for apt: sources in both formats, the proxy form, `apt --snapshot`, a Dockerfile and others.

The comments for each line describe what apt does without it; see also docs/explain/clients.md. Host names of live
archives are built from their domain, as in the archive table, which describes hosts by patterns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snapproxy.client_config.snippets import DEFAULT_BASE, Snippet, exports, proxy_exports, proxy_url, user_name
from snapproxy.core.model import Archive, Match, TimeSpec

#: Read after the distribution's own files: apt reads the folder in alphanumeric order, and later lines take precedence.
CONF = "/etc/apt/apt.conf.d/99snapproxy"

#: Files that contain the time at which packages were installed: apt's caches, the cache of ldconfig, the logs.
DATED = ("/var/cache/apt/*.bin", "/var/cache/ldconfig/aux-cache", "/var/log/apt/*", "/var/log/dpkg.log")

#: The settings that apt needs in every form.
SETTINGS = """\
// The Release file of a past time has expired; its signature is still checked.
Acquire::Check-Valid-Until "false";
// Without this apt-get update exits 0 when a root is refused or the proxy is down.
APT::Update::Error-Mode "any";
// Snapshot archives are slow and rate-limited: wait instead of giving up.
Acquire::Retries "8";
Acquire::http::Timeout "300";
"""

UPDATE = "apt-get -o Acquire::Check-Valid-Until=false -o APT::Update::Error-Mode=any update"
"""The shortest command that fails if a root or an https source is refused, without any of the files below."""

#: Clears every setting that could bypass the proxy: settings override the environment, per-host ones the general one.
NO_OTHER_PROXY = """\
#clear Acquire::http::Proxy;
#clear Acquire::https::Proxy;
#clear Acquire::http::Proxy-Auto-Detect;
#clear Acquire::https::Proxy-Auto-Detect;
#clear Acquire::http::ProxyAutoDetect;
"""

_DEBIAN_HOSTS = "debian.org"
_UBUNTU_HOSTS = "ubuntu.com"
_PPA_HOST = "ppa.launchpadcontent.net"

#: Releases whose security suite is named `<suite>/updates`; later ones use `<suite>-security`.
_SLASH_UPDATES = frozenset(
    {"potato", "woody", "sarge", "etch", "lenny", "squeeze", "wheezy", "jessie", "stretch", "buster"}
)

#: Suites without an updates or security suite.
_BARE = frozenset({"sid", "unstable", "experimental"})


@dataclass(frozen=True, slots=True)
class Distro:
    """The parts of a sources file that depend on the distribution.

    `suites` maps a release to pairs of an archive and its suites, separated by spaces. `keyring` may be ''.
    """

    name: str
    components: str
    keyring: str
    example: str
    suites: Callable[[str], tuple[tuple[str, str], ...]]


def _debian(release: str) -> tuple[tuple[str, str], ...]:
    if release in _BARE:
        return (("debian", release),)
    security = f"{release}/updates" if release in _SLASH_UPDATES else f"{release}-security"
    return (("debian", f"{release} {release}-updates"), ("debian-security", security))


def _ubuntu(release: str) -> tuple[tuple[str, str], ...]:
    return (("ubuntu", f"{release} {release}-updates {release}-security"),)


DISTROS = {
    distro.name: distro
    for distro in (
        Distro("debian", "main", "/usr/share/keyrings/debian-archive-keyring.gpg", "bookworm", _debian),
        Distro(
            "ubuntu",
            "main restricted universe multiverse",
            "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
            "noble",
            _ubuntu,
        ),
    )
}


def own(archive: Archive) -> Distro:
    """Return the `Distro` of any other archive: with its name and keyring, and the release as its only suite."""
    keyring = archive.keyrings[0] if archive.keyrings else ""
    return Distro(archive.name, "main", keyring, "stable", lambda release: ((archive.name, release),))


@dataclass(frozen=True, slots=True)
class AptOptions:
    """Options for the texts. `base` is snapproxy's address, `http://HOST:PORT` without a trailing slash."""

    distro: Distro
    release: str
    when: TimeSpec
    base: str = DEFAULT_BASE

    @property
    def proxy(self) -> str:
        """The URL of the proxy form."""
        return proxy_url(self.base, self.when)


def deb822(request: AptOptions) -> tuple[Snippet, ...]:
    """Return the mirror form as a deb822 sources file."""
    signed_by = f"Signed-By: {request.distro.keyring}\n" if request.distro.keyring else ""
    stanzas = [
        "Types: deb\n"
        f"URIs: {request.base}/{archive}/{user_name(request.when)}\n"
        f"Suites: {suites}\n"
        f"Components: {request.distro.components}\n"
        f"{signed_by}"
        "Check-Valid-Until: no\n"
        for archive, suites in request.distro.suites(request.release)
    ]
    return (
        Snippet(f"/etc/apt/sources.list.d/{request.distro.name}.sources", "\n".join(stanzas)),
        Snippet(CONF, SETTINGS),
    )


def one_line(request: AptOptions) -> tuple[Snippet, ...]:
    """Return the mirror form as a one-line sources file."""
    lines = "".join(f"{line}\n" for line in _lines(request))
    return (Snippet("/etc/apt/sources.list", lines), Snippet(CONF, SETTINGS))


def _lines(request: AptOptions) -> list[str]:
    signed_by = f"signed-by={request.distro.keyring} " if request.distro.keyring else ""
    time, components = user_name(request.when), request.distro.components
    return [
        f"deb [{signed_by}check-valid-until=no] {request.base}/{archive}/{time} {suite} {components}"
        for archive, suites in request.distro.suites(request.release)
        for suite in suites.split()
    ]


def proxy_conf(proxy: str) -> str:
    """Return an apt.conf that sends all requests through `proxy`, despite other settings, with long timeouts."""
    lines = f'Acquire::http::Proxy "{proxy}";\nAcquire::https::Proxy "{proxy}";\n'
    return f"{NO_OTHER_PROXY}{lines}{SETTINGS}"


def proxy(request: AptOptions) -> tuple[Snippet, ...]:
    """Return the proxy form, in which the sources are not changed."""
    return (Snippet(CONF, proxy_conf(request.proxy)),)


def snapshots(request: AptOptions) -> tuple[Snippet, ...]:
    """Return the settings that make `apt --snapshot ID` use snapproxy instead of the distribution's own service.

    apt finds a server by Override::Label and Override::Origin, which need a Release file from an earlier update, and by
    Host if there is no Release file yet, as in a new container: so both are set. A host with a leading dot matches all
    its subdomains.
    """
    path, debian, security, ubuntu = (
        f"{request.base}/{name}/@SNAPSHOTID@/" for name in ("@PATH@", "debian", "debian-security", "ubuntu")
    )
    targets = {
        "Override::Origin::Debian": debian,
        "Override::Label::Debian-Security": security,
        "Override::Origin::Ubuntu": ubuntu,
        f"Host::deb.{_DEBIAN_HOSTS}": path,
        f"Host::security.{_DEBIAN_HOSTS}": security,
        f"Host::.{_DEBIAN_HOSTS}": path,
        f"Host::archive.{_UBUNTU_HOSTS}": ubuntu,
        f"Host::.archive.{_UBUNTU_HOSTS}": ubuntu,
        f"Host::security.{_UBUNTU_HOSTS}": ubuntu,
        f"Host::ports.{_UBUNTU_HOSTS}": path,
        f"Host::{_PPA_HOST}": f"{request.base}/ppa/@SNAPSHOTID@/@PATH@/",
    }
    lines = "".join(f'Acquire::Snapshots::URI::{key} "{target}";\n' for key, target in targets.items())
    usage = f"// then: apt-get update --snapshot {user_name(request.when)} (apt 2.7 or later)\n"
    return (Snippet(CONF, usage + lines + SETTINGS),)


def dockerfile(request: AptOptions) -> tuple[Snippet, ...]:
    """Return lines for a Dockerfile in which the sources are not changed.

    The time is a separate argument, because BuildKit omits its predefined proxy arguments from the cache key: a new
    time there would not run a cached layer again. Files that contain times are removed, so that two builds are equal.
    """
    host = request.base.partition("://")[2]
    settings = " ".join(f"'{line}'" for line in _settings())
    first, second = proxy_exports('"http://$SNAPSHOT:x@$SNAPPROXY"')
    text = f"""\
# SNAPPROXY must be reachable from inside the build; on this machine: docker build --network=host
ARG SNAPPROXY={host}
ARG SNAPSHOT={user_name(request.when)}
RUN {first} \\
 && {second} \\
 && printf '%s\\n' {settings} > {CONF} \\
 && rm -rf /var/lib/apt/lists/* \\
 && apt-get update \\
 && apt-get install -y --no-install-recommends ca-certificates \\
 && rm -rf /var/lib/apt/lists/* {CONF} \\
    {" ".join(DATED)}
"""
    return (Snippet("Dockerfile", text),)


def environment(request: AptOptions) -> tuple[Snippet, ...]:
    """Return shell lines: the proxy variables, and the variables of repro-sources-list.sh for Debian and Ubuntu."""
    return (exports(request.base, request.when, SNAPSHOT_ARCHIVE_BASE=f"{request.base}/"),)


def bootstrap(request: AptOptions) -> tuple[Snippet, ...]:
    """Return shell lines that build a root: debootstrap uses the main archive only, mmdebstrap all sources."""
    archive, _ = request.distro.suites(request.release)[0]
    keyring = f"--keyring={request.distro.keyring} " if request.distro.keyring else ""
    epoch = f"SOURCE_DATE_EPOCH={request.when.instant} " if request.when.instant is not None else ""
    options = "".join(f" --aptopt='{line.rstrip(';')}'" for line in _settings())
    sources = "".join(f" \\\n  '{line}'" for line in _lines(request))
    text = f"""\
debootstrap {keyring}{request.release} root {request.base}/{archive}/{user_name(request.when)}
# or
{epoch}mmdebstrap{options} {request.release} root.tar{sources}
"""
    return (Snippet("", text),)


def mkosi(request: AptOptions) -> tuple[Snippet, ...]:
    """Return lines of mkosi.conf.

    Ubuntu uses the proxy form, because mkosi has a fixed address for its security updates.
    """
    pinned = f"Mirror={request.base}\nSnapshot={user_name(request.when)}\n"
    where = f"[Build]\nProxyUrl={request.proxy}\n" if request.distro.name == "ubuntu" else ""
    text = f"[Distribution]\nDistribution={request.distro.name}\nRelease={request.release}\n{where or pinned}"
    return (Snippet("mkosi.conf", text),)


def _settings() -> list[str]:
    return [line for line in SETTINGS.splitlines() if not line.startswith("//")]


#: The forms by their names for `--form`. The first one is the default.
FORMS: dict[str, Callable[[AptOptions], tuple[Snippet, ...]]] = {
    "mirror": deb822,
    "list": one_line,
    "proxy": proxy,
    "snapshot": snapshots,
    "dockerfile": dockerfile,
    "environment": environment,
    "bootstrap": bootstrap,
    "mkosi": mkosi,
}

#: The forms for an archive that is not a whole distribution.
OWN_FORMS = {name: FORMS[name] for name in ("mirror", "list", "proxy")}

#: The time in the examples of the first steps.
_SAMPLE = TimeSpec("20240601T000000Z", 1_717_200_000, Match.AT)


def first_steps(base: str) -> tuple[Snippet, ...]:
    """Return examples for new users of the proxy at `base`, to copy and paste, the shortest first."""
    request = AptOptions(DISTROS["debian"], DISTROS["debian"].example, _SAMPLE, base)
    commands = (*proxy_exports(request.proxy), UPDATE)
    shell = Snippet("In a shell, without changing the sources", "".join(f"{line}\n" for line in commands))
    script = (
        f"curl -s {base}/{user_name(request.when)}/pin.sh | sh\n# to undo: the same command with | sh -s -- --undo\n"
    )
    whole = Snippet("As root, for all sources of a system and every package manager", script)
    return (shell, whole, deb822(request)[0], *proxy(request), *dockerfile(request))
