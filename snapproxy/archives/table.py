"""The built-in archives, as data. A new archive of a family that is built is one more row here.

Regular mirrors are the projects' own, by a name that is not a content network's: a name behind which many caches stand may
answer two requests from two states of the archive. They are asked for live answers, and for files whose digest is already
promised, so that the snapshot services, which are slow and short of bandwidth, only give what is nowhere else. What the table
does not know of a user's own mirror, `[archives.<name>]` overrides field by field.

Hosts are patterns: `*` is any run within one label. The most specific one wins, among equals the later row.
"""

from __future__ import annotations

from datetime import UTC, datetime

from snapproxy.archives.dated_addresses import DatedSettings
from snapproxy.core.model import Archive

_HOUR = 3600
_DAY = 24 * _HOUR
_YEAR = 366 * _DAY

# The keys of releases whose time is over were moved to the second file; old roots are signed with them.
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

# As Debian's distribution-gpg-keys installs them. Leap is built of openSUSE's own packages, of SUSE's, and of backports for those.
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

# snapshot.debian.org: every dump since March 2005, some 90 TB. Answers 429 or 509 for hours once an address asks too much (no
# limit is published), cuts connections and now and then sends part of a file under a 200. Its newest dump may be incomplete
# or unseen by one of its backends. Files are redirected to /file/<sha1> on the same host.
# ftp.debian.org: the project's own front for one complete mirror; steady, and holds what is current only.

_DEBIAN = Archive(
    name="debian",
    family="apt",
    history="snapshots",
    snapshot=("https://snapshot.debian.org/archive/debian",),
    mirrors=("http://ftp.debian.org/debian",),
    # The content network, the country mirrors (ftp.de.debian.org) and the clouds' own names, two labels deep.
    hosts=("*.debian.org/debian/", "*.*.debian.org/debian/"),
    keyrings=_DEBIAN_KEYRINGS,
    max_gap=48 * _HOUR,  # a dump about every six hours; two days cover its ordinary outages
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
    max_gap=48 * _HOUR,  # three weeks of September 2017 are missing, and refused
)

# Unofficial architectures. Its newest packages come and go within hours, so the mirror rarely helps with the past.
_DEBIAN_PORTS = Archive(
    name="debian-ports",
    family="apt",
    history="snapshots",
    snapshot=("https://snapshot.debian.org/archive/debian-ports",),
    mirrors=("http://ftp.ports.debian.org/debian-ports",),
    hosts=("*.debian.org/debian-ports/", "*.*.debian.org/debian-ports/"),
    keyrings=_PORTS_KEYRINGS,
    max_gap=48 * _HOUR,  # November 2010 and September 2017 have holes
)

# archive.debian.org: releases whose support has ended, in one tree with debian, debian-security, debian-backports, ... as folders,
# hence the bare host. Changes only when another release is moved there; what its dumps hold has not changed since.
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

# Updates for software that ages quickly, before squeeze-updates took over.
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

# snapshot.ubuntu.com: any second since 1 March 2023, kept "at least two years"; weeks of 503 have been seen (July 2026). One tree
# holds every pocket and every architecture, so archive, security and ports hosts all lead to it.
_UBUNTU_SNAPSHOT = ("https://snapshot.ubuntu.com/ubuntu",)
_UBUNTU_FIRST = int(datetime(2023, 3, 1, tzinfo=UTC).timestamp())

# Two rows for one history, because its mirrors are two: ports.ubuntu.com alone has the binaries of the architectures beyond
# amd64 and i386. Ahead of `ubuntu`, so that snapshot.ubuntu.com itself, where both begin, is called `ubuntu`.
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

# archive.ubuntu.com: several hosts behind one name, now and then of two minds during a publication; promised digests tell.
_UBUNTU = Archive(
    name="ubuntu",
    family="apt",
    history="any-instant",
    snapshot=_UBUNTU_SNAPSHOT,
    mirrors=("http://archive.ubuntu.com/ubuntu", "http://security.ubuntu.com/ubuntu"),
    # Country mirrors (de.archive...), clouds (azure.archive..., us-east-1.ec2.archive...).
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

# Launchpad's public PPAs, kept for about two weeks only: what is older answers 404. Paths begin with owner, PPA and distribution,
# and the time stands behind those. Each PPA has its own key, so nothing here can check a signature: add a row with a keyring for
# one that matters.
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

# archive.archlinux.org: a folder a day since the end of August 2013, and every package of it for some years. Answers port 80 with a
# redirect and 20 requests a second at most, https without a known limit, though addresses that misbehave are banned. What has been
# removed is redirected to the historical archive, and there once more to one of its nodes; both are slow. `community` became part of
# `extra` in May 2023. The databases are not signed, each package is, by keys of many people: clients check those.
# ftp.halifax.rwth-aachen.de: one complete, steady mirror of the first tier. The project's own name for its mirrors leads elsewhere from
# everywhere.
_ARCHLINUX = Archive(
    name="archlinux",
    family="pacman",
    history="dated",
    snapshot=("https://archive.archlinux.org",),
    mirrors=("https://ftp.halifax.rwth-aachen.de/archlinux",),
    # Mirrors put the repositories below any folder: what follows is what tells them.
    hosts=("*/**/*/os/*/*",),
    redirects=("archive.org", "*.archive.org", "*.mirror.pkgbuild.com"),
    max_gap=54 * _HOUR,  # a run a day, about 12:42: one may be missing, the next may be some hours late
    settle_after=48 * _HOUR,
    first=int(datetime(2013, 9, 1, tzinfo=UTC).timestamp()),
    history_settings=DatedSettings(folder="repos/YYYY/MM/DD"),
)

# Alpine: no archive of it exists, and a branch keeps the newest version of a package alone, so that a pin is gone within days. Releases say
# dl-cdn.alpinelinux.org, older ones and people dl-2 to dl-5 or a country. Indexes are signed by keys that Alpine has in two folders; on
# another system they are copied to either, or the row names where they are.
# dl-cdn.alpinelinux.org: a content network, and the only name that the project gives to everybody.
_ALPINE = Archive(
    name="alpine",
    family="apk",
    history="captured",
    mirrors=("https://dl-cdn.alpinelinux.org/alpine",),
    hosts=("*.alpinelinux.org/alpine/",),
    keyrings=("/etc/apk/keys", "/usr/share/apk/keys"),
)

# Arch Linux ARM: no archive of it exists, and mirrors keep what is current only. Its default mirrorlist names one address for the nearest of
# all mirrors (they must answer to that name), and below it places and lands (fl.us). Mirrors put the architecture before the repository.
# Databases are not signed, each package is.
# de.mirror.archlinuxarm.org: one of the official mirrors, which are pushed to.
_ARCHLINUX_ARM = Archive(
    name="archlinuxarm",
    family="pacman",
    history="captured",
    mirrors=("http://de.mirror.archlinuxarm.org",),
    hosts=("mirror.archlinuxarm.org/", "*.mirror.archlinuxarm.org/", "*.*.mirror.archlinuxarm.org/"),
)

# Fedora: releases/, updates/ and development/ stand in one tree, and all of it is one archive: a build takes a release and its updates from
# the same instant. Updates are kept in their last state only. Clients' files lead to a metalink, which is refused; their baseurl, a comment
# as shipped, names download.example, a host of nobody's: who makes it count needs to change nothing else. Clients check the signature of each
# package, none of repomd.xml.
# dl.fedoraproject.org: the project's own servers, behind no content network. What has ended moves on to archives.fedoraproject.org.
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

# CentOS Stream from 9 on, with its special interest groups' repositories (SIGs/) in the same tree. Composes are kept for a while elsewhere, by
# names of their own; the tree itself has what is current. Clients' files lead to a metalink, which is refused; the baseurl in them names
# mirror.stream.centos.org, a content network. Clients check packages' signatures only.
# mirrors.ocf.berkeley.edu: one complete mirror of a university.
_CENTOS_STREAM = Archive(
    name="centos-stream",
    family="rpm",
    history="captured",
    mirrors=("https://mirrors.ocf.berkeley.edu/centos-stream",),
    hosts=("mirror.stream.centos.org/",),
)

# Rocky Linux: the current minor releases; earlier ones move to a vault, in their last state. Clients' files lead to a list of mirrors, which is
# refused; the baseurl in them names dl.rockylinux.org, a content network. Clients check packages' signatures only.
# ftp.halifax.rwth-aachen.de: one complete, steady mirror.
_ROCKY = Archive(
    name="rocky",
    family="rpm",
    history="captured",
    mirrors=("https://ftp.halifax.rwth-aachen.de/rocky",),
    hosts=("dl.rockylinux.org/pub/rocky/", "download.rockylinux.org/pub/rocky/"),
)

# AlmaLinux: the current minor releases; earlier ones move to a vault, in their last state. Clients' files lead to a list of mirrors, which is
# refused; the baseurl in them names repo.almalinux.org, the project's own. Clients check packages' signatures only.
_ALMALINUX = Archive(
    name="almalinux",
    family="rpm",
    history="captured",
    mirrors=("https://repo.almalinux.org/almalinux",),
    hosts=("repo.almalinux.org/almalinux/",),
)

# openSUSE: download.opensuse.org gives metadata itself and sends for packages to any mirror there is; cdn.opensuse.org is a content network;
# zypper goes to mirrorcache-eu.opensuse.org and the like by itself, where it may use the nearest. repomd.xml is signed.
# downloadcontent.opensuse.org: the same tree, as one server gives it, without redirects.

# Leap's releases, each in its first state.
_OPENSUSE_LEAP = Archive(
    name="opensuse-leap",
    family="rpm",
    history="captured",
    mirrors=("https://downloadcontent.opensuse.org/distribution/leap",),
    hosts=("*.opensuse.org/distribution/leap/",),
    keyrings=_OPENSUSE_KEYRINGS,
)

# What was published after a release: leap/15.6/oss, leap/15.6/sle, leap/15.6/backports; and tumbleweed, which is empty but for emergencies.
_OPENSUSE_UPDATE = Archive(
    name="opensuse-update",
    family="rpm",
    history="captured",
    mirrors=("https://downloadcontent.opensuse.org/update",),
    hosts=("*.opensuse.org/update/",),
    keyrings=_OPENSUSE_KEYRINGS,
)

# Tumbleweed's snapshots, by the day whose sources they were built from: some dozens of them, for x86_64, with a list. A snapshot is published a day
# or more after its day, once it has passed its tests, and none for a week now and then. The newest is what the mirrors have; the oldest is
# given up when another comes.
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
"""Every built-in row. The first whose history is `snapshots` names the service that `/mr/` and `/file/` lead to."""
