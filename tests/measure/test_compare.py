"""Comparing two arms: pairing, the worst case, refusals, clusters, format and content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneworthy.errors import NotComparable
from tuneworthy.measure.compare import (
    arm_interval,
    compare,
    format_and_content,
    identical_answers,
    unscored_gate,
)
from tuneworthy.measure.statistics import mcnemar_midp, newcombe_paired, wilson
from tuneworthy.records import Answer, Arm, Calibration, Candidate, CaseResult, ClassifierRef, Decoding, Score

UNSCORED = Score(unscored="timeout")


def result(case: str, value: float | None, lenient: float | None = None, text: str = "") -> CaseResult:
    strict = UNSCORED if value is None else Score(value=value)
    loose = value if lenient is None else lenient
    return CaseResult(
        case=case,
        answer=Answer(text=text),
        score=strict,
        lenient=UNSCORED if loose is None else Score(value=loose),
    )


def arm(
    name: str,
    values: Sequence[float | None] | Mapping[str, float | None],
    *,
    lenient: Sequence[float] | None = None,
    texts: Sequence[str] | None = None,
    **settings: Any,
) -> Arm:
    cases = values if isinstance(values, Mapping) else {f"c{i:03}": v for i, v in enumerate(values)}
    rows = [
        result(case, value, lenient[i] if lenient else None, texts[i] if texts else "")
        for i, (case, value) in enumerate(cases.items())
    ]
    fields = {"candidate": Candidate(lever="prompt", model="m"), "cases": "lock", **settings}
    return Arm(name=name, results=tuple(rows), **fields)


def table(a: int, b: int, c: int, d: int) -> tuple[Arm, Arm]:
    reference = [1.0] * a + [0.0] * b + [1.0] * c + [0.0] * d
    candidate = [1.0] * a + [1.0] * b + [0.0] * c + [0.0] * d
    return arm("reference", reference), arm("candidate", candidate)


def test_binary_comparison_is_newcombe_tango_and_midp() -> None:
    found = compare(*table(59, 6, 16, 80), binary=True)
    assert found.difference == newcombe_paired(59, 6, 16, 80)
    assert found.tango is not None
    assert (found.tango.low, found.tango.high) == pytest.approx((-0.12402, -0.00543), abs=1e-5)
    assert found.p == mcnemar_midp(6, 16) == pytest.approx(0.034690, abs=1e-6)
    assert found.p_exact == pytest.approx(0.052479, abs=1e-6)
    assert (found.n, found.wins, found.losses, found.dropped) == (161, 6, 16, 0)
    assert found.test == "mid-p McNemar"


def test_pairs_by_case_id_not_by_position() -> None:
    one = arm("one", {"x": 1.0, "y": 0.0, "z": 0.0})
    two = arm("two", {"z": 0.0, "y": 0.0, "x": 1.0})
    found = compare(one, two, binary=True)
    assert (found.wins, found.losses) == (0, 0)


def test_only_cases_scored_in_both_count_and_the_worst_case_is_told() -> None:
    reference = arm("reference", [1.0, 0.0, None, 0.0])
    candidate = arm("candidate", [1.0, 1.0, 1.0, None])
    found = compare(reference, candidate, binary=True)
    assert (found.n, found.dropped) == (2, 2)
    assert found.difference is not None
    assert found.difference.value == 0.5
    assert found.worst_case == pytest.approx((0 + 1 + 0 + 0) / 4)


def test_a_case_that_one_arm_lacks_is_dropped() -> None:
    found = compare(arm("one", {"x": 1.0, "y": 1.0}), arm("two", {"x": 1.0}), binary=True)
    assert (found.n, found.dropped) == (1, 1)
    assert found.worst_case == -0.5


def test_nothing_scored_in_both_is_no_evidence() -> None:
    for binary in (True, False):
        found = compare(arm("one", [None, 1.0]), arm("two", [1.0, None]), binary=binary)
        assert (found.n, found.difference, found.p) == (0, None, 1.0)
        assert "no case" in found.note


def test_last_digits_are_no_difference() -> None:
    found = compare(arm("one", [0.1 + 0.2] * 30), arm("two", [0.3] * 30), binary=False)
    assert (found.wins, found.losses, found.p) == (0, 0, 1.0)


def test_graded_scores_get_sign_flip_and_t() -> None:
    x = [0.8, 0.9, 0.7, 1, 0.6, 0.9, 0.8, 0.7, 0.9, 1]
    y = [0.8, 0.85, 0.75, 1, 0.6, 0.9, 0.8, 0.65, 0.9, 0.95]
    found = compare(arm("y", y), arm("x", x), binary=False)
    assert found.test == "sign-flip permutation"
    assert found.difference is not None
    assert (found.difference.low, found.difference.high) == pytest.approx((-0.012622, 0.032622), abs=1e-6)
    assert found.p == 10 / 16
    assert found.p_exact is None
    assert "could not fall below 0.05" in found.note


def test_equal_gains_in_every_case_have_no_interval() -> None:
    found = compare(arm("one", [0.5] * 30), arm("two", [0.7] * 30), binary=False)
    assert found.difference is None
    assert found.p < 0.05


def test_too_few_differences_are_said_in_words() -> None:
    assert "only 4 of 60" in compare(*table(40, 4, 0, 16), binary=True).note
    assert compare(*table(40, 5, 0, 15), binary=True).note == ""


def test_exploratory_arms_undo_registration() -> None:
    one, two = table(10, 5, 5, 10)
    again = two.model_copy(update={"exploratory": True})
    assert compare(one, two, binary=True).registered
    assert not compare(one, again, binary=True).registered
    assert not compare(one, two, binary=True, registered=False).registered


score = st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0])


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(score, score), min_size=2, max_size=40),
    binary=st.booleans(),
    clustered=st.booleans(),
)
def test_swapping_the_arms_negates(rows: list[tuple[float, float]], binary: bool, clustered: bool) -> None:
    if binary:
        rows = [(round(x), round(y)) for x, y in rows]
    one, two = arm("one", [x for x, _ in rows]), arm("two", [y for _, y in rows])
    clusters = {r.case: str(i // 3) for i, r in enumerate(one.results)} if clustered else None
    there = compare(one, two, binary=binary, clusters=clusters)
    back = compare(two, one, binary=binary, clusters=clusters)
    assert there.p == pytest.approx(back.p)
    assert (there.wins, there.losses) == (back.losses, back.wins)
    assert (there.difference is None) == (back.difference is None)
    if there.difference and back.difference:
        mirrored = (-back.difference.high, -back.difference.value, -back.difference.low)
        found = (there.difference.low, there.difference.value, there.difference.high)
        assert found == pytest.approx(mirrored, abs=1e-9)


# --- refusals ---


def test_other_cases_are_not_comparable() -> None:
    with pytest.raises(NotComparable, match="differ in cases: 'lock' and 'dev:1'"):
        compare(arm("one", [1.0]), arm("two", [1.0], cases="dev:1"), binary=True)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"temperature": 0.7}, "temperature"), ({"max_tokens": 9}, "max_tokens"), ({"stop": ("\n",)}, "stop")],
)
def test_another_decoding_policy_is_not_comparable(change: dict[str, Any], field: str) -> None:
    other = Candidate(lever="lora", model="m", decoding=Decoding(**change))
    with pytest.raises(NotComparable, match=f"decoding.{field}"):
        compare(arm("one", [1.0]), arm("two", [1.0], candidate=other), binary=True)


def test_seeds_may_differ_and_a_classifier_decodes_nothing() -> None:
    seeded = Candidate(lever="lora", model="m", decoding=Decoding(seed=7))
    plain = Candidate(
        lever="classifier",
        model="none",
        classifier=ClassifierRef(features="tfidf", c=1.0, data_version="v"),
        decoding=Decoding(max_tokens=1),
    )
    for candidate in (seeded, plain):
        assert compare(arm("one", [1.0]), arm("two", [1.0], candidate=candidate), binary=True).n == 1


def test_repeats_fed_as_cases_are_refused() -> None:
    one = arm("one", [1.0])
    twice = one.model_copy(update={"results": one.results * 2, "name": "twice"})
    with pytest.raises(NotComparable, match="twice holds case 'c000' more than once"):
        compare(one, twice, binary=True)


def test_a_binary_scorer_with_half_points_is_refused() -> None:
    with pytest.raises(NotComparable, match=r"c001.*0\.5"):
        compare(arm("one", [1.0, 1.0]), arm("two", [1.0, 0.5]), binary=True)


# --- clusters ---


def test_clusters_are_flipped_as_wholes() -> None:
    one, two = arm("one", [0.0] * 12), arm("two", [1.0] * 12)
    clusters = {r.case: str(i // 3) for i, r in enumerate(one.results)}
    found = compare(one, two, binary=True, clusters=clusters)
    assert found.test == "sign-flip permutation"
    assert found.p == 2 / 2**4
    assert "4 clusters of 12 cases" in found.note


def test_clusters_of_one_case_change_nothing() -> None:
    one, two = table(20, 8, 2, 10)
    alone = {r.case: r.case for r in one.results}
    assert compare(one, two, binary=True, clusters=alone) == compare(one, two, binary=True)
    assert compare(one, two, binary=True, clusters={r.case: "" for r in one.results}).p_exact is not None


def test_copies_of_one_case_are_one_case() -> None:
    """Ten copies of every case: as many cases, no more evidence."""
    base = [(1.0, 1.0)] * 12 + [(0.0, 1.0)] * 5 + [(1.0, 0.0)] * 1
    rows = base * 10
    one, two = arm("one", [x for x, _ in rows]), arm("two", [y for _, y in rows])
    clusters = {r.case: str(i % len(base)) for i, r in enumerate(one.results)}
    blind, aware = compare(one, two, binary=True), compare(one, two, binary=True, clusters=clusters)
    single = compare(arm("one", [x for x, _ in base]), arm("two", [y for _, y in base]), binary=False)
    assert blind.p < 0.001
    assert aware.p == single.p > 0.05
    assert aware.difference is not None
    assert single.difference is not None
    assert aware.difference.low == pytest.approx(single.difference.low)


# --- one arm ---


def test_arm_interval() -> None:
    assert arm_interval(arm("x", [1.0] * 27 + [0.0] * 3 + [None]), True) == wilson(27, 30)
    assert arm_interval(arm("x", [None, None]), True) is None
    graded = arm_interval(arm("x", [0.5, 0.75, 1.0, 0.25]), False)
    assert graded is not None
    assert graded.method == "t"


# --- unscored ---


def test_unscored_gate_passes_two_percent() -> None:
    full, few = arm("full", [1.0] * 100), arm("few", [1.0] * 98 + [None] * 2)
    assert unscored_gate(full, few) == ""
    assert unscored_gate(full, arm("more", [1.0] * 97 + [None] * 3)).startswith("more: 3 of 100 cases")


def test_unscored_gate_sees_one_sided_losses_below_two_percent() -> None:
    full, one_sided = arm("full", [1.0] * 500), arm("one-sided", [1.0] * 492 + [None] * 8)
    assert "differ between the arms: 0 in full, 8 in one-sided" in unscored_gate(full, one_sided)


def test_a_missing_case_counts_as_unscored() -> None:
    assert "not answered" in unscored_gate(arm("full", [1.0] * 40), arm("short", [1.0] * 38))


# --- was anything in effect? ---


def test_identical_answers() -> None:
    one = arm("one", [1.0, 0.0], texts=["a", "b"])
    assert identical_answers(one, arm("two", [1.0, 0.0], texts=["a", "b"]))
    assert not identical_answers(one, arm("two", [1.0, 0.0], texts=["a", "B"]))


def test_failed_answers_are_not_identical_answers() -> None:
    def failed(name: str) -> Arm:
        row = CaseResult(case="x", answer=Answer(error="timeout"), score=UNSCORED, lenient=UNSCORED)
        return Arm(name=name, candidate=Candidate(lever="prompt", model="m"), cases="lock", results=(row,))

    assert not identical_answers(failed("one"), failed("two"))


# --- format and content ---


def test_a_gain_in_format_alone() -> None:
    """The base knew the answers and wrapped them in prose."""
    base = arm("base", [0.0] * 30 + [1.0] * 10, lenient=[1.0] * 40)
    tuned = arm("tuned", [1.0] * 40, lenient=[1.0] * 40)
    split = format_and_content(base, tuned)
    assert split is not None
    assert (split.total, split.format, split.content) == (0.75, 0.75, 0.0)
    assert split.content_interval is not None
    assert split.content_interval.low < 0 < split.content_interval.high
    assert split.format_interval is not None
    assert split.format_interval.low > 0.5


def test_a_gain_in_content() -> None:
    base = arm("base", [0.0] * 30 + [1.0] * 10)
    tuned = arm("tuned", [1.0] * 35 + [0.0] * 5)
    split = format_and_content(base, tuned)
    assert split is not None
    assert split.format == 0.0
    assert split.content == split.total == pytest.approx(0.625)


@given(rows=st.lists(st.tuples(score, score, score, score), min_size=1, max_size=30))
def test_the_parts_add_up(rows: list[tuple[float, float, float, float]]) -> None:
    columns = list(zip(*rows, strict=True))
    split = format_and_content(
        arm("base", columns[0], lenient=columns[1]), arm("tuned", columns[2], lenient=columns[3])
    )
    assert split is not None
    assert split.format + split.content == pytest.approx(split.total)


def test_no_case_with_all_scores_has_no_split() -> None:
    assert format_and_content(arm("one", [None, 1.0]), arm("two", [1.0, None])) is None


# --- scores of a judge ---


def held(right: int, wrong: int, sensitivity: float, specificity: float) -> Calibration:
    """A judge that was held against so many right and wrong answers."""
    share = wilson(1, 2)
    return Calibration(
        judge="j",
        labels="l",
        n=right + wrong,
        right=right,
        agreement=share,
        kappa=None,
        base_rate=share,
        judged_right=share,
        sensitivity=wilson(sensitivity * right, right),
        specificity=wilson(specificity * wrong, wrong),
        same_again=share,
        order_kept=share,
        first_preferred=None,
    )


def test_an_arm_scored_by_a_judge_is_the_share_that_people_would_call_right() -> None:
    """Oracle 23 of the handbook (Lee et al., arXiv 2511.21140)."""
    scored = arm("lora", [1.0] * 78 + [0.0] * 22)
    found = arm_interval(scored, True, judge=held(100, 100, 0.9, 0.85))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.84, 0.7124, 0.9676), abs=5e-5)


def test_a_difference_by_a_judge_is_corrected_and_its_test_stays() -> None:
    reference, candidate = table(50, 20, 10, 20)
    plain = compare(reference, candidate, binary=True)
    found = compare(reference, candidate, binary=True, judge=held(100, 100, 0.9, 0.85))
    assert (found.p, found.wins, found.losses) == (plain.p, plain.wins, plain.losses)
    assert found.difference is not None
    assert plain.difference is not None
    assert found.difference.value == pytest.approx(plain.difference.value / 0.75)
    assert found.difference.high - found.difference.low > (plain.difference.high - plain.difference.low) / 0.75
    assert "by the judge alone +10.0 points" in found.note
    assert found.tango is None


def test_a_judge_that_sees_no_difference_leaves_an_interval_with_a_width() -> None:
    reference, candidate = table(40, 0, 0, 20)
    found = compare(reference, candidate, binary=True, judge=held(50, 50, 0.9, 0.9)).difference
    assert found is not None
    assert found.low < 0 < found.high


def test_a_judge_whose_errors_are_not_known_corrects_nothing() -> None:
    blind = held(50, 50, 0.9, 0.9).model_copy(update={"specificity": None})
    with pytest.raises(NotComparable, match="errors are not known"):
        arm_interval(arm("lora", [1.0, 0.0]), True, judge=blind)
