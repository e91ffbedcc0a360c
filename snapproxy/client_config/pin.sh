#!/bin/sh
# Rewrites the package sources of this system so that snapproxy serves them as of @WHEN@.
#
#   curl -s URL | sh                      pin the sources; pass options with `sh -s -- OPTION...`
#   --undo                                restore all files, with their modification times
#   --root DIR (or ROOT=DIR)              change the system in DIR instead of /
#   --disable-unknown                     turn sources off for which snapproxy has no archive, and print them
#   --keep-unknown                        do not change such sources; they stay unpinned, and are printed
#   SNAPPROXY=http://HOST:PORT            address of snapproxy as seen from this system (default @BASE@)
#
# Without these options an unknown source is an error, and nothing is changed. The rewritten files are read again, as
# the clients read them: the script succeeds only if every enabled source is pinned. The metadata that clients keep is
# removed. The original files are kept in /etc/snapproxy-pin. Needs sh, awk, sed and the usual file commands, of GNU or
# busybox.
set -eu
export LC_ALL=C

snapproxy=${SNAPPROXY:-@BASE@}
state=
root=${ROOT:-}

main() {
    undo='' unknown=refuse
    while [ $# -gt 0 ]; do
        case $1 in
            --undo) undo=yes ;;
            --keep-unknown) unknown=keep ;;
            --disable-unknown) unknown=disable ;;
            --root) [ $# -gt 1 ] || fail "--root requires a folder"; root=$2; shift ;;
            --root=*) root=${1#*=} ;;
            *) fail "unknown option $1; use --undo, --root DIR, --disable-unknown or --keep-unknown" ;;
        esac
        shift
    done
    root=${root%/}
    state=$(inside /etc)/snapproxy-pin
    state=$root$state
    for file in "$state" "$state"/*; do [ ! -L "$file" ] || fail "$file must not be a symbolic link"; done
    if [ -n "$undo" ]; then undo; else pin; fi
}

fail() {
    say "snapproxy: $*" >&2
    exit 1
}

# echo of some shells interprets backslashes.
say() {
    printf '%s\n' "$1"
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
    say "$found" | while read -r kind file; do check_text "$(original "$file")" "$file"; done
    planned=$(survey rewrite)
    notes=$(say "$planned" | sed -n 's/^off /snapproxy: not changed, because it is disabled: /p')
    if [ "$unknown" = disable ]; then
        notes=$(say "$planned" | sed -n 's/^live /snapproxy: disabled: /p'; say "$notes")
        planned=$(survey new_text)
    fi
    live=$(elsewhere; say "$planned" | sed -n 's/^live //p')
    check_plan
    [ -z "$notes" ] || say "$notes" | sed '/^$/d' >&2
    [ -d "$state" ] || create_state
    say "$found" | while read -r kind file; do
        cp -p "$(original "$file")" "$state/new" # keeps the owner and mode
        new_text "$kind" "$file" > "$state/new"
        keep_original "$file"
        mv -f "$state/new" "$root$file"
    done
    folder=$(inside /etc/apt/apt.conf.d)
    [ ! -d "$root$folder" ] || add_settings "$folder/99snapproxy"
    found=$(files)
    left=$(elsewhere; survey present | sed -n 's/^live //p')
    if [ "$left" != "$live" ]; then
        say "$left" >&2
        undo
        fail "the sources above were not pinned"
    fi
    forget
    [ -z "$live" ] || say "$live" | sed 's/^/snapproxy: stays unpinned: /' >&2
    echo "snapproxy: pinned to @WHEN@ at $snapproxy"
}

# Print the sources in the texts of all files, as the function $1 prints them.
survey() {
    say "$found" | while read -r kind file; do "$1" "$kind" "$file" | sources "$kind" "$file"; done
}

present() {
    cat "$root$(inside "$2")"
}

check_plan() {
    [ -z "$live" ] || [ "$unknown" = keep ] || say "$live" >&2
    [ -z "$live" ] || [ "$unknown" != refuse ] || fail "no archive is configured for the sources above, so nothing" \
        "was changed. Add an [archives.NAME] with their hosts to the configuration of snapproxy, remove the sources," \
        "turn them off with --disable-unknown, or leave them unpinned with --keep-unknown"
    [ -z "$live" ] || [ "$unknown" = keep ] || fail "the script cannot turn the sources above off, so nothing was" \
        "changed. Remove them, or leave them unpinned with --keep-unknown"
    say "$planned" | grep -qx pinned || fail "no enabled source of ${root:-/} can be pinned, so nothing was changed." \
        "Add an [archives.NAME] with its host to the configuration of snapproxy"
}

# Print where a path of the system leads, relative to the root. Symbolic links are followed as the system itself would,
# so that no link leads out of the root.
inside() {
    todo=$1 real='' links=0
    while [ -n "$todo" ]; do
        name=${todo%%/*}
        case $todo in */*) todo=${todo#*/} ;; *) todo='' ;; esac
        case $name in
            '' | .) ;;
            ..) real=${real%/*} ;;
            *)
                if [ -L "$root$real/$name" ]; then
                    links=$((links + 1))
                    [ $links -le 40 ] || fail "too many symbolic links in $1"
                    link=$(readlink "$root$real/$name")
                    case $link in /*) real='' ;; esac
                    todo=$link/$todo
                else
                    real=$real/$name
                fi
                ;;
        esac
    done
    say "$real"
}

# Print every existing file with sources or settings, as "KIND PATH". Their folders are resolved within the root.
files() {
    list apt /etc/apt/sources.list "/etc/apt/sources.list.d/*.list"
    list deb822 "/etc/apt/sources.list.d/*.sources"
    named /etc/apt/sources.list "/etc/apt/sources.list.d/*.list" "/etc/apt/sources.list.d/*.sources" |
        grep -o 'mirror+file:[^ 	]*' | sed 's,^mirror+file:\(//\)*,,' | sort -u |
        while read -r file; do list mirrors "$file"; done
    list apk /etc/apk/repositories "/etc/apk/repositories.d/*.list" "/lib/apk/repositories.d/*.list"
    list dnf /etc/dnf/dnf.conf /etc/yum.conf
    list repo "/etc/yum.repos.d/*.repo" "/etc/distro.repos.d/*.repo" "/usr/share/dnf5/repos.d/*.repo"
    list repo "/etc/dnf/repos.override.d/*.repo" "/usr/share/dnf5/repos.override.d/*.repo" "/etc/zypp/repos.d/*.repo"
    list service "/etc/zypp/services.d/*.service"
    list zypp /etc/zypp/zypp.conf
    list pacman /etc/pacman.conf
    named /etc/pacman.conf | sed -n 's/^[ 	]*Include[ 	]*=[ 	]*//p' | sed 's/[ 	]*$//' | sort -u |
        while read -r pattern; do list included "$pattern"; done
}

list() {
    kind=$1
    shift
    for pattern; do
        case $pattern in /*) ;; *) continue ;; esac
        folder=$(inside "${pattern%/*}")
        # shellcheck disable=SC2086 # the shell must expand the pattern
        (IFS='' && for file in "$root$folder/"${pattern##*/}; do
            file=$folder/${file##*/}
            [ ! -f "$root$(inside "$file")" ] || say "$kind $file"
        done)
    done
}

# Print the lines of files without their comments.
named() {
    list text "$@" | while read -r kind file; do sed '/^[ 	]*\(#\|\/\/\)/d' "$root$(inside "$file")"; done | tr -d '\r'
}

# Print settings and programs that give a client other sources than those in `files`.
elsewhere() {
    named /etc/apt/apt.conf "/etc/apt/apt.conf.d/*" | grep -iE 'sourcelist|sourceparts|dir::etc[ 	"]' |
        sed 's/^/apt.conf: /'
    named /etc/dnf/dnf.conf /etc/yum.conf "/etc/dnf/libdnf5.conf.d/*.conf" "/usr/share/dnf5/libdnf.conf.d/*.conf" |
        grep '^[ 	]*reposdir[ 	]*=' | sed 's/^/dnf.conf: /'
    named /etc/zypp/zypp.conf | grep -E '^[ 	]*(configdir|reposdir|servicesdir)[ 	]*=' | sed 's/^/zypp.conf: /'
    list '' "/usr/lib/zypp/plugins/services/*" | sed 's/^ *//; s/$/: a program that adds repositories/'
}

# Refuse a file that the shell and awk might read in another way than a client.
check_text() {
    [ -r "$1" ] || fail "$2 cannot be read, so nothing was changed"
    [ -z "$(tr -d '\011\012\015\040-\176\200-\377' < "$1" | tr '\000' 0)" ] ||
        fail "$2 contains control characters, so nothing was changed. Remove them, or the file"
}

# Print the new content of file $2 of kind $1.
new_text() {
    if [ "$unknown" = disable ]; then rewrite "$1" "$2" | reader "$1" "$2" off; else rewrite "$1" "$2"; fi
}

# Print file $2 of kind $1 with the addresses of known archives replaced.
rewrite() {
    variable=$root$(inside /etc/dnf/vars/contentdir) \
        awk -v kind="$1" -v snapproxy="$snapproxy" "$rewriter" "$(original "$2")"
}

# Read the text of file $2 of kind $1 as its client does. Print a line for each source: "pinned"; "live FILE: SOURCE";
# "off FILE: SOURCE" for a disabled one that is not pinned. A list of mirrors counts as the file that it is.
sources() {
    reader "$1" "$2" '' | while read -r word text; do
        case $word in
            mirrors) [ -f "$root$(inside "$text")" ] || say "live $2: mirror+file:$text" ;;
            *) say "$word${text:+ $2: $text}" ;;
        esac
    done
}

reader() {
    awk -v kind="$1" -v snapproxy="$snapproxy" -v mode="$3" "$client"
}

# Print the path of the original file, which is also the input when the sources are pinned again. A symbolic link is
# followed within the root.
original() {
    if exists "$state/old$1"; then from=$state/old$1; else from=$root$1; fi
    if [ -L "$from" ]; then
        from=$(readlink "$from")
        case $from in /*) ;; *) from=${1%/*}/$from ;; esac
        from=$(original "$(inside "$from")")
    fi
    say "$from"
}

exists() {
    [ -e "$1" ] || [ -L "$1" ]
}

# Remove the metadata that clients keep, so that they ask for that of the new time: apt keeps a newer list, zypper, apk
# and dnf do not ask again for some time.
forget() {
    drop /var/lib/apt/lists '*_*' 'partial/*_*'
    drop /var/cache/apt pkgcache.bin srcpkgcache.bin
    databases=$(named /etc/pacman.conf | sed -n 's/^[ 	]*DBPath[ 	]*=[ 	]*\([^ 	]*\)[ 	]*$/\1/p' | sed -n 1p)
    drop "${databases:-/var/lib/pacman}" 'sync/*.db' 'sync/*.db.sig' 'sync/*.files' 'sync/*.files.sig'
    drop /etc/apk/cache 'APKINDEX.*'
    drop /var/cache/apk 'APKINDEX.*'
    drop /var/cache/dnf '*.solv' '*.solvx' '*/repodata' '*/metalink.xml' '*/mirrorlist'
    drop /var/cache/libdnf5 '*/repodata' '*/solv'
    drop /var/cache/zypp 'raw/*' 'solv/*'
}

drop() {
    folder=$(inside "$1")
    [ -n "$folder" ] || return 0
    shift
    for pattern; do
        # shellcheck disable=SC2086 # the shell must expand the pattern
        (IFS='' && for file in "$root$folder/"$pattern; do [ -L "${file%/*}" ] || rm -rf "$file"; done)
    done
}

create_state() {
    before=$(folder_time "${state#"$root"}") # the new folder changes that of the folder around it
    mkdir "$state"
    echo "$before" > "$state/folders"
}

# Print the time of the folder of a file.
folder_time() {
    echo "$(stat -c '%Y|%y' "$root${1%/*}")|${1%/*}|"
}

# Refuse a path whose folders lead elsewhere through a symbolic link.
check_folder() {
    [ "$(inside "${1%/*}")" = "${1%/*}" ] || fail "the folder of $1 is not in the root"
}

# Keep the original file by a hard link instead of a copy where possible, so that --undo restores the same file.
keep_original() {
    ! exists "$state/old$1" || return 0
    check_folder "${state#"$root"}/old$1"
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
    grep -qF "|${1%/*}|" "$state/folders" 2> /dev/null || folder_time "$1" >> "$state/folders"
}

undo() {
    [ -d "$state" ] || return 0
    each added files | while read -r file; do
        check_folder "$file"
        check_folder "${state#"$root"}/old$file"
    done
    each added | while read -r file; do rm -f "$root$file"; done
    each files | while read -r file; do
        if exists "$state/old$file"; then mv -f "$state/old$file" "$root$file"; fi
    done
    each folders | set_times
    above=${state%/*}
    above=$(each folders | grep -F "|${above#"$root"}|" || :)
    rm -rf "$state"
    [ -z "$above" ] || echo "$above" | set_times
    forget
    echo "snapproxy: restored all package sources"
}

# touch of GNU reads a time with its fraction, touch of busybox only whole seconds.
set_times() {
    while IFS='|' read -r seconds exact folder _; do
        check_folder "$folder/x"
        touch -d "$exact" "$root$folder" 2> /dev/null || touch -d "@$seconds" "$root$folder"
    done
}

each() {
    for name; do [ ! -f "$state/$name" ] || cat "$state/$name"; done
}

apt_settings=@APT@

# Rewrites one file. Only the address decides whether a source is pinned.
# shellcheck disable=SC2016 # awk expands the dollar signs
rewriter='
BEGIN {
    family = kind ~ "^(apt|deb822|mirrors)$" ? "apt" : kind ~ "^(pacman|included)$" ? "pacman" : kind
    if (family !~ "^(apt|pacman|apk)$") family = "rpm"
    settings["pacman"] = @PACMAN@
    settings["dnf"] = @DNF@
    settings["zypp"] = @ZYPP@
}

{ sub("\r+$", "") }

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

# Return the pinned form of an address; an unknown one is not changed.
function pinned(address,   new) {
    new = repinned(address)
    if (new == "") new = place(family == "rpm" ? expanded(address) : address)
    return new == "" ? address : snapproxy "/" new
}

# Rocky Linux uses a dnf variable for a folder that has another name on its mirrors.
function expanded(address,   folder) {
    if (address ~ "[$]contentdir" && (getline folder < ENVIRON["variable"]) > 0) sub("[$]contentdir", folder, address)
    close(ENVIRON["variable"])
    return address
}

# Pin every word of a line from column `start` on; spaces are kept.
function words(text, start,   done, space, word) {
    done = substr(text, 1, start - 1)
    text = substr(text, start)
    while (match(text, "[^ \t,]+")) {
        space = substr(text, 1, RSTART - 1)
        word = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        if (substr(word, 1, 1) == "#") return done space word text
        done = done space pinned(word)
    }
    return done text
}

# Pin every word after a key, or in an indented line below it.
function values(text, mark) {
    return text ~ "^#" ? text : words(text, text ~ "^[ \t]" ? 1 : index(text, mark) + 1)
}

function value(text) {
    sub("^[^=]*=[ \t]*", "", text)
    return text
}

kind ~ "^(apt|apk|mirrors)$" { print words($0, 1) }

kind == "deb822" {
    if (/^[^ \t#]/) uris = tolower($0) ~ "^uris?[ \t]*:"
    print uris ? values($0, ":") : $0
}

# Add settings below their header, and turn existing lines with the same settings into comments.
kind in settings {
    if (kind == "dnf" && /^\[/) section()
    if (/^[ \t]*\[/) main = $1 == (kind == "pacman" ? "[options]" : "[main]")
    name = $1
    sub("=.*", "", name)
    if (main && name != "" && index("\n" settings[kind] "\n", "\n" name (/=/ ? "=" : "\n"))) $0 = "#" $0
    if (kind == "pacman") server($0)
    else if (main || kind == "zypp") print
    if (main && /^[ \t]*\[/) print settings[kind]
}

kind == "included" { server($0) }

# Omit a server that is the same as an earlier one: pacman would only ask it again after a refusal.
function server(text) {
    if (text ~ "^[ \t]*\\[") split("", seen)
    if (text !~ "^[ \t]*(Cache)?Server[ \t]*=") { print text; return }
    text = words(text, index(text, "=") + 1)
    if (!seen[text]++) print text
}

kind ~ "^(repo|service)$" && /^\[/ { section() }

kind ~ "^(repo|service)$" || kind == "dnf" && !main { lines[++count] = $0 }

END { section() }

# Rewrite a section of dnf or zypper: its baseurl, else that of the distribution in a comment beside a list of mirrors,
# else the folder for which the list is known.
function section(   i, key, has, spare, list, folder) {
    for (i = 1; i <= count; i++) {
        if (lines[i] ~ "^baseurl[ \t]*=") has = 1
        if (lines[i] ~ "^#[# \t]*baseurl[ \t]*=" && !spare && place(expanded(value(lines[i]))) != "") spare = i
        if (lines[i] ~ "^(metalink|mirrorlist)[ \t]*=" && value(lines[i]) != "") list = i
    }
    if (list && !has && !spare) folder = listed(value(lines[list]))
    if (folder != "") folder = place(folder)
    for (i = 1; i <= count; i++) {
        if (lines[i] ~ "^[^ \t]") key = lines[i] ~ "^(baseurl|url)[ \t]*="
        if (list && !has && i == spare) print "baseurl=" snapproxy "/" place(expanded(value(lines[i])))
        else if (lines[i] ~ "^(metalink|mirrorlist)[ \t]*=" && (has || spare || folder != "")) {
            print "#" lines[i]
            if (i == list && folder != "") print "baseurl=" snapproxy "/" folder
        }
        else if (lines[i] ~ "^skip_if_unavailable[ \t]*=") print "skip_if_unavailable=False"
        else print key ? values(lines[i], "=") : lines[i]
    }
    count = 0
}

# Return the address of the folder for which a list of mirrors is known, else "".
function listed(address,   base, query, part, count, i, repo, arch, release) {
    if (address !~ "^https?://[^?]*[?]") return ""
    base = address
    sub("^https?://", "", base)
    query = substr(base, index(base, "?") + 1)
    base = substr(base, 1, index(base, "?") - 1)
    count = split(query, part, "&")
    for (i = 1; i <= count; i++) {
        if (part[i] ~ "^repo=") repo = substr(part[i], 6)
        if (part[i] ~ "^arch=") arch = substr(part[i], 6)
    }
    if (arch !~ "^([$]basearch|[a-z0-9_]+)$" || arch == "source") return ""
    if (!match(repo, "([$][a-z_]+|[0-9]+)(-stream)?$")) return ""
    release = substr(repo, RSTART)
    repo = base " " substr(repo, 1, RSTART - 1)
@METALINKS@
    return ""
}
'

# Reads a rewritten file as its client does, and prints its sources; with mode=off it prints the file, in which sources
# that are not pinned are disabled. In case of doubt a source is enabled, and is not pinned.
# shellcheck disable=SC2016 # awk expands the dollar signs
client='
BEGIN { note = "# disabled by pin.sh, because snapproxy has no archive for it" }

{ sub("\r+$", "") }

kind ~ "^(apt|mirrors|apk|included)$" { lines[++count] = $0; finish(); next }
kind == "deb822" ? /^$/ : kind == "pacman" ? /^[ \t]*\[.*\][ \t]*$/ : /^\[/ { finish() }
{ lines[++count] = $0 }
END { finish() }

# Read one line, stanza or section, and print what was found.
function finish(   i, off) {
    live = lists = pins = yes = no = doubt = main = included = 0
    key = ""
    split("", bad)
    for (at = 1; at <= count; at++) {
        if (lines[at] ~ "\r") unpinned("a carriage return inside a line: " lines[at])
        if (kind == "apt") one_line(lines[at])
        else if (kind == "mirrors") first_word(lines[at])
        else if (kind == "apk") repository(lines[at])
        else if (kind == "deb822") field(lines[at])
        else if (kind ~ "^(pacman|included)$") server(lines[at])
        else if (kind != "zypp") option(lines[at])
    }
    off = no && !yes && !doubt
    if (mode == "off") show(live && !off)
    else {
        if (pins && !off) print "pinned"
        for (i = 1; i <= lists && !off; i++) print "mirrors " list[i]
        for (i = 1; i <= live; i++) print (off ? "off " : "live ") found[i]
    }
    count = 0
}

function source(address,   part) {
    if (index(address, snapproxy "/@PREFIX@") == 1) {
        split(substr(address, length(snapproxy "/@PREFIX@") + 1), part, "/")
        if (part[1] != "" && part[2] == "@WHEN@") { pins++; return }
    }
    if (kind != "service" && address ~ "^(file|copy|cdrom|cd|dvd|dir|hd|iso):|^/") return
    if (kind ~ "^(apt|deb822)$" && sub("^mirror[+]file:(//)?/", "/", address)) list[++lists] = address
    else unpinned(address)
}

function unpinned(text) {
    found[++live] = text
    bad[at] = 1
}

function sources_in(text,   word, count, i) {
    count = split(text, word, "[ \t,]+")
    for (i = 1; i <= count; i++) if (word[i] != "") source(word[i])
}

function trimmed(text) {
    gsub("^[ \t]+|[ \t]+$", "", text)
    return text
}

# A line of sources.list: a type, options in brackets, an address.
function one_line(text,   word) {
    text = trimmed(text)
    if (text == "" || text ~ "^#") return
    sub("^[^ \t]+[ \t]*", "", text)
    if (text ~ "^\\[") sub("^\\[[^]]*\\][ \t]*", "", text)
    split(text, word, "[ \t]+")
    source(word[1])
}

function first_word(text,   word) {
    text = trimmed(text)
    if (text == "" || text ~ "^#") return
    split(text, word, "[ \t]+")
    source(word[1])
}

# A line of repositories: a tag, a format, an address.
function repository(text) {
    text = trimmed(text)
    if (text ~ "^set[ \t]") unpinned(text)
    else {
        sub("^@[^ \t]*[ \t]+", "", text)
        sub("^(v[0-9]+|ndx)[ \t]+", "", text)
        first_word(text)
    }
}

# A blank line that is not empty does not end a stanza, though it looks so.
function field(text) {
    if (text ~ "^#") return
    if (text ~ "^[ \t]+$") doubt = 1
    if (text ~ "^[^ \t]") {
        key = tolower(substr(text, 1, index(text, ":") - 1))
        sub("[ \t]+$", "", key)
        text = substr(text, index(text, ":") + 1)
    }
    if (key ~ "^uris?$") sources_in(text)
    if (key == "enabled") switched(text, "no|false|without|off|disable")
}

function switched(text, negative) {
    text = tolower(trimmed(text))
    if (text ~ "^(" negative ")$") no++
    else yes++
}

function server(text) {
    text = trimmed(text)
    if (text !~ "^((Cache)?Server|Include)[ \t]*=") return
    if (text !~ "^Include") { sub("^[^=]*=[ \t]*", "", text); source(text) }
    else if (kind == "included" || text !~ "=[ \t]*/" || text ~ "[][*?].*/") unpinned(text)
    else included = 1
}

# dnf reads an indented line as a part of the value before it, zypper as an option of its own.
function option(text) {
    if (text ~ "^\\[") main = kind == "dnf" && text ~ "^\\[main\\]"
    if (main || text ~ "^[#;]" || text ~ "^[ \t]*$") return
    if (text ~ "^[ \t]+(\\[|(baseurl|metalink|mirrorlist|url|enabled)[ \t]*[=:])") {
        doubt = 1
        unpinned(trimmed(text))
    }
    else if (match(text, "^[a-z_]+[ \t]*[=:]")) {
        key = substr(text, 1, RLENGTH - 1)
        sub("[ \t]+$", "", key)
        text = substr(text, RLENGTH + 1)
    }
    else if (text ~ "^[^ \t]") key = ""
    if (key == (kind == "service" ? "url" : "baseurl")) sources_in(text)
    if (key ~ "^(metalink|mirrorlist)$" && trimmed(text) != "") unpinned(trimmed(text))
    if (key == "enabled") switched(text, "0|no|false|off")
}

# Print the lines of the source, disabled if `off`. Of a repository of pacman, other servers stay.
function show(off,   i, dropped, whole) {
    whole = !(kind == "pacman" && (pins || included))
    for (i = 1; i <= count; i++) {
        if (!off) print lines[i]
        else if (kind ~ "^(apt|mirrors|apk|pacman|included)$") {
            if (whole ? i == 1 : bad[i]) print note
            print (whole || bad[i] ? "#" : "") lines[i]
        } else {
            if (lines[i] ~ "^[^ \t]") dropped = tolower(lines[i]) ~ "^enabled[ \t]*[=:]"
            if (!dropped) print lines[i]
            if (kind != "deb822" && lines[i] ~ "^\\[") print note "\nenabled=0"
        }
    }
    if (off && kind == "deb822") print note "\nEnabled: no"
}
'

main "$@"
