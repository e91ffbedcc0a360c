"""The built-in archives, as data. A new archive of an existing family needs only one more entry here.

Regular mirrors are the projects' own, under names that are not those of content networks: a name with many caches
behind it may answer two requests from two states of the archive. Mirrors are used for live files, and for files whose
digest is already known from an index, so that the snapshot services, which are slow and have little bandwidth, serve
only files that no mirror has. `[archives.<name>]` overrides single fields, for example for a user's own mirror.

Hosts are patterns: `*` is any run within one label. The most specific one wins, among equals the later archive.
"""

from __future__ import annotations

from datetime import UTC, datetime

from snapproxy.archives.dated_addresses import DatedSettings
from snapproxy.core.model import Archive

_HOUR = 3600
_DAY = 24 * _HOUR
_YEAR = 366 * _DAY

# The keys of ended releases were moved to the second file; old roots are signed with them.
_DEBIAN_KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-removed-keys.gpg",
)
_PORTS_KEYRINGS = (
    "/usr/share/keyrings/debian-ports-archive-keyring.gpg",
    "/usr/share/keyrings/debian-ports-archive-keyring-removed.gpg",
)
_UBUNTU_KEYRINGS = (
    "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    "/usr/share/keyrings/ubuntu-archive-removed-keys.gpg",
)

# As installed by Debian's distribution-gpg-keys. Leap contains openSUSE's own packages, SUSE's, and backports for both.
_OPENSUSE_KEYRINGS = (
    "/usr/share/distribution-gpg-keys/opensuse/RPM-GPG-KEY-openSUSE",
    "/usr/share/distribution-gpg-keys/opensuse/RPM-GPG-KEY-openSUSE-2022",
    "/usr/share/distribution-gpg-keys/opensuse/RPM-GPG-KEY-openSUSE-Backports",
    "/usr/share/distribution-gpg-keys/opensuse/RPM-GPG-KEY-openSUSE-Backports-2023",
    "/usr/share/distribution-gpg-keys/opensuse/RPM-GPG-KEY-openSUSE-16-Backports",
    "/usr/share/distribution-gpg-keys/opensuse/RPM-GPG-KEY-openSUSE-Tumbleweed",
    "/usr/share/distribution-gpg-keys/suse/RPM-GPG-KEY-SuSE-SLE-15",
    "/usr/share/distribution-gpg-keys/suse/RPM-GPG-KEY-SuSE-SLE-Main-2023",
    "/usr/share/distribution-gpg-keys/suse/RPM-GPG-KEY-SuSE-ALP-Main",
)

# snapshot.debian.org: every dump since March 2005, about 90 TB. It answers 429 or 509 for hours when an address sends
# too many requests (no limit is published), cuts connections and sometimes sends part of a file with a 200. Its newest
# dump may be incomplete, or missing on one of its backends. Files are redirected to /file/<sha1> on the same host.
# ftp.debian.org: the project's own name for one complete mirror; reliable, current files only.

_DEBIAN = Archive(
    name="debian",
    family="apt",
    history="snapshots",
    snapshot=("https://snapshot.debian.org/archive/debian",),
    mirrors=("http://ftp.debian.org/debian",),
    # The content network, the country mirrors (ftp.de.debian.org), and the names of cloud providers, two labels deep.
    hosts=("*.debian.org/debian/", "*.*.debian.org/debian/"),
    keyrings=_DEBIAN_KEYRINGS,
    max_gap=48 * _HOUR,  # a dump about every six hours; two days cover usual outages
)

_DEBIAN_SECURITY = Archive(
    name="debian-security",
    family="apt",
    history="snapshots",
    snapshot=("https://snapshot.debian.org/archive/debian-security",),
    mirrors=("http://security.debian.org/debian-security",),
    hosts=(
        "security.debian.org/debian-security/",
        "security.debian.org/",  # the same tree; bullseye and older were documented without the folder
        "*.debian.org/debian-security/",
        "*.*.debian.org/debian-security/",
    ),
    keyrings=_DEBIAN_KEYRINGS,
    max_gap=7 * _DAY,  # dumped when advisories are published: several a day, or none for days
)

# debug.mirrors.debian.org: a third of the mirrors carry debug symbols, this name always does.
_DEBIAN_DEBUG = Archive(
    name="debian-debug",
    family="apt",
    history="snapshots",
    snapshot=("https://snapshot.debian.org/archive/debian-debug",),
    mirrors=("http://debug.mirrors.debian.org/debian-debug",),
    hosts=("*.debian.org/debian-debug/", "*.*.debian.org/debian-debug/"),
    keyrings=_DEBIAN_KEYRINGS,
    max_gap=48 * _HOUR,  # three weeks of September 2017 are missing and refused
)

# Unofficial architectures. The newest packages are replaced within hours, so the mirror rarely has files of the past.
_DEBIAN_PORTS = Archive(
    name="debian-ports",
    family="apt",
    history="snapshots",
    snapshot=("https://snapshot.debian.org/archive/debian-ports",),
    mirrors=("http://ftp.ports.debian.org/debian-ports",),
    hosts=("*.debian.org/debian-ports/", "*.*.debian.org/debian-ports/"),
    keyrings=_PORTS_KEYRINGS,
    max_gap=48 * _HOUR,  # November 2010 and September 2017 have gaps
)

# archive.debian.org: releases whose support has ended, in one tree with the folders debian, debian-security,
# debian-backports, ...; hence the host without a path. It changes only when another release is moved there; its dumped
# files have not changed since.
_DEBIAN_ARCHIVE = Archive(
    name="debian-archive",
    family="apt",
    history="snapshots",
    snapshot=("https://snapshot.debian.org/archive/debian-archive",),
    mirrors=("http://archive.debian.org",),
    hosts=("archive.debian.org/",),
    keyrings=_DEBIAN_KEYRINGS,
    max_gap=10 * _YEAR,
    frozen=True,
)

# Backports before they moved into the main archive with wheezy.
_DEBIAN_BACKPORTS = Archive(
    name="debian-backports",
    family="apt",
    history="snapshots",
    snapshot=("https://snapshot.debian.org/archive/debian-backports",),
    mirrors=("http://archive.debian.org/debian-backports",),
    hosts=(
        "backports.debian.org/debian-backports/",
        "*.debian.org/debian-backports/",
        "*.*.debian.org/debian-backports/",
    ),
    keyrings=_DEBIAN_KEYRINGS,
    max_gap=7 * _DAY,
    frozen=True,
)

# Updates for software that ages quickly, replaced by squeeze-updates.
_DEBIAN_VOLATILE = Archive(
    name="debian-volatile",
    family="apt",
    history="snapshots",
    snapshot=("https://snapshot.debian.org/archive/debian-volatile",),
    mirrors=("http://archive.debian.org/debian-volatile",),
    hosts=("volatile.debian.org/debian-volatile/", "*.debian.org/debian-volatile/", "*.*.debian.org/debian-volatile/"),
    keyrings=_DEBIAN_KEYRINGS,
    max_gap=30 * _DAY,
    frozen=True,
)

# snapshot.ubuntu.com: any second since 1 March 2023, kept "at least two years"; weeks of 503 were observed (July 2026).
# One tree contains every pocket and every architecture, so it covers the hosts archive, security and ports alike.
_UBUNTU_SNAPSHOT = ("https://snapshot.ubuntu.com/ubuntu",)
_UBUNTU_FIRST = int(datetime(2023, 3, 1, tzinfo=UTC).timestamp())

# Two archives with one history, because they have two mirrors: only ports.ubuntu.com has the binaries of the
# architectures other than amd64 and i386. It precedes `ubuntu`, so that snapshot.ubuntu.com itself, which is a host of
# both, selects `ubuntu`.
_UBUNTU_PORTS = Archive(
    name="ubuntu-ports",
    family="apt",
    history="any-instant",
    snapshot=_UBUNTU_SNAPSHOT,
    mirrors=("http://ports.ubuntu.com/ubuntu-ports",),
    hosts=("ports.ubuntu.com/ubuntu-ports/", "*.ports.ubuntu.com/ubuntu-ports/", "*.*.ports.ubuntu.com/ubuntu-ports/"),
    keyrings=_UBUNTU_KEYRINGS,
    settle_after=_HOUR,
    first=_UBUNTU_FIRST,
)

# archive.ubuntu.com: several hosts with one name, which sometimes differ during a publication; digests detect that.
_UBUNTU = Archive(
    name="ubuntu",
    family="apt",
    history="any-instant",
    snapshot=_UBUNTU_SNAPSHOT,
    mirrors=("http://archive.ubuntu.com/ubuntu", "http://security.ubuntu.com/ubuntu"),
    # Country mirrors (de.archive...), cloud providers (azure.archive..., us-east-1.ec2.archive...).
    hosts=(
        "archive.ubuntu.com/ubuntu/",
        "*.archive.ubuntu.com/ubuntu/",
        "*.*.archive.ubuntu.com/ubuntu/",
        "security.ubuntu.com/ubuntu/",
    ),
    keyrings=_UBUNTU_KEYRINGS,
    settle_after=_HOUR,
    first=_UBUNTU_FIRST,
)

# Launchpad's public PPAs, kept for about two weeks only: older snapshots answer 404. Paths begin with owner, PPA and
# distribution, followed by the time. Each PPA has its own key, so no signature can be checked here: add an archive with
# a keyring for a PPA that matters.
_PPA = Archive(
    name="ppa",
    family="apt",
    history="any-instant",
    snapshot=("https://snapshot.ppa.launchpadcontent.net",),
    mirrors=("https://ppa.launchpadcontent.net",),
    hosts=("ppa.launchpadcontent.net/", "ppa.launchpad.net/"),
    settle_after=_HOUR,
    scope=3,
)

# archive.archlinux.org: a folder a day since the end of August 2013, and all packages of some years. Port 80 answers
# with a redirect and limits an address to 20 requests a second; https has no known limit, but addresses that misbehave
# are banned. Removed files are redirected to the historical archive, and from there to one of its nodes; both are slow.
# `community` was merged into `extra` in May 2023. The databases are not signed; each package is, by keys of many
# people, and clients check those.
# ftp.halifax.rwth-aachen.de: one complete, reliable mirror of the first tier. The project's own name for its mirrors
# redirects to different mirrors from different places.
_ARCHLINUX = Archive(
    name="archlinux",
    family="pacman",
    history="dated",
    snapshot=("https://archive.archlinux.org",),
    mirrors=("https://ftp.halifax.rwth-aachen.de/archlinux",),
    # Mirrors have the repositories below any folder: the end of the path identifies them.
    hosts=("*/**/*/os/*/*",),
    redirects=("archive.org", "*.archive.org", "*.mirror.pkgbuild.com"),
    max_gap=54 * _HOUR,  # one run a day, about 12:42: one may be missing and the next some hours late
    settle_after=48 * _HOUR,
    first=int(datetime(2013, 9, 1, tzinfo=UTC).timestamp()),
    history_settings=DatedSettings(folder="repos/YYYY/MM/DD"),
)

# Alpine: it has no snapshot service, and a branch keeps only the newest version of a package, so that a pinned version
# is gone within days. Releases use dl-cdn.alpinelinux.org, older ones and users dl-2 to dl-5 or a country. Indexes are
# signed by keys that Alpine has in two folders; on another system they must be copied to either folder, or the
# archive's `keyrings` must name their folder. dl-cdn.alpinelinux.org: a content network, and the only name that the
# project publishes for everyone.
_ALPINE = Archive(
    name="alpine",
    family="apk",
    history="captured",
    mirrors=("https://dl-cdn.alpinelinux.org/alpine",),
    hosts=("*.alpinelinux.org/alpine/",),
    keyrings=("/etc/apk/keys", "/usr/share/apk/keys"),
)

# Arch Linux ARM: it has no snapshot service, and mirrors keep current files only. Its default mirrorlist has one
# address for the nearest of all mirrors (they must answer to that name), and names of places and countries below it
# (fl.us). Mirrors place the architecture before the repository. Databases are not signed, each package is.
# de.mirror.archlinuxarm.org: one of the official mirrors, which are updated by push.
_ARCHLINUX_ARM = Archive(
    name="archlinuxarm",
    family="pacman",
    history="captured",
    mirrors=("http://de.mirror.archlinuxarm.org",),
    hosts=("mirror.archlinuxarm.org/", "*.mirror.archlinuxarm.org/", "*.*.mirror.archlinuxarm.org/"),
)

# Fedora: releases/, updates/ and development/ are in one tree, which is one archive: a build uses a release and its
# updates from the same instant. Updates are kept in their last state only. Clients' files refer to a metalink, which is
# refused; their baseurl, a comment as shipped, names download.example, a host that does not exist: users who enable it
# need no other change. Clients check the signature of each package, but none of repomd.xml.
# dl.fedoraproject.org: the project's own servers, without a content network. Ended releases move to
# archives.fedoraproject.org.
_FEDORA = Archive(
    name="fedora",
    family="rpm",
    history="captured",
    mirrors=(
        "https://dl.fedoraproject.org/pub/fedora/linux",
        "https://archives.fedoraproject.org/pub/archive/fedora/linux",
    ),
    hosts=(
        "download.example/pub/fedora/linux/",
        "dl.fedoraproject.org/pub/fedora/linux/",
        "download.fedoraproject.org/pub/fedora/linux/",
        "archives.fedoraproject.org/pub/archive/fedora/linux/",
    ),
)

# CentOS Stream from 9 on, with its special interest groups' repositories (SIGs/) in the same tree. Composes are kept
# for a while elsewhere, under their own names; the tree itself has current files. Clients' files refer to a metalink,
# which is refused; the baseurl in them names mirror.stream.centos.org, a content network. Clients check packages'
# signatures only.
# mirrors.ocf.berkeley.edu: one complete mirror of a university.
_CENTOS_STREAM = Archive(
    name="centos-stream",
    family="rpm",
    history="captured",
    mirrors=("https://mirrors.ocf.berkeley.edu/centos-stream",),
    hosts=("mirror.stream.centos.org/",),
)

# Rocky Linux: the current minor releases; earlier ones move to a vault, in their last state. Clients' files refer to a
# list of mirrors, which is refused; the baseurl in them names dl.rockylinux.org, a content network. Clients check
# packages' signatures only.
# ftp.halifax.rwth-aachen.de: one complete, reliable mirror.
_ROCKY = Archive(
    name="rocky",
    family="rpm",
    history="captured",
    mirrors=("https://ftp.halifax.rwth-aachen.de/rocky",),
    hosts=("dl.rockylinux.org/pub/rocky/", "download.rockylinux.org/pub/rocky/"),
)

# AlmaLinux: the current minor releases; earlier ones move to a vault, in their last state. Clients' files refer to a
# list of mirrors, which is refused; the baseurl in them names repo.almalinux.org, the project's own. Clients check
# packages' signatures only.
_ALMALINUX = Archive(
    name="almalinux",
    family="rpm",
    history="captured",
    mirrors=("https://repo.almalinux.org/almalinux",),
    hosts=("repo.almalinux.org/almalinux/",),
)

# openSUSE: download.opensuse.org serves metadata itself and redirects package requests to any mirror; cdn.opensuse.org
# is a content network; zypper uses mirrorcache-eu.opensuse.org and the like by itself if it may use the nearest.
# repomd.xml is signed.
# downloadcontent.opensuse.org: the same tree from one server, without redirects.

# Leap's releases, each in its first state.
_OPENSUSE_LEAP = Archive(
    name="opensuse-leap",
    family="rpm",
    history="captured",
    mirrors=("https://downloadcontent.opensuse.org/distribution/leap",),
    hosts=("*.opensuse.org/distribution/leap/",),
    keyrings=_OPENSUSE_KEYRINGS,
)

# Updates published after a release: leap/15.6/oss, leap/15.6/sle, leap/15.6/backports; and tumbleweed, which is empty
# except for emergencies.
_OPENSUSE_UPDATE = Archive(
    name="opensuse-update",
    family="rpm",
    history="captured",
    mirrors=("https://downloadcontent.opensuse.org/update",),
    hosts=("*.opensuse.org/update/",),
    keyrings=_OPENSUSE_KEYRINGS,
)

# Tumbleweed's snapshots, named by the day of the sources they were built from: some dozens of them, for x86_64, with a
# list. A snapshot is published a day or more after its day, after its tests; sometimes there is no new one for a week.
# The mirrors have the newest one; the oldest is removed when another is published.
_OPENSUSE_TUMBLEWEED = Archive(
    name="opensuse-tumbleweed",
    family="rpm",
    history="dated",
    snapshot=("https://download.opensuse.org",),
    mirrors=("https://downloadcontent.opensuse.org/tumbleweed",),
    hosts=("*.opensuse.org/tumbleweed/",),
    keyrings=_OPENSUSE_KEYRINGS,
    redirects=("*.opensuse.org",),
    max_gap=7 * _DAY,
    settle_after=48 * _HOUR,
    history_settings=DatedSettings(folder="history/YYYYMMDD/tumbleweed", days="history/list"),
)

BUILTIN: tuple[Archive, ...] = (
    _DEBIAN,
    _DEBIAN_SECURITY,
    _DEBIAN_DEBUG,
    _DEBIAN_PORTS,
    _DEBIAN_ARCHIVE,
    _DEBIAN_BACKPORTS,
    _DEBIAN_VOLATILE,
    _UBUNTU_PORTS,
    _UBUNTU,
    _PPA,
    _ARCHLINUX,
    _ARCHLINUX_ARM,
    _FEDORA,
    _CENTOS_STREAM,
    _ROCKY,
    _ALMALINUX,
    _OPENSUSE_LEAP,
    _OPENSUSE_UPDATE,
    _OPENSUSE_TUMBLEWEED,
    _ALPINE,
)
"""Every built-in archive. The first one with the history `snapshots` defines the service for `/mr/` and `/file/`."""
