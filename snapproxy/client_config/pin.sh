#!/bin/sh
# Points this system's package sources at snapproxy, which shows them as they were at @WHEN@.
#
#   curl -s URL | sh                      pin; `sh -s -- OPTION...` gives options
#   --undo                                put every file back as it was, times included
#   --root DIR (or ROOT=DIR)              another system's root
#   --keep-unknown                        leave sources alone that snapproxy knows no archive for; they stay unpinned
#   SNAPPROXY=http://HOST:PORT            where snapproxy is, as seen from here (default @BASE@)
#
# Without --keep-unknown one unknown source is a failure, and nothing is changed. The originals wait in /etc/snapproxy-pin.
# Needs sh, awk, sed and the usual file commands, GNU's or busybox's.
set -eu
export LC_ALL=C

snapproxy=${SNAPPROXY:-@BASE@}
state=
root=${ROOT:-}

main() {
    undo='' keep_unknown=''
    while [ $# -gt 0 ]; do
        case $1 in
            --undo) undo=yes ;;
            --keep-unknown) keep_unknown=yes ;;
            --root) [ $# -gt 1 ] || fail "--root needs a folder"; root=$2; shift ;;
            --root=*) root=${1#*=} ;;
            *) fail "there is no option $1; there are --undo, --root DIR and --keep-unknown" ;;
        esac
        shift
    done
    root=${root%/}
    state=$root/etc/snapproxy-pin
    if [ -n "$undo" ]; then undo; else pin; fi
}

fail() {
    echo "snapproxy: $*" >&2
    exit 1
}

pin() {
    host=${snapproxy#http://}
    host=${host%/}
    case $host in
        '' | *[!][A-Za-z0-9.:_-]*) fail "SNAPPROXY is not http://HOST:PORT: $snapproxy" ;;
    esac
    snapproxy=http://$host
    found=$(files)
    [ -n "$found" ] || fail "there are no sources of apt, pacman, apk, dnf or zypper${root:+ in $root}"
    unknown=$(echo "$found" | while read -r kind file; do rewritten "$kind" "$file" report; done)
    if [ -n "$unknown" ]; then
        printf '%s\n' "$unknown" >&2
        [ -n "$keep_unknown" ] || fail "no archive is known for the sources above, so nothing was changed. Give snapproxy" \
            "a row for them, remove them, or leave them unpinned with --keep-unknown"
    fi
    [ -d "$state" ] || begin
    echo "$found" | while read -r kind file; do
        cp -p "$(original "$file")" "$state/new" # for its owner and mode
        rewritten "$kind" "$file" > "$state/new"
        keep "$file"
        mv -f "$state/new" "$root$file"
    done
    [ ! -d "$root/etc/apt/apt.conf.d" ] || add /etc/apt/apt.conf.d/99snapproxy
    echo "snapproxy: pinned to @WHEN@ at $snapproxy"
}

# Every file that names sources or settings, as "KIND PATH". One that is not there yields nothing.
files() {
    list apt /etc/apt/sources.list "/etc/apt/sources.list.d/*.list" "/etc/apt/mirrors/*.list" /etc/apt/apt-mirrors.txt
    list deb822 "/etc/apt/sources.list.d/*.sources"
    list apk /etc/apk/repositories "/etc/apk/repositories.d/*.list"
    list dnf /etc/dnf/dnf.conf /etc/yum.conf
    list repo "/etc/yum.repos.d/*.repo" "/etc/distro.repos.d/*.repo"
    list repo "/etc/zypp/repos.d/*.repo" "/etc/zypp/services.d/*.service"
    list zypp /etc/zypp/zypp.conf
    if [ -f "$root/etc/pacman.conf" ]; then
        list pacman /etc/pacman.conf
        sed -n 's/^[ 	]*Include[ 	]*=[ 	]*//p' "$root/etc/pacman.conf" | sort -u |
            while read -r pattern; do list included "$pattern"; done
    fi
}

list() {
    kind=$1
    shift
    for pattern; do
        # shellcheck disable=SC2086 # the pattern is meant to be expanded
        (IFS='' && for file in "$root"$pattern; do [ ! -f "$file" ] || echo "$kind ${file#"$root"}"; done)
    done
}

# What is to stand in file $2 of kind $1; with a third argument, the sources in it that are unknown.
rewritten() {
    awk -v kind="$1" -v file="$2" -v report="${3:-}" -v root="$root" -v snapproxy="$snapproxy" "$program" "$(original "$2")"
}

# Pinning again begins with what was there first. A link is read in its own root.
original() {
    if is "$state/old$1"; then from=$state/old$1; else from=$root$1; fi
    [ ! -L "$from" ] || case $(readlink "$from") in
        /*) from=$root$(readlink "$from") ;;
        *) from=$root${1%/*}/$(readlink "$from") ;;
    esac
    echo "$from"
}

is() {
    [ -e "$1" ] || [ -L "$1" ]
}

begin() {
    before=$(time_of /etc) # the new folder changes it
    mkdir "$state"
    echo "$before" > "$state/folders"
}

time_of() {
    echo "$(stat -c '%Y|%y' "$root$1")|$1|"
}

# The original is linked, not copied, so that --undo brings back the very file.
keep() {
    ! is "$state/old$1" || return 0
    note_folder "$1"
    echo "$1" >> "$state/files"
    mkdir -p "$state/old${1%/*}"
    if ! ln "$root$1" "$state/old$1" 2> /dev/null; then
        cp -p "$root$1" "$state/copy"
        mv -f "$state/copy" "$state/old$1"
    fi
}

add() {
    if ! grep -qxF "$1" "$state/added" 2> /dev/null; then
        if is "$root$1"; then keep "$1"; fi
        note_folder "$1"
        echo "$1" >> "$state/added"
    fi
    echo "$apt_settings" > "$state/new"
    mv -f "$state/new" "$root$1"
}

note_folder() {
    grep -qF "|${1%/*}|" "$state/folders" 2> /dev/null || time_of "${1%/*}" >> "$state/folders"
}

undo() {
    [ -d "$state" ] || return 0
    each added | while read -r file; do rm -f "$root$file"; done
    each files | while read -r file; do
        if is "$state/old$file"; then mv -f "$state/old$file" "$root$file"; fi
    done
    each folders | set_times
    above=$(each folders | grep -F '|/etc|' || :)
    rm -rf "$state"
    [ -z "$above" ] || echo "$above" | set_times
    echo "snapproxy: every source is as it was"
}

# GNU's touch reads a time with its fraction, busybox's only whole seconds.
set_times() {
    while IFS='|' read -r seconds exact folder _; do
        touch -d "$exact" "$root$folder" 2> /dev/null || touch -d "@$seconds" "$root$folder"
    done
}

each() {
    [ ! -f "$state/$1" ] || cat "$state/$1"
}

apt_settings=@APT@

# Rewrites one file, or reports what it cannot. The address of a source is its last word on whether it is pinned.
# shellcheck disable=SC2016 # awk expands the dollars
program='
BEGIN {
    family = kind == "deb822" ? "apt" : kind == "included" ? "pacman" : kind ~ "^(dnf|repo|zypp)$" ? "rpm" : kind
    off_line = kind == "repo" ? "^enabled[ \t]*=[ \t]*(0|no|false|off)" : "^enabled:[ \t]*(no|false|without|off|disable)"
    settings["pacman"] = @PACMAN@
    settings["dnf"] = @DNF@
    settings["zypp"] = @ZYPP@
    # The last two are lists of mirrors, which are files of their own.
    local = "^(file|copy|cdrom|cd|dvd|dir|hd|iso):|^mirror[+]file:/etc/apt/(mirrors/[^/]+[.]list|apt-mirrors[.]txt)$"
}

# The archive that `host` and `path` are a place of, "" when none is known; the most specific place first. `rest` is what follows.
function known() {
@ROWS@
    return ""
}

function inside(prefix) {
    if (index(path "/", prefix "/") != 1) return 0
    rest = substr(path, length(prefix) + 1)
    return 1
}

function ends(tail) {
    if (!match(path, tail "/?$")) return 0
    rest = substr(path, RSTART)
    return 1
}

function dated(prefix) {
    return inside(prefix) && sub("^/[^/]+", "", rest)
}

# An address as this proxy answers it. The case of a host does not matter, nor a port that goes without saying.
function place(address,   scheme, archive) {
    scheme = tolower(substr(address, 1, index(address, ":") - 1))
    if (scheme != "http" && scheme != "https") return ""
    rest = substr(address, length(scheme) + 4)
    host = tolower(rest)
    sub("/.*", "", host)
    path = substr(rest, length(host) + 1)
    if (address ~ "^[a-zA-Z]*://" && host !~ "[@?#]" && path !~ "//|[?#]") {
        sub(scheme == "http" ? ":80$" : ":443$", "", host)
        archive = known()
    }
    return archive == "" ? "" : "@PREFIX@" archive "/@WHEN@" (rest == "" ? "/" : rest)
}

# Our own address, with whatever time stands there: this time takes its place.
function again(address) {
    if (index(address, snapproxy "/") != 1) return ""
    rest = substr(address, length(snapproxy) + 2)
    sub("^~[^/]*/", "", rest)
    sub("^archive/", "", rest)
    if (rest ~ "^repos/" || !match(rest, "^[^/]+/[^/]+")) return ""
    return "@PREFIX@" substr(rest, 1, index(rest, "/")) "@WHEN@" substr(rest, RLENGTH + 1)
}

# What is on this machine is not live; what is neither that nor known is reported.
function pinned(address, off,   new) {
    if (address !~ "^[a-zA-Z][a-zA-Z0-9+.-]*:/|://" || address ~ local) return address
    new = again(address)
    if (new == "") new = place(address)
    if (new != "") return snapproxy "/" new
    unknown(address, off)
    return address
}

function unknown(what, off) {
    if (off && report) print "snapproxy: left as it is, since it is off: " file ": " what | "cat >&2"
    else if (report) print file ": " what
}

# Every word of a line from column `start` on, the space between them kept.
function words(text, start, off,   done, space, word) {
    done = substr(text, 1, start - 1)
    text = substr(text, start)
    while (match(text, "[^ \t,]+")) {
        space = substr(text, 1, RSTART - 1)
        word = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        if (substr(word, 1, 1) == "#") return done space word text
        done = done space pinned(word, off)
    }
    return done text
}

# The same for what follows a key, and for the indented lines below it.
function values(text, mark, off) {
    return text ~ "^#" ? text : words(text, text ~ "^[ \t]" ? 1 : index(text, mark) + 1, off)
}

function value(text) {
    sub("^[^=]*=[ \t]*", "", text)
    return text
}

function say(text) {
    if (!report) print text
}

kind == "apt" || kind == "apk" { say(words($0, 1, 0)) }

# Settings go below their header; the same ones, where they stand already, become comments.
kind in settings {
    name = $1
    sub("=.*", "", name)
    if (name != "" && index("\n" settings[kind] "\n", "\n" name (/=/ ? "=" : "\n"))) $0 = "#" $0
    if (kind == "pacman") server($0); else say($0)
    if ($1 == (kind == "pacman" ? "[options]" : "[main]")) say(settings[kind])
}

kind == "included" {
    if (/^[ \t]*Include[ \t]*=/) unknown($0, 0)
    server($0)
}

# A server that is the same as one before it would only be asked again after a refusal.
function server(text) {
    if (text ~ "^[ \t]*\\[") split("", seen)
    if (text !~ "^[ \t]*(Cache)?Server[ \t]*=") { say(text); return }
    text = words(text, index(text, "=") + 1, 0)
    if (!seen[text]++) say(text)
}

kind == "deb822" || kind == "repo" {
    if (kind == "repo" ? /^[ \t]*\[/ : /^[ \t]*$/) block()
    lines[++count] = $0
}

END { if (count) block() }

# A stanza or a section is read whole: what turns it off may stand at its end.
function block(   i, off) {
    for (i = 1; i <= count; i++) if (tolower(lines[i]) ~ off_line) off = 1
    if (kind == "repo") section(off); else stanza(off)
    count = 0
}

function stanza(off,   i, uris) {
    for (i = 1; i <= count; i++) {
        if (lines[i] ~ "^[^ \t#]") uris = tolower(lines[i]) ~ "^uris:"
        say(uris ? values(lines[i], ":", off) : lines[i])
    }
}

# dnf and zypper: the baseurl, else the one that the distribution wrote beside its metalink as a comment.
function section(off,   i, key, has, spare, list) {
    for (i = 1; i <= count; i++) {
        if (lines[i] ~ "^baseurl[ \t]*=") has = 1
        if (lines[i] ~ "^#[# \t]*baseurl[ \t]*=" && !spare && spare_place(value(lines[i])) != "") spare = i
        if (lines[i] ~ "^(metalink|mirrorlist)[ \t]*=") list = i
    }
    if (list && !has && !spare) unknown(value(lines[list]), off)
    for (i = 1; i <= count; i++) {
        if (lines[i] ~ "^[^ \t]") key = lines[i] ~ "^(baseurl|url)[ \t]*="
        if (list && !has && i == spare) say("baseurl=" snapproxy "/" spare_place(value(lines[i])))
        else if (lines[i] ~ "^(metalink|mirrorlist)[ \t]*=" && (has || spare)) say("#" lines[i])
        else if (lines[i] ~ "^skip_if_unavailable[ \t]*=") say("skip_if_unavailable=False")
        else say(key ? values(lines[i], "=", off) : lines[i])
    }
}

# Rocky Linux writes a folder as a variable of dnf, since mirrors name it otherwise.
function spare_place(address,   folder) {
    if ((getline folder < (root "/etc/dnf/vars/contentdir")) > 0) sub("[$]contentdir", folder, address)
    close(root "/etc/dnf/vars/contentdir")
    return place(address)
}
'

main "$@"
