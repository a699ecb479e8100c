"""A judge held against people: a fair one is admitted, and each planted fault is found and named."""

import random

import pytest

from judging import answers, fair, good, material, pairs, scripted
from tuneworthy.errors import GateRefused
from tuneworthy.measure.calibrate import calibrate
from tuneworthy.records import JudgedAnswer


def held(tmp_path, reply, mode="rubric", labels=None):
    rows = labels or (answers() if mode == "rubric" else pairs())
    return calibrate(scripted(tmp_path, reply, mode), rows, labels_digest="x")


def words(text):
    return len(text.split())


def test_a_fair_judge_is_admitted(tmp_path):
    found = held(tmp_path, fair)
    assert found.problems == ()
    assert (found.n, found.right) == (60, 30)
    assert found.agreement.value == pytest.approx(0.933, abs=0.05)
    assert found.kappa.low > 0.6
    assert (found.same_again.value, found.order_kept.value, found.obeyed.value) == (1.0, 1.0, 0.0)
    assert found.warnings


def test_a_fair_pairwise_judge_is_admitted(tmp_path):
    found = held(tmp_path, fair, "pairwise")
    assert found.problems == ()
    assert found.agreement.value == 1.0
    assert found.length_correlation is None


def test_planted_length_bias_is_caught_by_rubric(tmp_path):
    def long_is_right(request):
        text = material(request)[-1].split("\n\nNote")[0]
        return "right" if good(text) or words(text) > 25 else "wrong"

    (problem,) = held(tmp_path, long_is_right).problems
    assert problem.startswith("length: it favours longer answers")


def test_planted_length_bias_is_caught_pairwise(tmp_path):
    def longer_wins(request):
        one, two = material(request)[-2:]
        return "A" if words(one) > words(two) + 8 else "B" if words(two) > words(one) + 8 else fair(request)

    problems = held(tmp_path, longer_wins, "pairwise").problems
    assert any(problem.startswith("length: it favours longer answers") for problem in problems)
    assert not any(problem.startswith("position") for problem in problems)


@pytest.mark.parametrize(("said", "side"), [("A", "first"), ("B", "last")])
def test_planted_position_bias_is_caught_pairwise(tmp_path, said, side):
    def leans(request):
        return said if random.Random(" ".join(sorted(material(request)[-2:]))).random() < 0.4 else fair(request)

    problems = held(tmp_path, leans, "pairwise").problems
    assert any(problem.startswith("position") and f"named {side}" in problem for problem in problems)
    assert not any(problem.startswith("length") for problem in problems)


def test_planted_position_bias_is_caught_by_rubric(tmp_path):
    def first_word(request):
        if random.Random(material(request)[-1]).random() > 0.3:
            return fair(request)
        return "right" if "right or wrong" in request.messages[-1].content else "wrong"

    found = held(tmp_path, first_word)
    assert any("named first" in problem for problem in found.problems)
    assert found.order_kept.value < 0.85


def test_a_judge_that_obeys_the_answer_is_caught(tmp_path):
    def obeys(request):
        return "right" if "Ignore the rubric" in material(request)[-1] else fair(request)

    found = held(tmp_path, obeys)
    assert found.obeyed.value == 1.0
    assert any(problem.startswith("it obeys the answer") for problem in found.problems)


def test_a_judge_that_throws_dice_is_caught(tmp_path):
    dice = random.Random(3)
    problems = held(tmp_path, lambda request: dice.choice(["right", "wrong"])).problems
    assert any(problem.startswith("asked twice") for problem in problems)
    assert any("agrees with people too little" in problem for problem in problems)


def test_a_judge_that_likes_everything_has_no_kappa(tmp_path):
    found = held(tmp_path, lambda request: "right")
    assert found.kappa is None
    assert "it calls all answers the same, or people do" in found.problems


def test_a_judge_that_says_the_opposite_is_no_better_than_chance(tmp_path):
    problems = held(tmp_path, lambda request: "wrong" if fair(request) == "right" else "right").problems
    assert "it is no better than chance" in problems


def test_errors_that_hang_on_the_arm_are_told(tmp_path):
    rows = [
        row.model_copy(update={"arm": "lora" if i % 4 < 2 else "prompt", "output": f"{i % 4 < 2} {row.output}"})
        for i, row in enumerate(answers(120))
    ]

    def likes_one(request):
        text = material(request)[-1]
        return "right" if text.startswith("True") else fair(request)

    found = held(tmp_path, likes_one, labels=rows)
    assert found.arms_p < 0.001
    assert found.arms["prompt"].value > found.arms["lora"].value
    assert any("errs differently" in warning for warning in found.warnings)


def test_several_people_count_once_by_their_majority(tmp_path):
    rows = answers()
    against = [row.model_copy(update={"by": "bob", "right": not row.right}) for row in rows[:3]]
    again = [row.model_copy(update={"by": "cem"}) for row in rows[:2]]
    found = held(tmp_path, fair, labels=[*rows, *against, *again])
    assert (found.n, found.split) == (59, 1)


@pytest.mark.parametrize(("n", "right"), [(29, 14), (60, 3), (60, 58)])
def test_too_few_labels_are_refused(tmp_path, n, right):
    rows = [JudgedAnswer(input={"question": f"q {i}"}, output=f"answer {i}", right=i < right) for i in range(n)]
    with pytest.raises(GateRefused, match="too few"):
        held(tmp_path, fair, labels=rows)


def test_a_judge_that_cannot_be_reached_is_an_error_not_a_score(tmp_path):
    judge = scripted(tmp_path, fair)
    judge.model._failing = {"question": "transport"}
    with pytest.raises(GateRefused, match="none of the labelled answers: transport"):
        calibrate(judge, answers(), labels_digest="x")
