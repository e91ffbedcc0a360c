"""The one decision, over a toy distribution: the core knows none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pytest

from snapproxy.core.exchange import Moved
from snapproxy.core.history import TimelineAnswer
from snapproxy.core.model import (
    LIVE,
    Archive,
    Checker,
    Instant,
    Match,
    NeedWindow,
    Place,
    Promise,
    Proof,
    Refusal,
    Resolved,
    Role,
    Sighting,
    Span,
    When,
    Window,
)
from snapproxy.core.plan import MAX_ROUNDS, plan, plan_at, resolve
from snapproxy.core.schemes import OpenPgp
from snapproxy.core.seen import resolve_bracketed
from snapproxy.core.steps import (
    Arriving,
    Ask,
    AskAlias,
    AskFile,
    AskHeld,
    AskName,
    AskPromised,
    AskRow,
    AskSightings,
    AskWindow,
    Fetch,
    Held,
    Known,
    Need,
    Request,
    Serve,
    Step,
    Vouched,
)

NOW = 2_000_000
ROW = Archive("toy", "toy", "toy", snapshot=("http://past/toy",), mirrors=("http://now/toy",))
AT = Resolved("one", 1_000_000)
SPACE = "toy/one"
STRONG = {"sha256": "a" * 64}


class ToyFamily:
    """`root` vouches for `index/*`, indexes for `pkg/*`; `index/by-hash/HEX` is a by-hash name; `beside/*` is promised by `index/sums`.

    `below/*` is promised by `root` itself.
    """

    name = "toy"
    patience = 1.0
    parser = "toy-1"
    keeps_newer_root = True
    drops_older_dates = False
    roots_promise_packages = False
    tells_root_dates = True
    scheme = OpenPgp()

    def classify(self, path: str) -> Place:
        if path == "root":
            return Place(Role.ROOT)
        if path.startswith("index/by-hash/"):
            return Place(Role.INDEX, roots=("root",), by_hash=("sha256", path.rpartition("/")[2]))
        if path == "index/extra":
            return Place(Role.INDEX, roots=("root",), may_be_unlisted=True)
        if path.startswith("index/"):
            return Place(Role.INDEX, roots=("root",), has_promises=True)
        if path.startswith("pkg/"):
            return Place(Role.PACKAGE)
        if path.startswith("beside/"):
            return Place(Role.PACKAGE, parents=("index/sums",))
        if path == "mirrors":
            return Place(Role.OTHER, leads_elsewhere=True)
        if path.startswith("below/"):
            return Place(Role.PACKAGE, parents=("root",))
        return Place(Role.OTHER)

    def promises(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, Promise]]:
        return iter(())

    def checker(self, promise: Promise) -> Checker:
        raise NotImplementedError

    def lasting_path(self, promise: Promise) -> str:
        return (
            f"index/by-hash/{promise.digests['sha256']}"
            if promise.path.startswith("index/") and promise.is_strong
            else promise.path
        )

    def root_date(self, data: bytes) -> Instant | None:
        return None

    def signature(self, path: str) -> str | None:
        return None


def seen(snapshot: str, first: Instant, last: Instant) -> Sighting:
    return Sighting("root", Span(first, last, snapshot), None)


class ToyHistory:
    """One snapshot, `one`, once the only window is known; instant 5 lies in a gap."""

    is_observed = False

    def resolve(
        self, row: Archive, when: When, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        if (0, NOW) not in windows:
            return NeedWindow(0, NOW)
        return Refusal(410, "gap") if when.instant == 5 else AT

    def id_of(self, instant: Instant) -> str:
        return "one"

    def timeless(self, path: str) -> str | None:
        return None

    def resolve_seen(self, row: Archive, when: When, sighting: Sighting, now: Instant) -> Resolved | Refusal | None:
        return resolve_bracketed(when, sighting, now)

    def timeline_urls(self, row: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        return ()

    def read_window(
        self, row: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        return None

    def url(self, row: Archive, base: str, snapshot: str, path: str) -> str:
        return f"{base}/{snapshot}/{path}"

    def service_url(self, base: str, path: str) -> str | None:
        return None

    def digest_in(self, url: str) -> str | None:
        return None


WINDOW = {AskWindow("toy", 0, NOW): Window(0, NOW, (1_000_000,), NOW)}


def at(path: str, facts: Mapping[Ask, object] | None = None) -> Step:
    """Plan for a file of the settled snapshot; what is not given is known to be nothing."""
    request = Request(ROW, When("one", 1_000_000, Match.EXACT), path)
    return drive(lambda known: plan_at(request, AT, known, family=ToyFamily(), history=ToyHistory()), facts or {})


def now_of(path: str, facts: Mapping[Ask, object] | None = None) -> Step:
    request = Request(ROW, When(LIVE, None, Match.LIVE), path)
    return drive(lambda known: plan(request, known, NOW, family=ToyFamily(), history=ToyHistory()), facts or {})


def drive(step_of, facts):
    known = Known()
    for _ in range(MAX_ROUNDS):
        step = step_of(known)
        if not isinstance(step, Need):
            return step
        known = known.plus({ask: facts.get(ask) for ask in step.asks})
    raise AssertionError("the plan never ended")


class TestResolving:
    def ask(self, instant: int, facts: Mapping[Ask, object], path: str = "root") -> object:
        request = Request(ROW, When("w", instant, Match.HELD), path)
        return drive(
            lambda known: resolve(request, known, NOW, family=ToyFamily(), history=ToyHistory()),
            {AskSightings("toy", ("root",), instant): (), **facts},
        )

    def test_a_bracketed_root_is_answered_without_asking_for_the_timeline(self):
        facts = {AskSightings("toy", ("root",), 3): (seen("one", 1, 9),)}
        assert self.ask(3, facts) == Resolved("one", 1, (1, 9))

    def test_a_bracket_answers_inside_a_gap(self):
        facts = {**WINDOW, AskSightings("toy", ("root",), 5): (seen("one", 1, 9),)}
        assert self.ask(5, facts) == Resolved("one", 1, (1, 9))

    def test_a_gap_without_a_bracket_is_refused(self):
        answer = self.ask(5, WINDOW)
        assert isinstance(answer, Refusal)
        assert answer.status == 410

    def test_an_upstream_that_does_not_tell_the_timeline_is_the_refusal(self):
        refusal = Refusal(424, "down")
        assert self.ask(3, {AskWindow("toy", 0, NOW): refusal}) == refusal

    def test_the_future_is_refused_as_such_though_the_timeline_cannot_be_had(self):
        answer = self.ask(NOW + 1, {AskWindow("toy", 0, NOW): Refusal(424, "down")})
        assert isinstance(answer, Refusal)
        assert answer.status == 425

    def test_a_package_takes_the_bracket_whose_indexes_promise_it(self):
        facts = {
            AskSightings("toy", (), 3): (seen("one", 1, 9), seen("two", 2, 9)),
            AskPromised("toy/one", "pkg/x"): None,
            AskPromised("toy/two", "pkg/x"): Vouched(Promise("pkg/x", 1, STRONG), Proof.GPG),
        }
        assert self.ask(3, facts, "pkg/x") == Resolved("two", 2, (2, 9))

    def test_a_package_under_many_brackets_asks_about_all_of_them_at_once(self):
        sightings = tuple(seen(f"s{n}", n, 99) for n in range(1, 30))
        request = Request(ROW, When("w", 50, Match.HELD), "pkg/x")
        known = Known({AskSightings("toy", (), 50): sightings})
        need = resolve(request, known, NOW, family=ToyFamily(), history=ToyHistory())
        assert isinstance(need, Need)
        assert need.asks == tuple(AskPromised(f"toy/s{n}", "pkg/x") for n in range(1, 30))

    def test_a_package_that_a_root_promises_by_position_is_bracketed_by_that_root_alone(self):
        facts = {
            AskSightings("toy", (), 3): (seen("other", 2, 9),),
            AskSightings("toy", ("root",), 3): (seen("one", 1, 9),),
        }
        assert self.ask(3, facts, "below/x") == Resolved("one", 1, (1, 9))

    def test_where_the_past_is_what_was_seen_an_index_that_lies_elsewhere_speaks_for_a_package(self):
        """Only if it promises it, and only if none beside it was ever seen: what was seen there says more."""

        class Observed(ToyHistory):
            is_observed = True

        def asked(beside: Sighting, vouched: Vouched | None) -> object:
            request = Request(ROW, When("w", 5, Match.HELD), "below/x")
            facts = {
                **WINDOW,
                AskSightings("toy", ("root",), 5): (beside,),
                AskSightings("toy", (), 5): (beside, seen("two", 2, 9)),
                AskPromised("toy/two", "below/x"): vouched,
            }
            return drive(lambda known: resolve(request, known, NOW, family=ToyFamily(), history=Observed()), facts)

        never, ended = Sighting("root", None, None), seen("one", 1, 2)
        promised = Vouched(Promise("below/x", 1, STRONG), Proof.GPG)
        assert asked(never, promised) == Resolved("two", 2, (2, 9))
        assert asked(never, None) == asked(ended, promised) == Refusal(410, "gap")

    def test_an_exact_when_is_never_answered_by_a_bracket(self):
        request = Request(ROW, When("w", 5, Match.EXACT), "root")
        facts = {**WINDOW, AskSightings("toy", ("root",), 5): (seen("one", 1, 9),)}
        answer = drive(lambda known: resolve(request, known, NOW, family=ToyFamily(), history=ToyHistory()), facts)
        assert isinstance(answer, Refusal)


class TestNames:
    def test_a_named_file_is_served_without_another_question(self):
        step = at("root", {AskName(SPACE, "root"): Held("root", "d", 4, Proof.GPG)})
        assert step == Serve(SPACE, "root", "d", 4, Proof.GPG, Role.ROOT, AT)

    def test_a_name_without_proof_gives_way_to_a_promise_that_came_later(self):
        vouched = Vouched(Promise("pkg/x", 1, STRONG), Proof.GPG)
        step = at(
            "pkg/x", {AskName(SPACE, "pkg/x"): Held("pkg/x", "d", 4, Proof.NONE), AskPromised(SPACE, "pkg/x"): vouched}
        )
        assert isinstance(step, Fetch)
        assert step.promise == vouched.promise

    def test_a_name_without_proof_is_served_as_such_while_nothing_vouches_for_it(self):
        step = at("pkg/x", {AskName(SPACE, "pkg/x"): Held("pkg/x", "d", 4, Proof.NONE)})
        assert isinstance(step, Serve)
        assert step.proof is Proof.NONE


class TestPinned:
    def test_a_root_comes_from_the_archive_of_that_time_only(self):
        step = at("root")
        assert isinstance(step, Fetch)
        assert [source.url for source in step.sources] == ["http://past/toy/one/root"]
        assert step.whole

    def test_a_promised_file_that_is_held_is_served_and_gets_its_name(self):
        step = at(
            "pkg/x",
            {AskPromised(SPACE, "pkg/x"): Vouched(Promise("pkg/x", 7, STRONG), Proof.GPG), AskHeld("a" * 64): 7},
        )
        assert step == Serve(SPACE, "pkg/x", "a" * 64, 7, Proof.GPG, Role.PACKAGE, AT, name_it=True)

    def test_a_promised_package_is_asked_of_the_mirror_first_and_of_the_past_last(self):
        step = at("pkg/x", {AskPromised(SPACE, "pkg/x"): Vouched(Promise("pkg/x", 7, STRONG), Proof.GPG)})
        assert isinstance(step, Fetch)
        assert [(source.url, source.last_resort) for source in step.sources] == [
            ("http://now/toy/pkg/x", False),
            ("http://past/toy/one/pkg/x", True),
        ]
        assert (step.key, step.proof, step.whole) == (f"sha256:{'a' * 64}", Proof.GPG, False)

    @pytest.mark.parametrize("weak", [{"md5": "b" * 32}, {"sha1": "c" * 40}, {}])
    def test_a_weak_digest_lets_no_other_source_stand_in(self, weak):
        step = at("pkg/x", {AskPromised(SPACE, "pkg/x"): Vouched(Promise("pkg/x", 7, weak), Proof.GPG)})
        assert isinstance(step, Fetch)
        assert [source.last_resort for source in step.sources] == [True]

    def test_an_unpromised_package_comes_from_the_past_and_is_said_to_be_unverified(self):
        step = at("pkg/x")
        assert isinstance(step, Fetch)
        assert (step.promise, step.proof, [source.last_resort for source in step.sources]) == (None, Proof.NONE, [True])

    def test_an_index_is_asked_of_the_mirror_by_its_lasting_name(self):
        promise = Promise("index/p", 7, STRONG)
        step = at(
            "index/p",
            {AskFile(SPACE, ("root",), AT, to_vouch=True): ROOT, AskRow(SPACE, "r", "root", "index/p"): promise},
        )
        assert isinstance(step, Fetch)
        assert [source.url for source in step.sources] == [
            f"http://now/toy/index/by-hash/{'a' * 64}",  # and not by its own, where another version stands by now
            "http://past/toy/one/index/p",
        ]
        assert step.whole

    def test_by_hash_is_answered_from_the_blobs_when_this_root_lists_it(self):
        name = f"index/by-hash/{'a' * 64}"
        facts = {
            AskFile(SPACE, ("root",), AT, to_vouch=True): ROOT,
            AskRow(SPACE, "r", "root", name): Promise("index/p", 7, STRONG),
            AskHeld("a" * 64): 7,
        }
        assert isinstance(at(name, facts), Serve)

    def test_by_hash_that_this_root_does_not_list_is_a_404_whatever_upstream_has(self):
        step = at(
            f"index/by-hash/{'a' * 64}", {AskFile(SPACE, ("root",), AT, to_vouch=True): replace(ROOT, proof=Proof.NONE)}
        )
        assert isinstance(step, Refusal)
        assert step.status == 404

    def test_an_index_that_a_verified_root_does_not_list_is_a_true_absence(self):
        step = at("index/p", {AskFile(SPACE, ("root",), AT, to_vouch=True): ROOT})
        assert isinstance(step, Refusal)
        assert step.status == 404

    def test_an_index_of_a_kind_that_roots_leave_out_is_looked_for(self):
        assert isinstance(at("index/extra", {AskFile(SPACE, ("root",), AT, to_vouch=True): ROOT}), Fetch)

    def test_an_index_that_an_unverified_root_does_not_list_is_looked_for(self):
        assert isinstance(
            at("index/p", {AskFile(SPACE, ("root",), AT, to_vouch=True): replace(ROOT, proof=Proof.NONE)}), Fetch
        )

    def test_an_unverified_root_gives_proof_index_at_most(self):
        facts = {
            AskFile(SPACE, ("root",), AT, to_vouch=True): replace(ROOT, proof=Proof.NONE),
            AskRow(SPACE, "r", "root", "index/p"): Promise("index/p", 7, STRONG),
        }
        step = at("index/p", facts)
        assert isinstance(step, Fetch)
        assert step.proof is Proof.INDEX

    def test_a_root_that_failed_is_the_index_s_refusal(self):
        refusal = Refusal(424, "cooling down")
        assert at("index/p", {AskFile(SPACE, ("root",), AT, to_vouch=True): refusal}) == refusal

    def test_a_root_that_the_full_disk_cannot_keep_vouches_for_nothing(self):
        step = at("index/p", {AskFile(SPACE, ("root",), AT, to_vouch=True): Arriving()})
        assert isinstance(step, Fetch)
        assert (step.promise, step.proof) == (None, Proof.NONE)

    def test_bytes_promised_by_sha512_alone_are_found_by_the_digest_they_were_learnt_to_have(self):
        promise = Promise("pkg/x", 7, {"sha512": "b" * 128})
        facts = {AskPromised(SPACE, "pkg/x"): Vouched(promise, Proof.GPG)}
        unknown = at("pkg/x", facts)
        assert isinstance(unknown, Fetch)
        assert unknown.key == f"sha512:{'b' * 128}"
        assert any(not source.last_resort for source in unknown.sources)
        known = at("pkg/x", {**facts, AskAlias("toy", "sha512", "b" * 128): "d", AskHeld("d"): 7})
        assert isinstance(known, Serve)
        assert (known.digest, known.size, known.proof) == ("d", 7, Proof.GPG)

    @pytest.mark.parametrize("algorithm", ["sha1", "md5", "toy-part"])
    def test_bytes_promised_by_a_weak_digest_are_found_among_those_the_same_archive_gave_for_it(self, algorithm):
        promise = Promise("pkg/x", 7, {algorithm: "b" * 40})
        facts = {AskPromised(SPACE, "pkg/x"): Vouched(promise, Proof.GPG)}
        known = at("pkg/x", {**facts, AskAlias("toy", algorithm, "b" * 40): "d", AskHeld("d"): 7})
        assert isinstance(known, Serve)
        assert (known.digest, known.size, known.proof) == ("d", 7, Proof.GPG)
        for further in ({AskAlias("toy", algorithm, "b" * 40): None}, {AskHeld("d"): None}, {AskHeld("d"): 8}):
            step = at("pkg/x", {**facts, AskAlias("toy", algorithm, "b" * 40): "d", **further})
            assert isinstance(step, Fetch)
            assert step.key == f"name:{SPACE}/pkg/x {algorithm}:{'b' * 40}"
            assert all(source.last_resort for source in step.sources), "and nobody else is asked"

    def test_a_list_of_mirrors_is_refused_in_the_past_and_in_the_present(self):
        for step in (at("mirrors"), now_of("mirrors")):
            assert isinstance(step, Refusal)
            assert step.status == 403

    def test_a_file_beside_its_checksums_is_promised_by_them(self):
        sums = Held("index/sums", "s", 3, Proof.GPG)
        facts = {
            AskFile(SPACE, ("index/sums",), AT, to_vouch=True): sums,
            AskRow(SPACE, "s", "index/sums", "beside/x"): Promise("beside/x", 9, STRONG),
        }
        step = at("beside/x", facts)
        assert isinstance(step, Fetch)
        assert (step.role, step.proof) == (Role.PACKAGE, Proof.GPG)

    def test_a_package_that_the_file_beside_it_does_not_list_may_be_listed_elsewhere(self):
        elsewhere = AskPromised(SPACE, "beside/x")
        for beside in (None, Held("index/sums", "s", 3, Proof.GPG), Refusal(424, "down")):
            facts = {AskFile(SPACE, ("index/sums",), AT, to_vouch=True): beside}
            step = at("beside/x", {**facts, elsewhere: Vouched(Promise("beside/x", 9, STRONG), Proof.INDEX)})
            assert isinstance(step, Fetch)
            assert step.proof is Proof.INDEX
        step = at("beside/x", facts)
        assert step == Refusal(424, "down"), "and where nothing lists it, the first word counts"


ROOT = Held("root", "r", 3, Proof.GPG)


class TestLive:
    def test_a_live_root_is_obtained_and_carries_its_staleness(self):
        stale = Held("root", "r", 3, Proof.GPG, {"X-Snapproxy-Stale": "as of then"})
        step = now_of("root", {AskFile("toy/live", ("root",), Resolved(LIVE, 0)): stale})
        assert isinstance(step, Serve)
        assert step.notes == stale.notes

    def test_an_index_of_a_stale_set_says_so_too(self):
        stale = Held("root", "r", 3, Proof.GPG, {"X-Snapproxy-Stale": "as of then"})
        facts = {
            AskFile("toy/live", ("root",), Resolved(LIVE, 0), to_vouch=True): stale,
            AskRow("toy/live", "r", "root", "index/p"): Promise("index/p", 7, STRONG),
        }
        for held in (None, 7):
            step = now_of("index/p", facts | {AskHeld(STRONG["sha256"]): held})
            assert isinstance(step, Serve if held else Fetch)
            assert step.notes == stale.notes

    def test_a_file_that_is_still_arriving_is_served_by_its_own_fetch(self):
        step = now_of("other", {AskFile("toy/live", ("other",), Resolved(LIVE, 0)): Arriving()})
        assert isinstance(step, Fetch)
        assert (step.key, step.proof) == ("name:toy/live/other", Proof.NONE)

    def test_live_never_asks_the_past(self):
        facts = {AskPromised("toy/live", "pkg/x"): Vouched(Promise("pkg/x", 7, STRONG), Proof.GPG)}
        step = now_of("pkg/x", facts)
        assert isinstance(step, Fetch)
        assert not any(source.last_resort for source in step.sources)

    def test_live_absence_is_a_404(self):
        step = now_of("other")
        assert isinstance(step, Refusal)
        assert step.status == 404


class TestFolders:
    def test_a_folder_between_two_snapshots_is_sent_to_the_snapshot_s_own(self):
        request = Request(ROW, When("w", 3, Match.HELD), "", base="/archive/toy/")
        step = drive(
            lambda known: plan(request, known, NOW, family=ToyFamily(), history=ToyHistory()),
            {**WINDOW, AskSightings("toy", (), 3): ()},
        )
        assert step == Moved("/archive/toy/one/", "one")

    def test_a_snapshot_s_own_folder_is_not_listed(self):
        request = Request(ROW, When("one", 3, Match.HELD), "sub/")
        listed = drive(
            lambda known: plan(request, known, NOW, family=ToyFamily(), history=ToyHistory()),
            {**WINDOW, AskSightings("toy", (), 3): ()},
        )
        assert isinstance(listed, Refusal)
        assert listed.status == 404


def test_the_longest_way_ends_within_the_rounds():
    """Brackets, eight windows, the name, the root, its row, other indexes with the volunteered bytes, the plan: see MAX_ROUNDS."""

    class Sparse(ToyHistory):
        def resolve(
            self, row: Archive, when: When, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
        ) -> Resolved | Refusal | NeedWindow:
            return NeedWindow(len(windows), NOW) if len(windows) < 8 else AT

    request = Request(ROW, When("w", 3, Match.HELD), "below/p")
    facts: dict[Ask, object] = {
        AskSightings("toy", ("root",), 3): (),
        AskFile(SPACE, ("root",), AT, to_vouch=True): ROOT,
        AskPromised(SPACE, "below/p"): Vouched(Promise("below/p", 7, STRONG), Proof.GPG),
    }
    facts |= {AskWindow("toy", start, NOW): Window(start, NOW, (), NOW) for start in range(8)}
    known, rounds = Known(), 0
    while isinstance(step := plan(request, known, NOW, family=ToyFamily(), history=Sparse()), Need):
        known, rounds = known.plus({ask: facts.get(ask) for ask in step.asks}), rounds + 1
        if any(isinstance(ask, AskPromised) for ask in step.asks):
            known = known.plus({AskHeld("a" * 64): None})  # volunteered
    assert isinstance(step, Fetch)
    assert rounds + 1 == MAX_ROUNDS


class TimelessHistory(ToyHistory):
    """Keeps `pkg/X` at `kept/X` outside every snapshot too."""

    def timeless(self, path: str) -> str | None:
        return f"kept/{path.rpartition('/')[2]}" if path.startswith(("pkg/", "kept/")) else None


class TestTimeless:
    SPACE = "toy/always"

    def at(self, path: str, facts: Mapping[Ask, object], resolved: Resolved = AT) -> Step:
        request = Request(ROW, When("one", 1_000_000, Match.EXACT), path)
        return drive(
            lambda known: plan_at(request, resolved, known, family=ToyFamily(), history=TimelessHistory()), facts
        )

    def test_a_promised_package_is_named_outside_every_snapshot_as_well(self):
        facts = {AskPromised(SPACE, "pkg/x"): Vouched(Promise("pkg/x", 7, STRONG), Proof.INDEX)}
        step = self.at("pkg/x", facts)
        assert isinstance(step, Fetch)
        assert (step.space, step.path, step.also) == (SPACE, "pkg/x", "kept/x")
        assert [source.url for source in step.sources] == [
            "http://now/toy/pkg/x",
            "http://past/toy/always/kept/x",
            "http://past/toy/one/pkg/x",
        ]
        held = self.at("pkg/x", {**facts, AskHeld("a" * 64): 7})
        assert isinstance(held, Serve)
        assert (held.name_it, held.also) == (True, "kept/x")

    def test_a_package_that_nothing_vouches_for_is_the_one_of_that_name(self):
        step = self.at("pkg/x", {})
        assert isinstance(step, Fetch)
        assert (step.key, step.space, step.path) == ("name:toy/always/kept/x", self.SPACE, "kept/x")
        held = self.at("pkg/x", {AskName(self.SPACE, "kept/x"): Held("kept/x", "d", 4, Proof.INDEX)})
        assert held == Serve(self.SPACE, "kept/x", "d", 4, Proof.INDEX, Role.PACKAGE, AT)

    def test_asked_for_without_a_snapshot_it_has_one_name_whatever_the_spelling(self):
        always = Resolved("always", 0)
        step = self.at("pkg/x", {AskName(self.SPACE, "kept/x"): Held("kept/x", "d", 4, Proof.INDEX)}, always)
        assert isinstance(step, Serve)
        assert step.path == "kept/x"

    def test_a_promise_goes_before_the_name_that_is_common_to_all_snapshots(self):
        facts = {
            AskPromised(SPACE, "pkg/x"): Vouched(Promise("pkg/x", 7, STRONG), Proof.INDEX),
            AskName(self.SPACE, "kept/x"): Held("kept/x", "other", 4, Proof.INDEX),
        }
        step = self.at("pkg/x", facts)
        assert isinstance(step, Fetch)
        assert step.key == f"sha256:{'a' * 64}"
