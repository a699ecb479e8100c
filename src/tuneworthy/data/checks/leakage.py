"""Leakage: examples that also stand in the suite, as they are, nearly, or in other words.

Other words: the meaning of the sentence (embeddings) is compared, where the extra `embed` is at hand. How near two
sentences are says little by itself: in a data set of few topics all are near. What tells is the margin: how much nearer
a row and a case are to each other than either is to its NEAREST other rows (Artetxe & Schwenk 2019, arXiv 1811.01136).
A hit has a margin that only CHANCE of the cases reach with a row of *another* output, which cannot be the same request,
and the same output. Where outputs hardly ever repeat (free texts), the next-best row of each case is the yardstick.

Chosen on 58 rewordings of BANKING77 among 2,000 of its rows (benchmarks/rephrased.py, SEEN), found at 100 other rows:
cosine 3, with an overlap of rare words or of characters 0 to 2 (good rewordings share few), mutual nearest only 5 (and
never more than 79 others), margin 10. What it finds on rows that did not serve is in benchmarks/RESULTS.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tuneworthy.data import near
from tuneworthy.data.findings import Batch, Finding, Found, NotMeasured, excerpt, output_text, that
from tuneworthy.data.template import without_template

CANDIDATES = 10
"""examples per case that are looked at; on HumanEval rephrasings the original is among them in 89 %"""
MOST_CASES = 500
"""cases whose candidates are embedded; a larger suite is sampled evenly"""
MOST_EMBEDDED = 5_000
"""Rows that are all embedded (some 100 a second on one core); of more, CANDIDATES for each case"""
CHANCE = 0.1
"""share of the cases that reach such a margin with a row that is not the same request"""
NEAREST = 4
"""rows that say how near others are; 10 and 20 were no better"""
LEAST = 0.5
"""cosine of all-MiniLM-L6-v2 below which two sentences are about the same topic at best"""


def check(batch: Batch) -> Found:
    """Exact and near copies: needs no model."""
    if not batch.cases or not batch.examples:
        yield NotMeasured(check="leakage", what="examples that stand in the suite", reason="there are no cases yet")
        return
    exact, close = _copies(batch)
    sources = sorted({batch.examples[number].provenance.source for number, *_ in exact + close} - {""})
    told = f"; sources: {', '.join(sources[:5])}" if sources else ""
    if exact:
        yield Finding(
            check="leakage",
            kind="exact",
            severity="review",
            what=f"{that(len(exact), 'stand')} also in the suite (but for case and white space){told}",
            why="what was learnt by heart looks like skill; `run` leaves these rows out of training",
            rows=tuple(batch.ref(number, f"case {case}") for number, case, _ in exact),
            share=batch.share(len(exact)),
            next="take them out for good: tuneworthy data fix --rule leaks",
        )
    if close:
        asked = {case.id: excerpt(near.input_text(case.input)) for case in batch.cases}
        yield Finding(
            check="leakage",
            kind="near",
            severity="review",
            what=f"{that(len(close), 'come')} near to a case{told}",
            why="what was learnt by heart looks like skill; `run` leaves these rows out of training",
            rows=tuple(
                batch.ref(number, f"case {case} ({similarity:.2f}): {excerpt(batch.inputs[number])} ~ {asked[case]}")
                for number, case, similarity in sorted(close, key=lambda hit: -hit[2])
            ),
            share=batch.share(len(close)),
            next="take them out for good: tuneworthy data fix --rule leaks",
        )


Hit = tuple[int, str, float]
"""(row, id of the case, similarity)"""


def _copies(batch: Batch) -> tuple[list[Hit], list[Hit]]:
    """(exact, near)."""
    leaks = {leak.example: leak for leak in near.leaks(batch.examples, batch.cases)}
    hits = [(n, leaks[e.name]) for n, e in enumerate(batch.examples) if e.name in leaks]
    exact, close = (
        [(n, leak.case, leak.similarity) for n, leak in hits if leak.kind == kind] for kind in ("exact", "near")
    )
    return exact, close


def check_rephrased(batch: Batch) -> Found:
    """The same request in other words: needs embeddings."""
    from tuneworthy.retrievers.embedders import minilm_at_hand, open_minilm

    if not batch.cases or not batch.examples:
        return
    if not minilm_at_hand():
        reason = "no embeddings at hand; run: pip install 'tuneworthy[embed]'"
        yield NotMeasured(check="leakage", what="rephrased cases", reason=reason)
        return
    yield from _rephrased(batch, open_minilm())


def _rephrased(batch: Batch, embedder: Any) -> Iterator[Finding | NotMeasured]:
    step = -(-len(batch.cases) // MOST_CASES)
    cases = batch.cases[::step]
    if step > 1:
        reason = f"of {len(batch.cases):,} cases 1 in {step} was looked at"
        yield NotMeasured(check="leakage", what="rephrased cases, all of them", reason=reason)
    asked = [near.normal(near.input_text(case.input)) for case in cases]
    texts = without_template(batch.normal_inputs, asked)
    mine, theirs = texts[: len(batch.examples)], texts[len(batch.examples) :]
    few = len(mine) <= MOST_EMBEDDED
    nearest = np.tile(np.arange(len(mine)), (len(theirs), 1)) if few else _candidates(mine, theirs)
    similar, crowd = _similarities(mine, theirs, nearest, embedder)
    margin = 2 * similar - _mean_of_best(similar)[:, None] - crowd
    outputs = np.asarray([near.normal(text) for text in batch.outputs])
    wanted = np.asarray([near.normal(output_text(case.expected)) for case in cases])
    same = outputs[nearest] == wanted[:, None]
    if same.any(axis=1).mean() < 0.5:  # outputs do not repeat, so an equal one cannot be asked for
        same, limit = np.ones_like(same), float(np.quantile(np.sort(margin, axis=1)[:, -2:][:, 0], 1 - CHANCE))
    else:
        limit = float(np.quantile(np.where(same, -1.0, margin).max(axis=1), 1 - CHANCE))
    copies = {number for hits in _copies(batch) for number, *_ in hits}
    hits = [
        (float(margin[c, k]), int(nearest[c, k]), cases[c])
        for c, k in np.argwhere((margin >= limit) & (similar >= LEAST) & same).tolist()
        if int(nearest[c, k]) not in copies
    ]
    if hits:
        hits.sort(key=lambda hit: (-hit[0], hit[1]))
        yield Finding(
            check="leakage",
            kind="rephrased",
            severity="review",
            what=f"{that(len({n for _, n, _ in hits}), 'seem')} to be a case in other words (twice their cosine, less "
            f"those to the nearest other rows of both: at least {limit:.2f}); a list to review, not a count of leaks",
            why="a case in other words is not new; n-gram tests do not see it",
            rows=tuple(
                batch.ref(
                    n, f"case {case.id} ({s:.2f}): {excerpt(batch.inputs[n])} ~ {excerpt(near.input_text(case.input))}"
                )
                for s, n, case in hits
            ),
            share=batch.share(len({n for _, n, _ in hits})),
            next="take the rows that are the same request out: tuneworthy data fix --drop",
        )


def _similarities(
    mine: Sequence[str], theirs: Sequence[str], nearest: np.ndarray, embedder: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Cosine of each case with each of its rows, and how near each of these rows is to its own nearest rows: both of
    shape (cases, rows per case)."""
    wanted = np.unique(nearest)
    place = np.zeros(len(mine), dtype=np.int64)
    place[wanted] = np.arange(len(wanted))
    vectors = np.asarray(embedder.embed([mine[number][:1000] for number in wanted.tolist()]))
    judged = np.asarray(embedder.embed([text[:1000] for text in theirs]))
    similar = np.stack([vectors[place[rows]] @ case for case, rows in zip(judged, nearest, strict=True)])
    crowd = np.zeros(len(vectors))
    for start in range(0, len(vectors), 500):
        among = vectors[start : start + 500] @ vectors.T
        among[np.arange(len(among)), np.arange(start, start + len(among))] = -1.0  # not with itself
        crowd[start : start + 500] = _mean_of_best(among)
    return similar, crowd[place[nearest]]


def _mean_of_best(similar: np.ndarray) -> np.ndarray:
    """Mean of the NEAREST greatest of each row."""
    best: np.ndarray = np.sort(similar, axis=1)[:, -NEAREST:].mean(axis=1)
    return best


def _candidates(mine: Sequence[str], theirs: Sequence[str]) -> np.ndarray:
    """The examples with the most telling words and characters in common with each case: shape (cases, CANDIDATES)."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    both = []
    for settings in ({"ngram_range": (1, 2)}, {"analyzer": "char_wb", "ngram_range": (3, 4), "max_features": 100_000}):
        vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **settings)
        vectorizer.fit([text or "empty" for text in theirs])  # the suite's words tell; and most of the data's do not
        both.append([vectorizer.transform(side) for side in (mine, theirs)])
    examples, cases = (hstack(side).tocsr() for side in zip(*both, strict=True))
    k, turned, found = min(CANDIDATES, len(mine)), examples.T.tocsr(), []
    for start in range(0, cases.shape[0], 100):
        similar = (cases[start : start + 100] @ turned).toarray()
        found.append(np.argpartition(-similar, k - 1, axis=1)[:, :k])
    return np.concatenate(found)
