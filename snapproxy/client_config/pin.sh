#!/bin/sh
# Rewrites the package sources of this system so that snapproxy serves them as of @WHEN@.
#
#   curl -s URL | sh                      pin the sources; pass options with `sh -s -- OPTION...`
#   --undo                                restore all files, with their modification times
#   --root DIR (or ROOT=DIR)              change the system in DIR instead of /
#   --keep-unknown                        do not change sources for which snapproxy has no archive; they stay unpinned
#   SNAPPROXY=http://HOST:PORT            address of snapproxy as seen from this system (default @BASE@)
#
# Without --keep-unknown an unknown source is an error, and nothing is changed. The original files are kept in
# /etc/snapproxy-pin. Needs sh, awk, sed and the usual file commands, of GNU or busybox.
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
            --root) [ $# -gt 1 ] || fail "--root requires a folder"; root=$2; shift ;;
            --root=*) root=${1#*=} ;;
            *) fail "unknown option $1; use --undo, --root DIR or --keep-unknown" ;;
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
    [ -n "$found" ] || fail "found no package sources of apt, pacman, apk, dnf or zypper in ${root:-/}," \
        "so nothing was changed. Name the root of another system with --root DIR"
    unknown=$(echo "$found" | while read -r kind file; do rewrite "$kind" "$file" report; done)
    if [ -n "$unknown" ]; then
        printf '%s\n' "$unknown" >&2
        [ -n "$keep_unknown" ] || fail "no archive is configured for the sources above, so nothing was changed." \
            "Add an [archives.NAME] with their hosts to the configuration of snapproxy, remove the sources, or leave" \
            "them unpinned with --keep-unknown"
    fi
    [ -d "$state" ] || create_state
    echo "$found" | while read -r kind file; do
        cp -p "$(original "$file")" "$state/new" # keeps the owner and mode
        rewrite "$kind" "$file" > "$state/new"
        keep_original "$file"
        mv -f "$state/new" "$root$file"
    done
    [ ! -d "$root/etc/apt/apt.conf.d" ] || add_settings /etc/apt/apt.conf.d/99snapproxy
    echo "snapproxy: pinned to @WHEN@ at $snapproxy"
}

# Print every existing file with sources or settings, as "KIND PATH".
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
        # shellcheck disable=SC2086 # the shell must expand the pattern
        (IFS='' && for file in "$root"$pattern; do [ ! -f "$file" ] || echo "$kind ${file#"$root"}"; done)
    done
}

# Print the new content of file $2 of kind $1; with a third argument, its unknown sources.
rewrite() {
    awk -v kind="$1" -v file="$2" -v report="${3:-}" -v root="$root" -v snapproxy="$snapproxy" \
        "$program" "$(original "$2")"
}

# Print the path of the original file, which is also the input when the sources are pinned again. A symbolic link is
# followed within the root.
original() {
    if exists "$state/old$1"; then from=$state/old$1; else from=$root$1; fi
    [ ! -L "$from" ] || case $(readlink "$from") in
        /*) from=$root$(readlink "$from") ;;
        *) from=$root${1%/*}/$(readlink "$from") ;;
    esac
    echo "$from"
}

exists() {
    [ -e "$1" ] || [ -L "$1" ]
}

create_state() {
    before=$(folder_time /etc) # the new folder changes it
    mkdir "$state"
    echo "$before" > "$state/folders"
}

folder_time() {
    echo "$(stat -c '%Y|%y' "$root$1")|$1|"
}

# Keep the original file by a hard link instead of a copy where possible, so that --undo restores the same file.
keep_original() {
    ! exists "$state/old$1" || return 0
    record_folder "$1"
    echo "$1" >> "$state/files"
    mkdir -p "$state/old${1%/*}"
    if ! ln "$root$1" "$state/old$1" 2> /dev/null; then
        cp -p "$root$1" "$state/copy"
        mv -f "$state/copy" "$state/old$1"
    fi
}

add_settings() {
    if ! grep -qxF "$1" "$state/added" 2> /dev/null; then
        if exists "$root$1"; then keep_original "$1"; fi
        record_folder "$1"
        echo "$1" >> "$state/added"
    fi
    echo "$apt_settings" > "$state/new"
    mv -f "$state/new" "$root$1"
}

record_folder() {
    grep -qF "|${1%/*}|" "$state/folders" 2> /dev/null || folder_time "${1%/*}" >> "$state/folders"
}

undo() {
    [ -d "$state" ] || return 0
    each added | while read -r file; do rm -f "$root$file"; done
    each files | while read -r file; do
        if exists "$state/old$file"; then mv -f "$state/old$file" "$root$file"; fi
    done
    each folders | set_times
    above=$(each folders | grep -F '|/etc|' || :)
    rm -rf "$state"
    [ -z "$above" ] || echo "$above" | set_times
    echo "snapproxy: restored all package sources"
}

# touch of GNU reads a time with its fraction, touch of busybox only whole seconds.
set_times() {
    while IFS='|' read -r seconds exact folder _; do
        touch -d "$exact" "$root$folder" 2> /dev/null || touch -d "@$seconds" "$root$folder"
    done
}

each() {
    [ ! -f "$state/$1" ] || cat "$state/$1"
}

apt_settings=@APT@

# Rewrites one file, or reports its unknown sources. Only the address decides whether a source is pinned.
# shellcheck disable=SC2016 # awk expands the dollar signs
program='
BEGIN {
    family = kind == "deb822" ? "apt" : kind == "included" ? "pacman" : kind ~ "^(dnf|repo|zypp)$" ? "rpm" : kind
    off_line = "^enabled:[ \t]*(no|false|without|off|disable)"
    if (kind == "repo") off_line = "^enabled[ \t]*=[ \t]*(0|no|false|off)"
    settings["pacman"] = @PACMAN@
    settings["dnf"] = @DNF@
    settings["zypp"] = @ZYPP@
    # The last two are lists of mirrors in files that are rewritten, too.
    local = "^(file|copy|cdrom|cd|dvd|dir|hd|iso):|^mirror[+]file:/etc/apt/(mirrors/[^/]+[.]list|apt-mirrors[.]txt)$"
}

# Return the archive at `host` and `path`, "" if it is unknown. The most specific rule comes first. Sets `rest` to the
# remaining path.
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

# Return the path of an address in snapproxy, "" if it is unknown. The case of the host and a default port are ignored.
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

# Return the path of an address that is already in snapproxy, with the new time, else "".
function repinned(address) {
    if (index(address, snapproxy "/") != 1) return ""
    rest = substr(address, length(snapproxy) + 2)
    sub("^~[^/]*/", "", rest)
    sub("^archive/", "", rest)
    if (rest ~ "^repos/" || !match(rest, "^[^/]+/[^/]+")) return ""
    return "@PREFIX@" substr(rest, 1, index(rest, "/")) "@WHEN@" substr(rest, RLENGTH + 1)
}

# Return the pinned form of an address. A local address is not changed; any other unknown address is reported.
function pinned(address, off,   new) {
    if (address !~ "^[a-zA-Z][a-zA-Z0-9+.-]*:/|://" || address ~ local) return address
    new = repinned(address)
    if (new == "") new = place(address)
    if (new != "") return snapproxy "/" new
    unknown(address, off)
    return address
}

function unknown(what, off) {
    if (off && report) print "snapproxy: not changed, because it is disabled: " file ": " what | "cat >&2"
    else if (report) print file ": " what
}

# Pin every word of a line from column `start` on; spaces are kept.
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

# Pin every word after a key, or in an indented line below it.
function values(text, mark, off) {
    return text ~ "^#" ? text : words(text, text ~ "^[ \t]" ? 1 : index(text, mark) + 1, off)
}

function value(text) {
    sub("^[^=]*=[ \t]*", "", text)
    return text
}

function emit(text) {
    if (!report) print text
}

kind == "apt" || kind == "apk" { emit(words($0, 1, 0)) }

# Add settings below their header, and turn existing lines with the same settings into comments.
kind in settings {
    name = $1
    sub("=.*", "", name)
    if (name != "" && index("\n" settings[kind] "\n", "\n" name (/=/ ? "=" : "\n"))) $0 = "#" $0
    if (kind == "pacman") server($0); else emit($0)
    if ($1 == (kind == "pacman" ? "[options]" : "[main]")) emit(settings[kind])
}

kind == "included" {
    if (/^[ \t]*Include[ \t]*=/) unknown($0, 0)
    server($0)
}

# Omit a server that is the same as an earlier one: pacman would only ask it again after a refusal.
function server(text) {
    if (text ~ "^[ \t]*\\[") split("", seen)
    if (text !~ "^[ \t]*(Cache)?Server[ \t]*=") { emit(text); return }
    text = words(text, index(text, "=") + 1, 0)
    if (!seen[text]++) emit(text)
}

kind == "deb822" || kind == "repo" {
    if (kind == "repo" ? /^[ \t]*\[/ : /^[ \t]*$/) block()
    lines[++count] = $0
}

END { if (count) block() }

# Rewrite a stanza or a section as a whole, because the line that disables it may be the last one.
function block(   i, off) {
    for (i = 1; i <= count; i++) if (tolower(lines[i]) ~ off_line) off = 1
    if (kind == "repo") section(off); else stanza(off)
    count = 0
}

function stanza(off,   i, uris) {
    for (i = 1; i <= count; i++) {
        if (lines[i] ~ "^[^ \t#]") uris = tolower(lines[i]) ~ "^uris:"
        emit(uris ? values(lines[i], ":", off) : lines[i])
    }
}

# Rewrite a section of dnf or zypper: its baseurl, else the one in a comment of the distribution beside a metalink.
function section(off,   i, key, has, spare, list) {
    for (i = 1; i <= count; i++) {
        if (lines[i] ~ "^baseurl[ \t]*=") has = 1
        if (lines[i] ~ "^#[# \t]*baseurl[ \t]*=" && !spare && spare_place(value(lines[i])) != "") spare = i
        if (lines[i] ~ "^(metalink|mirrorlist)[ \t]*=") list = i
    }
    if (list && !has && !spare) unknown(value(lines[list]), off)
    for (i = 1; i <= count; i++) {
        if (lines[i] ~ "^[^ \t]") key = lines[i] ~ "^(baseurl|url)[ \t]*="
        if (list && !has && i == spare) emit("baseurl=" snapproxy "/" spare_place(value(lines[i])))
        else if (lines[i] ~ "^(metalink|mirrorlist)[ \t]*=" && (has || spare)) emit("#" lines[i])
        else if (lines[i] ~ "^skip_if_unavailable[ \t]*=") emit("skip_if_unavailable=False")
        else emit(key ? values(lines[i], "=", off) : lines[i])
    }
}

# Rocky Linux uses a dnf variable for a folder that has another name on its mirrors.
function spare_place(address,   folder) {
    if ((getline folder < (root "/etc/dnf/vars/contentdir")) > 0) sub("[$]contentdir", folder, address)
    close(root "/etc/dnf/vars/contentdir")
    return place(address)
}
'

main "$@"
