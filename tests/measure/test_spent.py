"""What answers cost: measured or not measured, offline and live alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from tuneworthy.measure.evaluate import Yardstick
from tuneworthy.measure.spent import TokenPrice, spent
from tuneworthy.records import Answer, Case
from tuneworthy.scorers.exact import Exact
from tuneworthy.scorers.reading_level import ReadingLevel
from tuneworthy.scorers.style import ForbiddenWords, Length
from tuneworthy.usecase import Output

PRICE = TokenPrice(eur_in=2.0, eur_out=10.0)
TEXT = Output(kind="text")


def answers(n=120):
    return [
        Answer(text="x", tokens_in=100 + i % 7, tokens_out=10 + i % 3, seconds=0.1 + 0.01 * (i % 20)) for i in range(n)
    ]


def test_means_have_t_intervals_and_the_tail_its_order_statistics():
    found = spent(answers(), price=PRICE)
    times = [a.seconds for a in answers()]
    theirs = ttest_1samp(times, 0).confidence_interval()
    assert (found.seconds.interval.low, found.seconds.interval.high) == pytest.approx((theirs.low, theirs.high))
    assert found.seconds_p95.value == pytest.approx(np.quantile(times, 0.95))
    assert found.seconds_p95.low <= found.seconds_p95.value <= found.seconds_p95.high
    assert found.not_measured == {}


def test_the_interval_of_the_tail_holds_it_in_95_of_100_draws():
    rng, held = np.random.default_rng(4), 0
    for _ in range(400):
        times = rng.exponential(size=200)
        tail = spent([Answer(seconds=float(t)) for t in times]).seconds_p95
        held += tail.low <= -np.log(0.05) <= tail.high
    assert held / 400 == pytest.approx(0.95, abs=0.03)


def test_euros_are_tokens_times_their_price():
    found = spent([Answer(tokens_in=1_000, tokens_out=100), Answer(tokens_in=3_000, tokens_out=300)], price=PRICE)
    each = [(1_000 * 2 + 100 * 10) / 1e6, (3_000 * 2 + 300 * 10) / 1e6]
    assert found.eur_per_1000.mean == pytest.approx(1_000 * sum(each) / 2)


def test_without_a_price_or_tokens_euros_are_not_measured_and_never_zero():
    assert spent(answers()).eur_per_1000 is None
    assert "prices.toml" in spent(answers()).not_measured["eur_per_1000"]
    silent = spent([Answer(text="x", seconds=1.0)] * 3, price=PRICE)
    assert (silent.tokens_in, silent.eur_per_1000) == (None, None)
    assert silent.not_measured["eur_per_1000"] == "no tokens were told"


def test_answers_that_did_not_come_are_counted_apart():
    found = spent([*answers(100), Answer(error="timeout", seconds=60.0)])
    assert (found.n, found.failed) == (100, 1)
    assert found.seconds.mean < 1
    assert spent([Answer(error="timeout")]).not_measured == {"answers": "none came"}


def test_few_answers_have_no_tail():
    found = spent(answers(99))
    assert found.seconds_p95 is None
    assert "at least 100" in found.not_measured["seconds_p95"]


@given(
    st.lists(
        st.builds(
            Answer,
            tokens_in=st.integers(0, 10**6),
            tokens_out=st.integers(0, 10**6),
            seconds=st.floats(0, 1e4),
            error=st.sampled_from([None, None, "timeout"]),
        ),
        max_size=20,
    )
)
def test_any_answers_can_be_summed_up(rows):
    found = spent(rows, price=PRICE)
    assert found.n + found.failed == len(rows)
    for amount in (found.seconds, found.tokens_in, found.eur_per_1000):
        assert amount is None or amount.mean >= 0


def test_the_same_scorers_judge_a_case_of_the_suite_and_a_live_answer():
    """A live answer has no expected output: what needs one says so, the others score as they did offline."""
    yardstick = Yardstick(Exact(TEXT), (Length(TEXT, at_most=5), ForbiddenWords(TEXT, ("soon",)), ReadingLevel(TEXT)))
    case = Case(id="1", input={"question": "When?"}, expected="At nine.")
    live = case.model_copy(update={"id": "trace", "expected": None})
    for text in ("At nine.", "soon", "", "notwithstanding"):
        offline, on_trace = (yardstick.judge(c, Answer(text=text)) for c in (case, live))
        assert on_trace.others == offline.others
        assert on_trace.score.unscored == "missing_expected"
    failed = yardstick.judge(live, Answer(error="timeout"))
    assert (failed.score.unscored, failed.others) == ("timeout", {})
