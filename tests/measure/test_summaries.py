"""Labels and fields of an arm: against scikit-learn, by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from tuneworthy.measure.summaries import classification_summary, extraction_summary, summarise
from tuneworthy.records import Case
from tuneworthy.usecase import Output

LABELS = ("a", "b", "c")


def pairs(n: int, seed: int, right: float = 0.7) -> list[tuple[str, str | None]]:
    rng = np.random.default_rng(seed)
    expected = rng.choice(LABELS, n, p=[0.6, 0.3, 0.1])
    return [(str(e), str(e) if rng.random() < right else str(rng.choice(LABELS))) for e in expected]


def test_labels_equal_scikit_learn() -> None:
    drawn = pairs(200, seed=1)
    found = classification_summary(drawn, LABELS)
    truth, answers = zip(*drawn, strict=True)
    precision, recall, f1, support = precision_recall_fscore_support(truth, answers, labels=LABELS)
    assert found.accuracy.value == pytest.approx(np.mean([t == a for t, a in drawn]))
    assert found.macro_f1 == pytest.approx(f1_score(truth, answers, average="macro"))
    for i, label in enumerate(found.labels):
        assert label.precision is not None
        assert label.recall is not None
        assert (label.precision.value, label.recall.value) == pytest.approx((precision[i], recall[i]))
        assert (label.f1, label.expected) == (pytest.approx(f1[i]), support[i])
        assert label.recall.low < label.recall.value < label.recall.high


def test_an_answer_that_is_no_label_lowers_recall_and_no_precision() -> None:
    found = classification_summary([("a", "a"), ("a", None), ("b", "b")], LABELS)
    first, _, third = found.labels
    assert first.precision is not None
    assert first.recall is not None
    assert (first.precision.value, first.recall.value) == (1.0, 0.5)
    assert (third.precision, third.recall, third.f1) == (None, None, None)  # never expected, never answered
    assert found.confusion["a"] == {"a": 1, "b": 0, "c": 0, "": 1}
    assert found.macro_f1 == pytest.approx((2 / 3 + 1) / 2)


def test_macro_f1_has_no_interval_below_a_hundred_cases() -> None:
    assert classification_summary(pairs(99, seed=2), LABELS).macro_f1_interval is None
    interval = classification_summary(pairs(100, seed=2), LABELS).macro_f1_interval
    assert interval is not None
    assert interval.low < interval.value < interval.high
    assert interval.method == "percentile bootstrap"


def test_the_bootstrap_is_seeded_and_that_of_a_plain_loop() -> None:
    drawn = pairs(150, seed=3)
    fast = classification_summary(drawn, LABELS, seed=5).macro_f1_interval
    assert fast == classification_summary(drawn, LABELS, seed=5).macro_f1_interval
    rng = np.random.default_rng(4)
    truth, answers = np.array(drawn).T
    slow = [
        f1_score(truth[i], answers[i], average="macro", labels=np.unique(truth[i]))
        for i in rng.integers(0, 150, (400, 150))
    ]
    assert fast is not None
    assert (fast.low, fast.high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])), abs=0.02)


def test_the_bootstrap_covers_about_as_often_as_it_says() -> None:
    true = 0.7 + 0.3 * np.array([1 / 3, 1 / 3, 1 / 3])  # recall of each label; precision follows from the shares
    share = np.array([0.6, 0.3, 0.1])
    given = share * 0.7 + 0.3 / 3
    macro = float(np.mean(2 * share * true / (share + given)))
    trials = 150
    held = 0
    for seed in range(trials):
        interval = classification_summary(pairs(200, seed=seed), LABELS, seed=seed).macro_f1_interval
        assert interval is not None
        held += interval.low <= macro <= interval.high
    assert 0.89 <= held / trials <= 0.99


def test_fields_count_given_expected_and_right() -> None:
    found = extraction_summary(
        [
            ({"city": "Paris", "days": 3}, {"city": "Paris", "days": 3}),
            ({"city": "Rome", "days": 2}, {"city": "Roma", "days": 2, "mood": "good"}),
            ({"city": "Oslo"}, None),
        ]
    )
    by_name = {field.field: field for field in found.fields}
    city, mood = by_name["city"], by_name["mood"]
    assert (city.expected, city.given, city.right) == (3, 2, 1)
    assert city.precision is not None
    assert city.recall is not None
    assert (city.precision.value, city.recall.value) == (0.5, pytest.approx(1 / 3))
    assert city.f1 == pytest.approx(0.4)
    assert (mood.expected, mood.given, mood.recall) == (0, 1, None)
    assert (found.micro.expected, found.micro.given, found.micro.right) == (5, 5, 3)
    assert (found.unreadable, found.whole.value) == (1, pytest.approx(1 / 3))


def test_items_of_lists_are_one_field() -> None:
    found = extraction_summary([({"items": [{"n": 1}, {"n": 2}]}, {"items": [{"n": 1}, {"n": 3}]})])
    assert [(f.field, f.expected, f.right) for f in found.fields] == [("items[].n", 2, 1)]


def test_summaries_by_output() -> None:
    label, json = Output(kind="label", labels=("a", "b")), Output(kind="json", json_schema={})
    cases = [(Case(id="1", input={}, expected="a"), " a "), (Case(id="2", input={}, expected="b"), "no")]
    found = summarise(label, cases)
    assert found is not None
    assert found.n == 2
    assert found.confusion["b"][""] == 1  # type: ignore[union-attr]
    told = summarise(json, [(Case(id="1", input={}, expected={"a": 1}), "no JSON")])
    assert told is not None
    assert told.unreadable == 1  # type: ignore[union-attr]
    assert summarise(Output(kind="text"), cases) is None
    assert summarise(label, []) is None


@pytest.mark.parametrize("summary", [lambda: classification_summary([], LABELS), lambda: extraction_summary([])])
def test_nothing_has_no_summary(summary) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="at least one case"):
        summary()
