"""Label noise: a ranked queue of rows whose label is doubtful. Nothing is ever deleted or relabelled by it.

The rank is the mean of two ranks: cleanlab's normalised margin on out-of-fold probabilities (TF-IDF of words and pairs
of words, logistic regression fitted by SGD, 5 folds), and the share of the ten nearest rows that have another label.

Chosen by measurement: BANKING77 train (10,003 rows, 77 labels), 8 % of the labels changed in three ways; average
precision, and how many of the first 100 rows were changed ones:

| score                | any label  | likeliest wrong | one fixed confusion per label |
| self-confidence      | .976 · 100 | .465 · 49       | .584 · 78                     |
| normalised margin    | .880 · 99  | .778 · 97       | .789 · 100                    |
| neighbours           | .595 · 64  | .345 · 43       | .352 · 43                     |
| confidence + neigh.  | .969 · 100 | .457 · 53       | .538 · 75                     |
| margin + neighbours  | .930 · 99  | .673 · 98       | .685 · 100                    |

On 10,000 rows of real human noise the neighbours were the best single score (.567) and a mean with them the best of all
(.578), while the margin alone was the worst (.534): the mean of margin and neighbours is the only one that is near the
top in each of the planted kinds and keeps what helps on real noise. SGD finds the same as lbfgs (average precision
within .07 in every cell, on 4,000 rows) in a fifth of the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuneworthy.data.findings import Batch, Finding, Found, NotMeasured, many
from tuneworthy.data.template import without_template
from tuneworthy.records import Record

FOLDS = 5
NEIGHBOURS = 10
QUEUE_SHARE = 0.1
"""The queue is a tenth of the rows: by far most of what a review finds is among them."""

Floats = NDArray[np.float64]


def check(batch: Batch) -> Found:
    """The ranked queue; the noise rate is for the random audit to tell."""
    if batch.usecase.output.kind != "label":
        yield NotMeasured(
            check="labels", what="label noise", reason="the outputs are not labels; contradictions stand in"
        )
        return
    queue = ranked(batch)
    if isinstance(queue, NotMeasured):
        yield queue
        return
    yield Finding(
        check="labels",
        kind="doubtful",
        severity="review",
        what=f"a queue of {many(len(queue))} whose label is most in doubt; how many are wrong is for a person to say",
        why="a wrong label teaches a wrong answer, and the same error in the suite hides a right one",
        rows=tuple(
            batch.ref(number, f"{batch.outputs[number]}; {instead} rather? {batch.inputs[number][:80]}")
            for number, instead in queue
        ),
        share=batch.share(len(queue)),
        next="tuneworthy data check --review writes data/review.jsonl: judge from the top, stop when the yield falls",
    )


def ranked(batch: Batch) -> list[tuple[int, str]] | NotMeasured:
    """(row, likeliest other label) of the most doubtful rows, the worst first."""
    labels = list(batch.outputs)
    usual = {label for label, count in Counter(labels).items() if count >= FOLDS}
    chosen = [number for number, label in enumerate(labels) if label in usual]
    if len(usual) < 2 or len(chosen) < 4 * FOLDS:
        reason = f"fewer than two labels have {FOLDS} rows and more"
        return NotMeasured(check="labels", what="label noise", reason=reason)
    texts = without_template([batch.normal_inputs[number] for number in chosen])
    found = doubt(texts, [labels[number] for number in chosen], seed=batch.usecase.seed)
    first = sorted(range(len(chosen)), key=lambda i: (-found.doubt[i], batch.examples[chosen[i]].name))
    return [(chosen[i], found.instead[i]) for i in first[: max(1, round(QUEUE_SHARE * len(chosen)))]]


class Doubt(Record):
    """How doubtful each label is, in the order given."""

    doubt: tuple[float, ...]
    """0 = not at all, 1 = most of all"""
    instead: tuple[str, ...]
    """the likeliest other label"""


def doubt(texts: Sequence[str], labels: Sequence[str], *, seed: int) -> Doubt:
    """Mean rank of margin and neighbours; every label needs FOLDS rows."""
    from cleanlab.rank import get_label_quality_scores
    from scipy.stats import rankdata

    names = sorted(set(labels))
    number = {name: place for place, name in enumerate(names)}
    given = np.asarray([number[label] for label in labels])
    vectors = _vectors(texts)
    chances = _out_of_fold(vectors, given, len(names), seed)
    margin = get_label_quality_scores(given, chances, method="normalized_margin")
    agree = _agreement(vectors, given)
    mean = (rankdata(-np.asarray(margin)) + rankdata(-agree)) / (2 * len(texts))
    other = chances.copy()
    other[np.arange(len(given)), given] = -1.0
    return Doubt(doubt=tuple(mean.tolist()), instead=tuple(names[place] for place in other.argmax(axis=1)))


def _vectors(texts: Sequence[str]) -> NDArray[np.float64]:
    """Sparse, shape (rows, words and pairs of words)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")
    vectors: NDArray[np.float64] = vectorizer.fit_transform([text or "empty" for text in texts])
    return vectors


def _out_of_fold(vectors: NDArray[np.float64], given: NDArray[np.int64], labels: int, seed: int) -> Floats:
    """Probability of each label for each row, from models that did not see the row: shape (rows, labels)."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import StratifiedKFold

    chances = np.full((len(given), labels), 1e-9)
    for learn, judge in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(vectors, given):
        model = SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=15, tol=None, random_state=seed)
        model.fit(vectors[learn], given[learn])
        chances[np.ix_(judge, model.classes_)] += model.predict_proba(vectors[judge])
    normalised: Floats = chances / chances.sum(axis=1, keepdims=True)
    return normalised


def _agreement(vectors: NDArray[np.float64], given: NDArray[np.int64], *, block: int = 500) -> Floats:
    """Share of the nearest rows that have the same label, weighted by similarity."""
    k = min(NEIGHBOURS, len(given) - 1)
    shares = np.zeros(len(given))
    for start in range(0, len(given), block):
        similar = (vectors[start : start + block] @ vectors.T).toarray()  # type: ignore[attr-defined]  # sparse
        rows = np.arange(len(similar))
        similar[rows, start + rows] = -1.0
        nearest = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        weights = np.take_along_axis(similar, nearest, axis=1).clip(1e-6)
        same = given[nearest] == given[start + rows, None]
        shares[start + rows] = (weights * same).sum(axis=1) / weights.sum(axis=1)
    return shares
