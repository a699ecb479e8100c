"""Balance and coverage: labels too rare to learn, cases that no example is like, and examples that no case judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tuneworthy.data.findings import Batch, Finding, Found, NotMeasured, RowRef, excerpt, many, some
from tuneworthy.data.near import input_text, normal
from tuneworthy.data.template import without_template

RARE_LABEL = 10
"""Rows of a label below which little can be learnt, and nothing be measured on a development split of a quarter."""
DOMINANT = 0.8
"""Share of one label from which always answering it looks good."""
UNLIKELY = 0.01
"""Chance of no case in a group of examples, below which the gap is not taken for chance."""
LONELY = 2.0
"""Percentile of the examples' own nearest-neighbour similarities below which a case counts as uncovered. By
construction about this share of the cases is flagged when cases and examples come from one source."""
MOST = 20_000
"""Rows that are grouped; a larger set is sampled evenly by name."""
FEWEST_CASES = 30
"""Cases below which an empty group is chance."""
_GROUP_ROWS = 40


def check(batch: Batch) -> Found:
    """Labels first, then meaning."""
    if batch.usecase.output.kind == "label":
        yield from _labels(batch)
    if not batch.cases or len(batch.examples) < _GROUP_ROWS:
        why = "there are no cases" if not batch.cases else f"fewer than {_GROUP_ROWS} examples"
        yield NotMeasured(check="coverage", what="cases that no example covers", reason=why)
        return
    yield from _by_meaning(batch)


def _labels(batch: Batch) -> Iterator[Finding]:
    counts = Counter(batch.outputs)
    numbers: dict[str, list[int]] = {}
    for number, label in enumerate(batch.outputs):
        numbers.setdefault(label, []).append(number)
    judged = Counter(str(case.expected) for case in batch.cases if case.expected is not None)
    missing = [label for label in batch.usecase.output.labels if not counts[label]]
    asked = [label for label in missing if judged[label]]
    if missing:
        yield Finding(
            check="coverage",
            kind="label_without_examples",
            severity="refuse" if asked else "review",
            what=f"{many(len(missing), 'label')} {'has' if len(missing) == 1 else 'have'} no example: {some(missing)}"
            + (f"; cases ask for {some(asked)}" if asked else ""),
            why="what no example shows is not learnt",
            rows=tuple(RowRef(name=c.id, where="suite/cases.jsonl") for c in batch.cases if str(c.expected) in asked),
            next="collect examples of it, or take the label out of usecase.toml",
        )
    rare = sorted((label for label in counts if counts[label] < RARE_LABEL), key=lambda label: (counts[label], label))
    if rare:
        rows = [number for label in rare for number in numbers[label]]
        yield Finding(
            check="coverage",
            kind="rare_label",
            severity="review",
            what=f"{many(len(rare), 'label')} with fewer than {RARE_LABEL} rows: "
            + some([f"{label} ({counts[label]})" for label in rare]),
            why="too few to learn from, and to measure on",
            rows=tuple(batch.ref(number, batch.outputs[number]) for number in rows),
            share=batch.share(len(rows)),
            next="collect there first, or join it with another label",
        )
    if counts:
        label, most = counts.most_common(1)[0]
        if len(counts) > 1 and most > DOMINANT * len(batch.examples):
            yield Finding(
                check="coverage",
                kind="dominant_label",
                severity="review",
                what=f"{label} is the answer of {100 * most / len(batch.examples):.0f} % of the rows",
                why="always answering it looks good, and accuracy hides what happens to the others",
                share=batch.share(most),
                next="collect the others, and judge by macro-averaged F1",
            )
    unjudged = [label for label in counts if batch.cases and not judged[label]]
    if unjudged:
        rows = [number for label in unjudged for number in numbers[label]]
        yield Finding(
            check="coverage",
            kind="label_without_cases",
            severity="note",
            what=f"no case asks for {some(unjudged)}",
            why="whether these are learnt is not measured",
            rows=tuple(batch.ref(number, batch.outputs[number]) for number in rows),
            share=batch.share(len(rows)),
            next="add cases before the suite is locked: tuneworthy suite build",
        )


def _by_meaning(batch: Batch) -> Iterator[Finding]:
    sample = _sample(batch)
    mine = [batch.normal_inputs[number] for number in sample]
    theirs = [normal(input_text(case.input)) for case in batch.cases]
    vectors = _vectors(mine, theirs)
    examples, cases = vectors[: len(mine)], vectors[len(mine) :]
    own = _nearest(examples[: _own_rows(examples)], examples, itself=True)
    limit, nearest = float(np.percentile(own, LONELY)), _nearest(cases, examples)
    yield from _uncovered(batch, nearest, limit)
    yield from _unjudged(batch, sample, examples, cases[np.flatnonzero(nearest >= limit)])


def _sample(batch: Batch) -> list[int]:
    by_name = sorted(range(len(batch.examples)), key=lambda number: batch.examples[number].name)
    return by_name if len(by_name) <= MOST else by_name[:: -(-len(by_name) // MOST)]


def _vectors(mine: Sequence[str], theirs: Sequence[str]) -> Any:
    """Unit rows of words, and pairs of words: sparse."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [text or "empty" for text in without_template(mine, theirs)]
    pattern = r"(?u)\w+|[^\w\s]"
    return TfidfVectorizer(sublinear_tf=True, token_pattern=pattern, dtype=np.float32).fit_transform(texts).tocsr()


def _uncovered(batch: Batch, nearest: np.ndarray, limit: float) -> Iterator[Finding]:
    """Cases that are further from every example than examples are from each other."""
    chosen = sorted((n for n in range(len(batch.cases)) if nearest[n] < limit), key=lambda n: nearest[n])
    if len(chosen) > max(2, 2 * LONELY / 100 * len(batch.cases)):
        yield Finding(
            check="coverage",
            kind="uncovered_cases",
            severity="review",
            what=f"{many(len(chosen), 'case')} are like no example (about {LONELY / 100 * len(batch.cases):.0f} would "
            "be by chance)",
            why="what is asked there cannot be learnt from these examples",
            rows=tuple(
                RowRef(
                    name=batch.cases[n].id,
                    where="suite/cases.jsonl",
                    note=f"nearest {nearest[n]:.2f}: {excerpt(input_text(batch.cases[n].input))}",
                )
                for n in chosen
            ),
            next="collect examples like these cases, but not the cases themselves",
        )


def _own_rows(examples: Any) -> int:
    return min(int(examples.shape[0]), 4_000)  # enough for a percentile


def _nearest(rows: Any, others: Any, *, itself: bool = False) -> np.ndarray:
    """Similarity to the nearest of the others."""
    turned, found = others.T.tocsr(), []
    for start in range(0, rows.shape[0], 500):
        similar = (rows[start : start + 500] @ turned).toarray()
        if itself:
            similar[np.arange(len(similar)), start + np.arange(len(similar))] = -1.0
        found.append(similar.max(axis=1))
    return np.concatenate(found)


def _unjudged(batch: Batch, sample: Sequence[int], examples: Any, cases: Any) -> Iterator[Finding]:
    """Groups of like examples in which there is no case, though chance would have put some there; cases that are like
    no example belong to no group."""
    groups = min(40, len(sample) // _GROUP_ROWS)
    if groups < 2 or cases.shape[0] < FEWEST_CASES:
        return
    mine, theirs = _grouped(examples, cases, groups, batch.usecase.seed)
    sizes, judged = np.bincount(mine, minlength=groups), np.bincount(theirs, minlength=groups)
    chance = (1 - sizes / len(sample)) ** cases.shape[0]
    empty = [g for g in range(groups) if judged[g] == 0 and chance[g] < UNLIKELY]
    rows = [
        batch.ref(sample[i], f"group of {sizes[g]}: {excerpt(batch.inputs[sample[i]])}")
        for g in sorted(empty, key=lambda g: -sizes[g])
        for i in np.flatnonzero(mine == g).tolist()
    ]
    if rows:
        yield Finding(
            check="coverage",
            kind="unjudged_examples",
            severity="note",
            what=f"{many(len(empty), 'group')} of like examples, {many(len(rows))}, hold no case",
            why="whether these are learnt is not measured",
            rows=tuple(rows),
            share=batch.share(len(rows)),
            next="add cases like these before the suite is locked, if users will ask them",
        )


def _grouped(examples: Any, cases: Any, groups: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    size = min(50, examples.shape[1] - 1, examples.shape[0] - 1)
    if size < 2:
        return np.zeros(examples.shape[0], int), np.zeros(cases.shape[0], int)
    narrow = TruncatedSVD(size, n_iter=2, random_state=seed).fit(examples)
    model = MiniBatchKMeans(groups, n_init=1, random_state=seed, batch_size=1024)
    mine = model.fit_predict(normalize(narrow.transform(examples)))
    return mine, model.predict(normalize(narrow.transform(cases)))
