"""Time, tokens and euros as further scorers; and what further scorers say of an arm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judging import fair, scripted
from tuneworthy.errors import TuneworthyError, UseCaseError
from tuneworthy.measure.evaluate import Yardstick
from tuneworthy.measure.further import further
from tuneworthy.records import Answer, Arm, Calibration, Candidate, Case, Interval
from tuneworthy.scorers.exact import Exact
from tuneworthy.scorers.open import open_scorers
from tuneworthy.scorers.spending import Cost, Latency, Tokens
from tuneworthy.seams import AnswerScorer
from tuneworthy.usecase import Output, UseCase

TEXT = Output(kind="text")
CASE = Case(id="1", input={"question": "When?"}, expected="At nine.")
ALL = (Latency(TEXT, 2.0), Tokens(TEXT, 100), Cost(TEXT, 0.5, eur_in=2, eur_out=10))
TABLE = {
    "name": "replies",
    "instruction": "Answer the tenant's question in one sentence.",
    "input": {"question": {}},
    "output": {"kind": "text"},
    "bar": {"metric": "exact", "at_least": 0.8, "smallest_difference": 0.05},
}


def values(**answer):
    return [scorer.score_answer(CASE, Answer(text="x", **answer)).value for scorer in ALL]


def test_each_is_one_within_its_limit_and_zero_beyond():
    assert values(seconds=2.0, tokens_in=90, tokens_out=10) == [1.0, 1.0, 1.0]
    assert values(seconds=2.1, tokens_in=90, tokens_out=11) == [0.0, 0.0, 1.0]
    assert values(seconds=0.1, tokens_in=20, tokens_out=47) == [1.0, 1.0, 0.0], "51 cents for 1,000"


def test_what_was_not_told_is_unscored_and_never_zero():
    for scorer in ALL:
        for score in (scorer.score_answer(CASE, Answer(text="x")), scorer.score(CASE, "At nine.")):
            assert (score.value, score.unscored) == (None, "not_told")


@given(
    seconds=st.floats(0, 1e6),
    tokens_in=st.integers(0, 10**9),
    tokens_out=st.integers(0, 10**9),
    text=st.text(max_size=20),
)
def test_any_answer_is_scored_or_has_a_reason(seconds, tokens_in, tokens_out, text):
    for scorer in ALL:
        score = scorer.score_answer(
            CASE, Answer(text=text, seconds=seconds, tokens_in=tokens_in, tokens_out=tokens_out)
        )
        assert (score.value in (0.0, 1.0)) != (score.unscored == "not_told")


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), True, "2", None])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(TuneworthyError, match="as a number above 0"):
        Latency(TEXT, limit)
    with pytest.raises(TuneworthyError, match="eur_in"):
        Cost(TEXT, 1.0, eur_in=limit, eur_out=1.0)


def test_none_of_them_carries_the_bar():
    spec = {"name": "latency", "settings": {"at_most": 1.0}}
    usecase = UseCase.model_validate({**TABLE, "bar": {**TABLE["bar"], "metric": "latency"}, "scorers": [spec]})
    with pytest.raises(UseCaseError, match="not whether it is right"):
        open_scorers(usecase)
    primary, (other,) = open_scorers(UseCase.model_validate({**TABLE, "scorers": [spec]}))
    assert isinstance(other, AnswerScorer)
    assert not isinstance(primary, AnswerScorer)


# --- on an arm ------------------------------------------------------------------------------------


def arm(yardstick, answers):
    cases = [CASE.model_copy(update={"id": f"{i}"}) for i in range(len(answers))]
    results = tuple(yardstick.judge(case, answer) for case, answer in zip(cases, answers, strict=True))
    return Arm(name="a", candidate=Candidate(lever="prompt", model="m"), cases="x", results=results)


def test_an_arm_tells_the_share_within_the_limit_and_whom_it_could_not_score():
    yardstick = Yardstick(Exact(TEXT), (ALL[0],))
    answers = [Answer(text="x", seconds=1.0)] * 30 + [Answer(text="x", seconds=3.0)] * 10
    answers += [Answer(text="x"), Answer(error="timeout", finish="error")]
    found = further(arm(yardstick, answers), yardstick)["latency"]
    assert (found.n, found.interval.value, found.interval.method) == (40, 0.75, "Wilson")
    assert found.unscored == {"not_told": 1, "timeout": 1}


def calibration(sensitivity, specificity, **more):
    some = Interval(value=0.5, low=0.4, high=0.6)
    share = [some.model_copy(update={"value": value}) for value in (sensitivity, specificity)]
    return Calibration(
        judge="j", labels="l", n=200, right=100, agreement=some, kappa=some, base_rate=some, judged_right=some,
        sensitivity=share[0], specificity=share[1], same_again=some, order_kept=some, first_preferred=None,
        length_correlation=None, length_p=None, **more,
    )  # fmt: skip


def test_a_judge_beside_the_bar_is_corrected_too_and_one_that_is_none_says_nothing(tmp_path):
    asked = scripted(tmp_path, fair)
    answers = [Answer(text=f"{number} certainly") for number in range(60)] + [Answer(text="perhaps")] * 40
    for held, value in ((calibration(0.9, 0.8), 0.5), (calibration(0.5, 0.4, problems=("no better",)), None)):
        judge = type(asked)(asked.output, asked.spec, asked.usecase, asked.folder, held, asked.model)
        yardstick = Yardstick(Exact(TEXT), (judge,))
        found = further(arm(yardstick, answers), yardstick)["judge"]
        assert found.n == 100
        if value is None:
            assert (found.interval, found.note) == (None, "no better")
        else:
            raw = sum(r.others["judge"].value for r in arm(yardstick, answers).results) / 100
            assert found.interval.value == pytest.approx((raw + 0.8 - 1) / 0.7)
            assert found.interval.method == "Rogan-Gladen"
