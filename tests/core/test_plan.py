"""The one decision, over a toy distribution: the core knows none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from snapproxy.core.expected_files import DroppedEntry
from snapproxy.core.model import (
    Archive,
    ExpectedFile,
    Instant,
    Match,
    NeedWindow,
    ObservedRoot,
    Proof,
    Refusal,
    Resolved,
    Role,
    TimeSpec,
    Window,
)
from snapproxy.core.plan import MAX_ROUNDS, Known, resolve
from snapproxy.core.plan_model import (
    Ask,
    AskAlias,
    AskFile,
    AskListed,
    AskListedAnywhere,
    AskName,
    AskObserved,
    AskSize,
    AskWindow,
    Fetch,
    ListedFile,
    Need,
    NotStored,
    PlanRequest,
    Serve,
    StoredFile,
)
from tests.core.toy import (
    AT,
    NOW,
    ROOT,
    ROW,
    SPACE,
    STRONG,
    WINDOW,
    ToyFamily,
    ToyHistory,
    at,
    drive,
    now_of,
    resolve_and_plan,
    seen,
)

DOWN = {AskWindow("toy", 0, NOW): Refusal(424, "down")}


def bracketed(snapshot: str, instant: int, valid: tuple[int, int]) -> Resolved:
    return Resolved(snapshot, instant, valid, is_for_one_root=True)


class TestResolving:
    def ask(self, instant: int, facts: Mapping[Ask, object], path: str = "root") -> object:
        request = PlanRequest(ROW, TimeSpec("w", instant, Match.AT), path)
        return drive(
            lambda known: resolve(request, known, NOW, family=ToyFamily(), history=ToyHistory()),
            {AskObserved("toy", ("root",), instant): (), **facts},
        )

    def test_a_bracket_answers_if_the_timeline_cannot_be_obtained(self):
        facts = {**DOWN, AskObserved("toy", ("root",), 3): (seen("one", 1, 9),)}
        assert self.ask(3, facts) == bracketed("one", 1, (1, 9))

    @pytest.mark.parametrize("first", [1, 2])
    def test_a_bracket_inside_a_gap_names_the_archive_s_own_snapshot_however_wide_it_is(self, first):
        facts = {**WINDOW, AskObserved("toy", ("root",), 5): (seen("elsewhere", first, 9),)}
        assert self.ask(5, facts) == bracketed("one", 2, (first, 9))

    def test_a_bracket_that_begins_after_the_archive_s_snapshot_proves_nothing_about_it(self):
        facts = {**WINDOW, AskObserved("toy", ("root",), 5): (seen("elsewhere", 3, 9),)}
        assert self.ask(5, facts) == Refusal(410, "gap")

    def test_the_timeline_decides_before_a_bracket(self):
        facts = {**WINDOW, AskObserved("toy", ("root",), 3): (seen("elsewhere", 1, 9),)}
        assert self.ask(3, facts) == AT

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
            **DOWN,
            AskObserved("toy", (), 3): (seen("one", 1, 9), seen("two", 2, 9)),
            AskListedAnywhere("toy/one", "pkg/x"): None,
            AskListedAnywhere("toy/two", "pkg/x"): ListedFile(ExpectedFile("pkg/x", 1, STRONG), Proof.GPG),
        }
        assert self.ask(3, facts, "pkg/x") == bracketed("two", 2, (2, 9))

    def test_a_package_under_many_brackets_asks_about_all_of_them_at_once(self):
        sightings = tuple(seen(f"s{n}", n, 99) for n in range(1, 30))
        request = PlanRequest(ROW, TimeSpec("w", 50, Match.AT), "pkg/x")
        known = Known({**DOWN, AskObserved("toy", (), 50): sightings})
        need = resolve(request, known, NOW, family=ToyFamily(), history=ToyHistory())
        assert isinstance(need, Need)
        assert need.asks == tuple(AskListedAnywhere(f"toy/s{n}", "pkg/x") for n in range(1, 30))

    def test_a_package_that_a_root_promises_by_position_is_bracketed_by_that_root_alone(self):
        facts = {
            **DOWN,
            AskObserved("toy", (), 3): (seen("other", 2, 9),),
            AskObserved("toy", ("root",), 3): (seen("one", 1, 9),),
        }
        assert self.ask(3, facts, "below/x") == bracketed("one", 1, (1, 9))

    def test_where_the_past_is_what_was_seen_an_index_that_lies_elsewhere_speaks_for_a_package(self):
        """Only if it promises it, and only if none beside it was ever seen: what was seen there says more."""

        class Observed(ToyHistory):
            is_observed = True

        def asked(beside: ObservedRoot, vouched: ListedFile | None) -> object:
            request = PlanRequest(ROW, TimeSpec("w", 5, Match.AT), "below/x")
            facts = {
                **WINDOW,
                AskObserved("toy", ("root",), 5): (beside,),
                AskObserved("toy", (), 5): (beside, seen("two", 2, 9)),
                AskListedAnywhere("toy/two", "below/x"): vouched,
            }
            return drive(lambda known: resolve(request, known, NOW, family=ToyFamily(), history=Observed()), facts)

        never, ended = ObservedRoot("root", None, None), seen("one", 1, 2)
        promised = ListedFile(ExpectedFile("below/x", 1, STRONG), Proof.GPG)
        assert asked(never, promised) == bracketed("two", 2, (2, 9))
        assert asked(never, None) == asked(ended, promised) == Refusal(410, "gap")

    def test_an_exact_when_is_never_answered_by_a_bracket(self):
        request = PlanRequest(ROW, TimeSpec("w", 5, Match.EXACT), "root")
        facts = {**WINDOW, AskObserved("toy", ("root",), 5): (seen("one", 1, 9),)}
        answer = drive(lambda known: resolve(request, known, NOW, family=ToyFamily(), history=ToyHistory()), facts)
        assert isinstance(answer, Refusal)


class TestNames:
    def test_a_named_file_is_served_without_another_question(self):
        step = at("root", {AskName(SPACE, "root"): StoredFile("root", "d", 4, Proof.GPG)})
        assert step == Serve(SPACE, "root", "d", 4, Proof.GPG, Role.ROOT, AT)

    def test_a_name_without_proof_gives_way_to_a_promise_that_came_later(self):
        vouched = ListedFile(ExpectedFile("pkg/x", 1, STRONG), Proof.GPG)
        step = at(
            "pkg/x",
            {
                AskName(SPACE, "pkg/x"): StoredFile("pkg/x", "d", 4, Proof.NONE),
                AskListedAnywhere(SPACE, "pkg/x"): vouched,
            },
        )
        assert isinstance(step, Fetch)
        assert step.expected == vouched.expected

    def test_a_name_without_proof_is_served_as_such_while_nothing_vouches_for_it(self):
        step = at("pkg/x", {AskName(SPACE, "pkg/x"): StoredFile("pkg/x", "d", 4, Proof.NONE)})
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
            {
                AskListedAnywhere(SPACE, "pkg/x"): ListedFile(ExpectedFile("pkg/x", 7, STRONG), Proof.GPG),
                AskSize("a" * 64): 7,
            },
        )
        assert step == Serve(SPACE, "pkg/x", "a" * 64, 7, Proof.GPG, Role.PACKAGE, AT, name_it=True)

    def test_a_promised_package_is_asked_of_the_mirror_first_and_of_the_past_last(self):
        step = at("pkg/x", {AskListedAnywhere(SPACE, "pkg/x"): ListedFile(ExpectedFile("pkg/x", 7, STRONG), Proof.GPG)})
        assert isinstance(step, Fetch)
        assert [(source.url, source.last_resort) for source in step.sources] == [
            ("http://now/toy/pkg/x", False),
            ("http://past/toy/one/pkg/x", True),
        ]
        assert (step.key, step.proof, step.whole) == (f"sha256:{'a' * 64}", Proof.GPG, False)

    @pytest.mark.parametrize("weak", [{"md5": "b" * 32}, {"sha1": "c" * 40}, {}])
    def test_a_weak_digest_lets_no_other_source_stand_in(self, weak):
        step = at("pkg/x", {AskListedAnywhere(SPACE, "pkg/x"): ListedFile(ExpectedFile("pkg/x", 7, weak), Proof.GPG)})
        assert isinstance(step, Fetch)
        assert [source.last_resort for source in step.sources] == [True]

    def test_an_unpromised_package_comes_from_the_past_and_is_said_to_be_unverified(self):
        step = at("pkg/x")
        assert isinstance(step, Fetch)
        assert (step.expected, step.proof, [source.last_resort for source in step.sources]) == (
            None,
            Proof.NONE,
            [True],
        )

    def test_an_index_is_asked_of_the_mirror_by_its_lasting_name(self):
        expected = ExpectedFile("index/p", 7, STRONG)
        step = at(
            "index/p",
            {AskFile(SPACE, ("root",), AT, for_lookup=True): ROOT, AskListed(SPACE, "r", "root", "index/p"): expected},
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
            AskFile(SPACE, ("root",), AT, for_lookup=True): ROOT,
            AskListed(SPACE, "r", "root", name): ExpectedFile("index/p", 7, STRONG),
            AskSize("a" * 64): 7,
        }
        assert isinstance(at(name, facts), Serve)

    def test_by_hash_that_this_root_does_not_list_is_a_404_whatever_upstream_has(self):
        step = at(
            f"index/by-hash/{'a' * 64}",
            {AskFile(SPACE, ("root",), AT, for_lookup=True): replace(ROOT, proof=Proof.NONE)},
        )
        assert isinstance(step, Refusal)
        assert step.status == 404

    def test_an_index_that_a_verified_root_does_not_list_is_a_true_absence(self):
        step = at("index/p", {AskFile(SPACE, ("root",), AT, for_lookup=True): ROOT})
        assert isinstance(step, Refusal)
        assert step.status == 404

    def test_an_index_whose_entry_was_dropped_is_not_called_absent(self):
        """Its root lists it, in a way that cannot be used: nothing proves its bytes, and the answer has the reason."""
        facts = {
            AskFile(SPACE, ("root",), AT, for_lookup=True): ROOT,
            AskListed(SPACE, "r", "root", "index/p"): DroppedEntry("index/p", "it contradicts itself"),
        }
        step = at("index/p", facts)
        assert isinstance(step, Fetch)
        assert (step.expected, step.proof) == (None, Proof.NONE)
        assert step.notes["X-Snapproxy-Note"].endswith("dropped: it contradicts itself")

    def test_a_package_whose_entry_was_dropped_has_no_proof_when_it_is_stored(self):
        facts = {
            AskName(SPACE, "pkg/x"): StoredFile("pkg/x", "x", 7, Proof.NONE),
            AskListedAnywhere(SPACE, "pkg/x"): DroppedEntry("pkg/x", "it contradicts itself"),
        }
        step = at("pkg/x", facts)
        assert isinstance(step, Serve)
        assert step.proof is Proof.NONE
        assert "X-Snapproxy-Note" in step.notes

    def test_an_index_of_a_kind_that_roots_leave_out_is_looked_for(self):
        assert isinstance(at("index/extra", {AskFile(SPACE, ("root",), AT, for_lookup=True): ROOT}), Fetch)

    def test_an_index_that_an_unverified_root_does_not_list_is_looked_for(self):
        assert isinstance(
            at("index/p", {AskFile(SPACE, ("root",), AT, for_lookup=True): replace(ROOT, proof=Proof.NONE)}), Fetch
        )

    def test_an_unverified_root_gives_proof_index_at_most(self):
        facts = {
            AskFile(SPACE, ("root",), AT, for_lookup=True): replace(ROOT, proof=Proof.NONE),
            AskListed(SPACE, "r", "root", "index/p"): ExpectedFile("index/p", 7, STRONG),
        }
        step = at("index/p", facts)
        assert isinstance(step, Fetch)
        assert step.proof is Proof.INDEX

    def test_a_root_that_failed_is_the_index_s_refusal(self):
        refusal = Refusal(424, "cooling down")
        assert at("index/p", {AskFile(SPACE, ("root",), AT, for_lookup=True): refusal}) == refusal

    def test_a_root_that_the_full_disk_cannot_keep_vouches_for_nothing(self):
        step = at("index/p", {AskFile(SPACE, ("root",), AT, for_lookup=True): NotStored()})
        assert isinstance(step, Fetch)
        assert (step.expected, step.proof) == (None, Proof.NONE)

    def test_bytes_promised_by_sha512_alone_are_found_by_the_digest_they_were_learnt_to_have(self):
        expected = ExpectedFile("pkg/x", 7, {"sha512": "b" * 128})
        facts = {AskListedAnywhere(SPACE, "pkg/x"): ListedFile(expected, Proof.GPG)}
        unknown = at("pkg/x", facts)
        assert isinstance(unknown, Fetch)
        assert unknown.key == f"sha512:{'b' * 128}"
        assert any(not source.last_resort for source in unknown.sources)
        known = at("pkg/x", {**facts, AskAlias("toy", "sha512", "b" * 128): "d", AskSize("d"): 7})
        assert isinstance(known, Serve)
        assert (known.digest, known.size, known.proof) == ("d", 7, Proof.GPG)

    @pytest.mark.parametrize("algorithm", ["sha1", "md5", "toy-part"])
    def test_bytes_promised_by_a_weak_digest_are_found_among_those_the_same_archive_gave_for_it(self, algorithm):
        expected = ExpectedFile("pkg/x", 7, {algorithm: "b" * 40})
        facts = {AskListedAnywhere(SPACE, "pkg/x"): ListedFile(expected, Proof.GPG)}
        known = at("pkg/x", {**facts, AskAlias("toy", algorithm, "b" * 40): "d", AskSize("d"): 7})
        assert isinstance(known, Serve)
        assert (known.digest, known.size, known.proof) == ("d", 7, Proof.GPG)
        for further in ({AskAlias("toy", algorithm, "b" * 40): None}, {AskSize("d"): None}, {AskSize("d"): 8}):
            step = at("pkg/x", {**facts, AskAlias("toy", algorithm, "b" * 40): "d", **further})
            assert isinstance(step, Fetch)
            assert step.key == f"name:{SPACE}/pkg/x {algorithm}:{'b' * 40}"
            assert all(source.last_resort for source in step.sources), "and nobody else is asked"

    def test_a_list_of_mirrors_is_refused_in_the_past_and_in_the_present(self):
        for step in (at("mirrors"), now_of("mirrors")):
            assert isinstance(step, Refusal)
            assert step.status == 403

    def test_a_file_beside_its_checksums_is_promised_by_them(self):
        sums = StoredFile("index/sums", "s", 3, Proof.GPG)
        facts = {
            AskFile(SPACE, ("index/sums",), AT, for_lookup=True): sums,
            AskListed(SPACE, "s", "index/sums", "beside/x"): ExpectedFile("beside/x", 9, STRONG),
        }
        step = at("beside/x", facts)
        assert isinstance(step, Fetch)
        assert (step.role, step.proof) == (Role.PACKAGE, Proof.GPG)

    def test_a_package_that_the_file_beside_it_does_not_list_may_be_listed_elsewhere(self):
        elsewhere = AskListedAnywhere(SPACE, "beside/x")
        for beside in (None, StoredFile("index/sums", "s", 3, Proof.GPG), Refusal(424, "down")):
            facts = {AskFile(SPACE, ("index/sums",), AT, for_lookup=True): beside}
            step = at("beside/x", {**facts, elsewhere: ListedFile(ExpectedFile("beside/x", 9, STRONG), Proof.INDEX)})
            assert isinstance(step, Fetch)
            assert step.proof is Proof.INDEX
        step = at("beside/x", facts)
        assert step == Refusal(424, "down"), "and where nothing lists it, the first word counts"


def test_the_longest_way_ends_within_the_rounds():
    """Eight windows, a bracket, the name, the root, its row, other indexes with the volunteered bytes, the plan.

    See MAX_ROUNDS.
    """

    class Sparse(ToyHistory):
        def resolve(
            self, row: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
        ) -> Resolved | Refusal | NeedWindow:
            return NeedWindow(len(windows), NOW) if len(windows) < 8 else Refusal(410, "gap")

    unchanged = bracketed("one", 2, (1, 9))
    request = PlanRequest(ROW, TimeSpec("w", 3, Match.AT), "below/p")
    facts: dict[Ask, object] = {
        AskObserved("toy", ("root",), 3): (seen("elsewhere", 1, 9),),
        AskFile(SPACE, ("root",), unchanged, for_lookup=True): ROOT,
        AskListedAnywhere(SPACE, "below/p"): ListedFile(ExpectedFile("below/p", 7, STRONG), Proof.GPG),
    }
    facts |= {AskWindow("toy", start, NOW): Window(start, NOW, (), NOW) for start in range(8)}
    known, rounds = Known(), 0
    while isinstance(step := resolve_and_plan(request, known, Sparse()), Need):
        known, rounds = known.plus({ask: facts.get(ask) for ask in step.asks}), rounds + 1
        if any(isinstance(ask, AskListedAnywhere) for ask in step.asks):
            known = known.plus({AskSize("a" * 64): None})  # volunteered
    assert isinstance(step, Fetch)
    assert rounds + 1 <= MAX_ROUNDS + Sparse().max_windows(ROW)
