"""Targets of requests: the four forms, and the time in each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.archives import BUILTIN, HISTORIES, RESERVED_NAMES
from snapproxy.core.address import AddressBook, read
from snapproxy.core.exchange import BlobTarget, PageTarget, ScriptTarget, ServiceTarget
from snapproxy.core.model import Archive, Refusal
from snapproxy.core.time_spec import SPELLINGS, parse_time
from tests.core.addresses import BOOK, ROWS, SHA1, TS, ask, file, refused


class TestMirrorForm:
    def test_archive_time_and_path(self) -> None:
        expected = file("debian", TS, "dists/bookworm/InRelease", base="/debian/")
        assert ask(f"/debian/{TS}/dists/bookworm/InRelease") == expected

    @pytest.mark.parametrize(
        "when", ["20240601", "2024-06-01T00:00:00Z", "1717200000", "live", "latest", "20240601.nearest"]
    )
    def test_every_spelling_of_a_time_stands_in_a_path(self, when: str) -> None:
        assert ask(f"/ubuntu/{when}/pool/a%2bb%7e1.deb") == file("ubuntu", when, "pool/a+b~1.deb", base="/ubuntu/")

    def test_escaped_colons_are_colons(self) -> None:
        assert ask("/debian/2024-06-01T00%3A00%3A00Z/x").when == parse_time("2024-06-01T00:00:00Z")

    @pytest.mark.parametrize(("tail", "path"), [("", ""), ("/", ""), ("/dists/", "dists/"), ("/dists", "dists")])
    def test_folders_keep_their_slash(self, tail: str, path: str) -> None:
        assert ask(f"/debian/{TS}{tail}") == file("debian", TS, path, base="/debian/")

    def test_a_ppa_is_named_behind_the_time(self) -> None:
        expected = file("ppa", TS, "owner/name/ubuntu/dists/noble/InRelease", base="/ppa/")
        assert ask(f"/ppa/{TS}/owner/name/ubuntu/dists/noble/InRelease") == expected

    def test_an_archive_without_a_time_is_refused_with_the_spellings(self) -> None:
        answer = refused(ask("/debian/dists/bookworm/InRelease"), 400)
        assert answer.reason == "that is not a time this proxy can read"
        assert answer.hint == SPELLINGS
        assert refused(ask("/debian/"), 400).reason == "the address names an archive but no time"

    def test_an_unknown_archive_is_a_404_that_lists_the_known_ones(self) -> None:
        answer = refused(ask(f"/debain/{TS}/dists/x/InRelease"), 404)
        assert answer.reason == "no archive or page of that name"
        assert answer.why.startswith("The archives here are ")
        assert " debian, debian-archive, " in answer.why


class TestNativeForms:
    @pytest.mark.parametrize("name", sorted(ROWS))
    @pytest.mark.parametrize("prefix", ["/", "/archive/"])
    def test_one_snapshot_archive_base_serves_every_archive(self, name: str, prefix: str) -> None:
        """SNAPSHOT_ARCHIVE_BASE of repro-sources-list.sh: http://HOST:3142/ and http://HOST:3142/archive/ alike."""
        assert ask(f"{prefix}{name}/{TS}/dists/") == file(name, TS, "dists/", base=f"{prefix}{name}/")

    @pytest.mark.parametrize("call", ["/mr/timestamp/", "/mr/package/", "/mr/binary/g%2b%2b/4%3A1/binfiles?fileinfo=1"])
    def test_service_calls_belong_to_the_first_archive_with_the_service(self, call: str) -> None:
        target = ask(call)
        assert isinstance(target, ServiceTarget)
        assert target.archive == ROWS["debian"]

    def test_a_service_call_is_escaped_one_way_whatever_the_client_wrote(self) -> None:
        expected = ServiceTarget(ROWS["debian"], "/mr/binary/g%2B%2B/4%3A1~2/binfiles?fileinfo=1")
        assert ask("/mr/binary/g++/4:1%7e2/binfiles?fileinfo=1") == expected
        assert ask("/mr/binary/g%2b%2b/4%3a1~2/binfiles?fileinfo=1") == expected

    def test_parameters_are_sorted_so_that_one_call_has_one_key(self) -> None:
        one = ask("/mr/timestamp/?before=20240701T000000Z&archive=debian&after=20240601T000000Z")
        assert one == ask("/mr/timestamp/?archive=debian&after=20240601T000000Z&before=20240701T000000Z")
        assert one.path == "/mr/timestamp/?after=20240601T000000Z&archive=debian&before=20240701T000000Z"

    @pytest.mark.parametrize(
        "query", ["callback=x", "fileinfo", "fileinfo=1&fileinfo=1", "archive=a%20b", "archive=" + "a" * 65, "&", "a=1"]
    )
    def test_other_parameters_are_refused(self, query: str) -> None:
        assert refused(ask(f"/mr/package/hello/?{query}"), 400).reason.startswith("the snapshot service takes")

    def test_a_file_is_named_by_its_sha1(self) -> None:
        assert ask(f"/file/{SHA1}") == ServiceTarget(ROWS["debian"], f"/file/{SHA1}", sha1=SHA1)
        assert ask(f"/file/{SHA1.upper()}/a+b.deb") == ServiceTarget(
            ROWS["debian"], f"/file/{SHA1}/a%2Bb.deb", sha1=SHA1
        )

    @pytest.mark.parametrize("tail", ["abc", SHA1 + "0", SHA1 + "/", SHA1 + "/a/b", "x" * 40])
    def test_other_file_names_are_refused(self, tail: str) -> None:
        assert refused(ask(f"/file/{tail}"), 400).reason == "a file is named by its SHA-1, 40 hex digits"

    def test_without_a_snapshot_service_there_are_no_calls(self) -> None:
        refused(ask("/mr/timestamp/", AddressBook(archives=(ROWS["ubuntu"],), histories=HISTORIES)), 404)

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_the_services_own_addresses_come_through_a_proxy_with_no_credentials(self, scheme: str) -> None:
        url = f"{scheme}://snapshot.debian.org/archive/debian-security/{TS}/dists/x"
        base = f"{scheme}://snapshot.debian.org/archive/debian-security/"
        assert ask(url) == file("debian-security", TS, "dists/x", base=base)
        assert ask(f"{scheme}://snapshot.ubuntu.com/ubuntu/{TS}/a/").archive.name == "ubuntu"
        assert ask(f"{scheme}://snapshot.debian.org/mr/package/x/").path == "/mr/package/x/"
        assert ask(f"{scheme}://snapshot.debian.org/file/{SHA1}").sha1 == SHA1

    def test_a_ppas_own_snapshot_address_has_the_time_behind_its_scope(self) -> None:
        url = f"https://snapshot.ppa.launchpadcontent.net/owner/name/ubuntu/{TS}/dists/noble/InRelease"
        assert ask(url) == file("ppa", TS, "owner/name/ubuntu/dists/noble/InRelease")

    def test_a_services_address_without_a_time_is_never_answered_with_today(self) -> None:
        refused(ask("http://snapshot.ubuntu.com/ubuntu/dists/noble/InRelease"), 400)
        refused(ask("http://snapshot.ubuntu.com/ubuntu/dists/noble/InRelease", pair="live:x"), 400)

    def test_a_base_the_user_set_is_recognised_with_its_calls(self) -> None:
        row = replace(ROWS["debian"], snapshot=("http://127.0.0.1:8000/snap/archive/debian",))
        book = AddressBook(archives=(row,), histories=HISTORIES)
        assert ask(f"http://127.0.0.1:8000/snap/archive/debian/{TS}/x", book).path == "x"
        assert ask("http://127.0.0.1:8000/snap/mr/package/x/", book).path == "/mr/package/x/"
        refused(ask(f"http://127.0.0.1/snap/archive/debian/{TS}/x", book), 403)


class TestProxyForm:
    @pytest.mark.parametrize(
        ("url", "name", "path"),
        [
            ("http://ftp.debian.org/debian/dists/x", "debian", "dists/x"),
            ("http://ftp.de.debian.org/debian/dists/x", "debian", "dists/x"),
            ("http://FTP.Debian.ORG:80/debian/dists/x", "debian", "dists/x"),
            ("http://ftp.debian.org./debian/dists/x", "debian", "dists/x"),
            ("https://ftp.debian.org/debian/dists/x", "debian", "dists/x"),
            ("http://ftp.debian.org/debian", "debian", ""),
            ("http://ftp.debian.org/%64ebian/./pool/a%2bb", "debian", "pool/a+b"),
            ("http://cdn.mirror.debian.org/debian/x", "debian", "x"),
            ("http://security.debian.org/debian-security/x", "debian-security", "x"),
            ("http://security.debian.org/dists/x", "debian-security", "dists/x"),
            ("http://ftp.debian.org/debian-security/x", "debian-security", "x"),
            ("http://debug.mirrors.debian.org/debian-debug/x", "debian-debug", "x"),
            ("http://ftp.ports.debian.org/debian-ports/x", "debian-ports", "x"),
            ("http://archive.debian.org/debian/dists/x", "debian-archive", "debian/dists/x"),
            ("http://archive.debian.org/debian-security/x", "debian-archive", "debian-security/x"),
            ("http://archive.debian.org/debian-volatile/x", "debian-archive", "debian-volatile/x"),
            ("http://archive.ubuntu.com/ubuntu/x", "ubuntu", "x"),
            ("http://de.archive.ubuntu.com/ubuntu/x", "ubuntu", "x"),
            ("http://us-east-1.ec2.archive.ubuntu.com/ubuntu/x", "ubuntu", "x"),
            ("http://security.ubuntu.com/ubuntu/x", "ubuntu", "x"),
            ("http://ports.ubuntu.com/ubuntu-ports/x", "ubuntu-ports", "x"),
            ("http://ppa.launchpadcontent.net/o/p/ubuntu/dists/x", "ppa", "o/p/ubuntu/dists/x"),
            ("http://ppa.launchpad.net/o/p/ubuntu/dists/x", "ppa", "o/p/ubuntu/dists/x"),
        ],
    )
    def test_host_and_path_only_select_a_row_the_most_specific_one(self, url: str, name: str, path: str) -> None:
        assert ask(url, pair=f"{TS}:x") == file(name, TS, path)

    @pytest.mark.parametrize(
        "url",
        [
            *["http://evil.example/debian/x", "http://debian.org.evil.example/debian/x", "http://xdebian.org/debian/x"],
            *[
                "http://a.b.c.debian.org/debian/x",
                "http://ftp.debian.org:8080/debian/x",
                "http://ftp.debian.org/debianx/x",
            ],
            *["http://ftp.debian.org/", "http://old-releases.ubuntu.com/ubuntu/x", "http://ftp.debian.org/ubuntu/x"],
            *["http://snapshot.debian.org/", "http://snapshot.debian.org/package/x/", "http://[::2]/debian/x"],
        ],
    )
    @pytest.mark.parametrize("pair", [None, f"{TS}:x", "live:x"])
    def test_unknown_hosts_are_refused_in_every_view_live_too(self, url: str, pair: str | None) -> None:
        answer = refused(ask(url, pair=pair), 403)
        assert answer.reason == "no archive of this proxy matches that host and path"
        assert "`pass`" in answer.hint
        assert "[archives]" in answer.hint

    def test_no_time_is_a_407_with_a_challenge(self) -> None:
        answer = refused(ask("http://ftp.debian.org/debian/x"), 407)
        challenge = 'Basic realm="snapproxy: the user name is a time, e.g. 20240601T000000Z"'
        assert answer.headers == {"Proxy-Authenticate": challenge}
        assert answer.reason == "a time is required: http_proxy=http://20240601T000000Z:x@HOST:3142"
        assert SPELLINGS in answer.hint
        assert "live:x" in answer.hint

    def test_the_default_time_answers_where_none_was_given(self) -> None:
        book = replace(BOOK, default_when=parse_time("live"))
        assert ask("http://ftp.debian.org/debian/x", book) == file("debian", "live", "x")
        assert ask("http://ftp.debian.org/debian/x", book, pair=f"{TS}:x") == file("debian", TS, "x")

    def test_clients_that_wait_for_a_challenge_get_one_despite_a_default_time(self) -> None:
        """zypper would get the default time, although its proxy address has another one."""
        book = replace(BOOK, default_when=parse_time("live"), challenged=frozenset({"rpm"}))
        url = "http://download.opensuse.org/tumbleweed/repo/oss/repodata/repomd.xml"
        assert refused(ask(url, book), 407).headers["Proxy-Authenticate"]
        assert ask(url, book, pair=f"{TS}:x").when.text == TS
        assert ask("http://ftp.debian.org/debian/x", book) == file("debian", "live", "x")

    def test_malformed_credentials_are_refused_even_with_a_default_time(self) -> None:
        book = replace(BOOK, default_when=parse_time("live"))
        answer = refused(ask("http://ftp.debian.org/debian/x", book, pair="bob:hunter2"), 400)
        assert "hunter2" not in repr(answer)
        assert SPELLINGS in answer.hint

    def test_the_instant_in_the_url_beats_the_credentials_which_are_told(self) -> None:
        url = f"http://snapshot.debian.org/archive/debian/{TS}/x"
        target = ask(url, pair="20230101:cap")
        assert (target.when, target.overridden, target.capture) == (parse_time(TS), "20230101", "cap")
        assert ask(url, pair="2024-06-01:x").overridden == "", "the same instant in another spelling"
        assert ask(url, pair="20240601.exact:x").overridden == "20240601.exact"

    def test_the_capture_comes_with_the_credentials_and_the_token_does_not(self) -> None:
        target = ask("http://ftp.debian.org/debian/x", pair=f"{TS}:nightly.snp-T0ken")
        assert target.capture == "nightly"
        assert "T0ken" not in repr(target)
        assert ask("http://snapshot.debian.org/mr/package/x/", pair=f"{TS}:nightly").capture == "nightly"

    @pytest.mark.parametrize(
        "url",
        ["http://20240601@ftp.debian.org/debian/x", "http://a:b@files.example/", "http://@ftp.debian.org/debian/"],
    )
    def test_a_user_name_in_the_address_is_refused(self, url: str) -> None:
        assert refused(ask(url, pair=f"{TS}:x"), 400).reason == "a user name in the address is not accepted"

    @pytest.mark.parametrize(
        "host", ["", ":80", "a b", "a..b", ".a", "h:0", "h:65536", "h:x", "h:", "[::1", "a" * 300, "é.example", "h%2e"]
    )
    def test_a_malformed_host_is_refused(self, host: str) -> None:
        refused(ask(f"http://{host}/debian/x", pair=f"{TS}:x"), 400)

    @pytest.mark.parametrize("spelled", ["/HTTPS///", "http://HTTPS///", "/https///"])
    def test_the_spelling_of_apt_cacher_ng_selects_a_row(self, spelled: str) -> None:
        assert ask(f"{spelled}ftp.debian.org/debian/x", pair=f"{TS}:x") == file("debian", TS, "x")
        refused(ask(f"{spelled}ftp.debian.org/debian/x"), 407)
        refused(ask(f"{spelled}evil.example/debian/x", pair=f"{TS}:x"), 403)

    def test_that_spelling_below_an_address_of_our_own_is_read_through_the_proxy_too(self) -> None:
        path = "/HTTPS///ftp.debian.org/debian/x"
        assert ask(f"http://proxy.example:3142{path}", pair=f"{TS}:x") == ask(path, pair=f"{TS}:x")

    def test_the_users_row_wins_over_a_built_in_one_with_the_same_pattern(self) -> None:
        mine = Archive(name="mine", family="apt", history="snapshots", hosts=("*.debian.org/debian",))
        assert (
            ask("http://ftp.debian.org/debian/x", replace(BOOK, archives=(*BUILTIN, mine)), pair="live:x").archive
            is mine
        )

    def test_a_star_alone_is_any_host_and_the_last_resort(self) -> None:
        proxy_all = Archive(name="any", family="apt", history="snapshots", hosts=("*/debian/",))
        book = replace(BOOK, archives=(*BUILTIN, proxy_all))
        assert ask("http://mirror.example:8080/debian/x", book, pair="live:x").archive is proxy_all
        assert ask("http://ftp.debian.org/debian/x", book, pair="live:x").archive.name == "debian"


class TestOwnAddresses:
    @pytest.mark.parametrize(
        ("target", "path"), [("/", "/"), ("/healthz", "/healthz"), ("/readyz", "/readyz"), ("/metrics", "/metrics")]
    )
    def test_our_own_pages(self, target: str, path: str) -> None:
        assert ask(target) == PageTarget(path)
        assert ask(f"http://proxy.example:3142{target}", pair=f"{TS}:x") == PageTarget(path)

    @pytest.mark.parametrize("when", [TS, "2024-06-01", "live", "latest", "20240601.nearest"])
    def test_the_script_that_pins_a_root(self, when: str) -> None:
        assert ask(f"/{when}/pin.sh") == ScriptTarget(parse_time(when))
        assert ask(f"/{when}/~build/pin.sh") == ScriptTarget(parse_time(when), "build")
        assert ask(f"/~build/{when}/pin.sh") == ScriptTarget(parse_time(when), "build")
        assert ask(f"http://proxy.example:3142/{when}/pin.sh") == ScriptTarget(parse_time(when))

    @pytest.mark.parametrize(
        "target",
        [
            f"/{TS}/~/pin.sh",
            "/yesterday/pin.sh",
            "/20240230/pin.sh",
            f"/{TS}/~x/pin.sh",
            f"/{TS}/~UP/pin.sh",
            f"/{TS}/pin.sh?x",
        ],
    )
    def test_what_is_wrong_with_a_scripts_address_is_told_in_a_script(self, target: str) -> None:
        script = ask(target)
        assert isinstance(script, ScriptTarget)
        assert isinstance(script.when, Refusal)
        assert script.when.status == 400

    def test_a_script_takes_no_name_from_an_archive(self) -> None:
        assert ask(f"/debian/{TS}/pin.sh") == file("debian", TS, "pin.sh", base="/debian/")
        row = Archive(name="20240601", family="apt", history="snapshots")
        book = replace(BOOK, archives=(*BUILTIN, row))
        refused(ask("/20240601/pin.sh", book), 400)
        assert ask("/20240601/live/pin.sh", book).archive is row
        refused(ask("/archive/pin.sh"), 404)
        refused(ask("/healthz/pin.sh"), 404)

    def test_an_absolute_address_of_our_own_is_read_as_a_path(self) -> None:
        base = "http://proxy.example:3142/debian/"
        assert ask(f"http://Proxy.Example:3142/debian/{TS}/x") == file("debian", TS, "x", base=base)
        assert ask(f"http://[::1]:3142/debian/{TS}/x").path == "x"
        refused(ask(f"http://proxy.example/debian/{TS}/x"), 403)

    @pytest.mark.parametrize("name", sorted(RESERVED_NAMES - {"archive", "mr", "file", "healthz", "readyz", "metrics"}))
    def test_names_kept_for_later_are_no_archives_yet(self, name: str) -> None:
        answer = ask(f"/{name}/x")
        assert isinstance(answer, Refusal)
        assert answer.status in {400, 404}

    @pytest.mark.parametrize("name", ["snapproxy", "team/packages", "v2/blobs"])
    def test_bytes_are_named_by_their_digest_as_a_registry_has_it(self, name: str) -> None:
        digest = "0123456789abcdef" * 4
        assert ask(f"/v2/{name}/blobs/sha256:{digest}") == BlobTarget(digest)
        assert ask(f"http://proxy.example:3142/v2/{name}/blobs/sha256%3A{digest}") == BlobTarget(digest)

    @pytest.mark.parametrize(
        ("target", "status"),
        [
            ("/v2/", 404),
            ("/v2/x/manifests/latest", 404),
            (f"/v2/x/manifests/sha256:{'a' * 64}", 404),
            ("/v2/x/blobs/uploads/", 404),
            (f"/v2/blobs/sha256:{'a' * 64}", 404),
            (f"/v2/x/blobs/sha256:{'A' * 64}", 404),
            (f"/v2/x/blobs/sha256:{'a' * 63}", 404),
            (f"/v2/x/blobs/sha512:{'a' * 128}", 404),
            (f"/v2/x/blobs/sha256:{'a' * 64}?ns=docker.io", 400),
            (f"/~build/v2/x/blobs/sha256:{'a' * 64}", 404),
        ],
    )
    def test_nothing_else_of_a_registry_is_here(self, target: str, status: int) -> None:
        refused(ask(target), status)

    def test_nothing_is_taken_by_digest(self) -> None:
        refused(read("PUT", f"/v2/x/blobs/sha256:{'a' * 64}", BOOK), 405)

    def test_no_built_in_archive_has_a_reserved_name(self) -> None:
        assert not RESERVED_NAMES & set(ROWS)

    @pytest.mark.parametrize("rest", [f"debian/{TS}/x", f"archive/debian/{TS}/x"])
    def test_a_capture_stands_before_the_first_two_forms(self, rest: str) -> None:
        base = f"/~nightly-1/{rest.partition(TS)[0]}"
        assert ask(f"/~nightly-1/{rest}") == file("debian", TS, "x", base=base, capture="nightly-1")
        assert ask(f"/%7enightly-1/{rest}").capture == "nightly-1"
        assert ask(f"/~nightly-1/{rest}", pair=f"{TS}:other").capture == "nightly-1"

    def test_a_service_call_is_recorded_too(self) -> None:
        assert ask("/~ci/mr/package/x/") == ServiceTarget(ROWS["debian"], "/mr/package/x/", capture="ci")

    @pytest.mark.parametrize("name", ["", "x", "A", "a.snp-b", "a" * 64])
    def test_a_bad_capture_name_is_refused(self, name: str) -> None:
        assert refused(ask(f"/~{name}/debian/{TS}/x"), 400).reason == "that is not the name of a capture"

    @pytest.mark.parametrize("target", [f"/~a/~b/debian/{TS}/x", "/~a/healthz", "/~a/", "/~a"])
    def test_a_capture_holds_archives_only(self, target: str) -> None:
        refused(ask(target), 404)
