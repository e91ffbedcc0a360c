"""apt's configuration texts: sources in both spellings, the proxy form, `apt --snapshot`, a Dockerfile, roots to build.

`docs` and the facts beside each line say what apt does without it. The live archives' host names are put together from labels
here as in the archive table: snapproxy knows the hosts by pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snapproxy.client_config.snippets import DEFAULT_BASE, Snippet, user_name
from snapproxy.core.model import Archive, Match, TimeSpec

#: Files that come after the distribution's own (apt reads the folder in alphanumeric order, later lines win).
CONF = "/etc/apt/apt.conf.d/99snapproxy"

#: What a client needs in every form.
SETTINGS = """\
// An old Release is meant to be old; its signature is checked as ever.
Acquire::Check-Valid-Until "false";
// Without this apt-get update exits 0 when a root is refused or the proxy is down.
APT::Update::Error-Mode "any";
// The archives that remember answer slowly and in turns: wait rather than give up.
Acquire::Retries "8";
Acquire::http::Timeout "300";
"""

#: Every setting that could lead past the proxy: they beat the environment, and the per-host ones beat the general one.
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

#: Debian named the security suites `<suite>/updates` up to this release, `<suite>-security` ever since.
_SLASH_UPDATES = frozenset(
    {"potato", "woody", "sarge", "etch", "lenny", "squeeze", "wheezy", "jessie", "stretch", "buster"}
)

#: These have neither updates nor security of their own.
_BARE = frozenset({"sid", "unstable", "experimental"})


@dataclass(frozen=True, slots=True)
class Distro:
    """What a sources file says of a distribution. `suites` maps a release to (archive, suites) pairs; `keyring` may be ''."""

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
    """Return what can be said of any other archive: its name and keyring; a release of it is a suite."""
    keyring = archive.keyrings[0] if archive.keyrings else ""
    return Distro(archive.name, "main", keyring, "stable", lambda release: ((archive.name, release),))


@dataclass(frozen=True, slots=True)
class AptOptions:
    """What the texts are for. `base` is snapproxy's own address, `http://HOST:PORT` without a slash at its end."""

    distro: Distro
    release: str
    when: TimeSpec
    base: str = DEFAULT_BASE

    @property
    def proxy(self) -> str:
        """The proxy form's URL. The password is a dummy, but some clients (GNU wget) send nothing at all without one."""
        return self.base.replace("://", f"://{user_name(self.when)}:x@", 1)


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
    return [
        f"deb [{signed_by}check-valid-until=no] {request.base}/{archive}/{user_name(request.when)} {suite} {request.distro.components}"
        for archive, suites in request.distro.suites(request.release)
        for suite in suites.split()
    ]


def proxy_conf(proxy: str) -> str:
    """Return an apt.conf that sends everything through `proxy`, whatever was configured before, and waits for it."""
    lines = f'Acquire::http::Proxy "{proxy}";\nAcquire::https::Proxy "{proxy}";\n'
    return f"{NO_OTHER_PROXY}{lines}{SETTINGS}"


def proxy(request: AptOptions) -> tuple[Snippet, ...]:
    """Return the proxy form: the sources stay untouched."""
    return (Snippet(CONF, proxy_conf(request.proxy)),)


def snapshots(request: AptOptions) -> tuple[Snippet, ...]:
    """Return the settings that make `apt --snapshot ID` ask snapproxy instead of the distribution's own service.

    apt looks a server up by Override::Label and Override::Origin (which need a Release from an earlier update), and by Host when
    it has none yet, as in a fresh container: so both are set. A host with a leading dot stands for every host below it.
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
    """Return lines for a Dockerfile whose sources stay untouched.

    BuildKit leaves its predefined proxy arguments out of the cache key, so a new time there would not run a cached layer again:
    the time is an argument of its own.
    """
    host = request.base.partition("://")[2]
    settings = " ".join(f"'{line}'" for line in _settings())
    text = f"""\
# SNAPPROXY must be reachable from inside the build; on this machine: docker build --network=host
ARG SNAPPROXY={host}
ARG SNAPSHOT={user_name(request.when)}
RUN export http_proxy="http://$SNAPSHOT:x@$SNAPPROXY" no_proxy= \\
 && printf '%s\\n' {settings} > {CONF} \\
 && rm -rf /var/lib/apt/lists/* \\
 && apt-get update \\
 && apt-get install -y --no-install-recommends ca-certificates \\
 && rm -rf /var/lib/apt/lists/* {CONF}
"""
    return (Snippet("Dockerfile", text),)


def environment(request: AptOptions) -> tuple[Snippet, ...]:
    """Return shell lines: the proxy variables, and the one value that serves repro-sources-list.sh for Debian and Ubuntu."""
    lines = [
        f"export http_proxy={request.proxy} https_proxy={request.proxy} no_proxy=",
        f"export SNAPSHOT_ARCHIVE_BASE={request.base}/",
    ]
    if request.when.instant is not None:
        lines.append(f"export SOURCE_DATE_EPOCH={request.when.instant}")
    return (Snippet("", "\n".join(lines) + "\n"),)


def bootstrap(request: AptOptions) -> tuple[Snippet, ...]:
    """Return shell lines that build a root: debootstrap knows the main archive only, mmdebstrap all that sources can name."""
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
    """Return lines of mkosi.conf. For Ubuntu the proxy form: mkosi has a fixed address for its security updates."""
    pinned = f"Mirror={request.base}\nSnapshot={user_name(request.when)}\n"
    where = f"[Build]\nProxyUrl={request.proxy}\n" if request.distro.name == "ubuntu" else ""
    text = f"[Distribution]\nDistribution={request.distro.name}\nRelease={request.release}\n{where or pinned}"
    return (Snippet("mkosi.conf", text),)


def _settings() -> list[str]:
    return [line for line in SETTINGS.splitlines() if not line.startswith("//")]


#: Every form by the name `--form` takes. The first one is the default.
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

#: What an archive that is no whole distribution has.
OWN_FORMS = {name: FORMS[name] for name in ("mirror", "list", "proxy")}

#: What the first steps show where a user puts a time of their own.
_SAMPLE = TimeSpec("20240601T000000Z", 1_717_200_000, Match.HELD)


def first_steps(base: str) -> tuple[Snippet, ...]:
    """Return what a newcomer to the proxy at `base` may paste, shortest first."""
    request = AptOptions(DISTROS["debian"], DISTROS["debian"].example, _SAMPLE, base)
    shell = Snippet("In a shell: the sources stay untouched", f"http_proxy={request.proxy} apt-get update\n")
    script = f"curl -s {base}/{user_name(request.when)}/pin.sh | sh\n# and back: the same with | sh -s -- --undo\n"
    whole = Snippet("As root, for every source of a system, whatever its package manager", script)
    return (shell, whole, deb822(request)[0], *proxy(request), *dockerfile(request))
