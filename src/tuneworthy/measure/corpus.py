"""BLEU or chrF of all answers together: two arms compared as papers compare them.

A mean over cases, which decides, weighs a short answer like a long one; the score of a corpus adds up matches first.
The test is sacrebleu's own (approximate randomisation: the two arms' answers swapped case by case), so its p is the one
that anybody gets from `sacrebleu --paired-ar`. It counts draws that exceed the difference and leaves out those that
equal it, so that two equal systems would get p = 0.0001; equal scores have p = 1 here. Descriptive: no verdict rests on
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tuneworthy.measure.compare import Clusters, groups_of
from tuneworthy.records import Arm, Case, CorpusDifference, Interval
from tuneworthy.scorers.overlap import CORPUS_METRICS, columns, corpus_metric
from tuneworthy.scorers.reading import accepted, readings
from tuneworthy.usecase import Output

FEWEST = 100
"""cases: below, a percentile interval covers too little, and the difference is only told"""
DRAWS = 2_000


def corpus_difference(
    metric: str,
    reference: Arm,
    candidate: Arm,
    cases: Sequence[Case],
    output: Output,
    *,
    clusters: Clusters | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> CorpusDifference | None:
    """Two arms over the cases scored in both; None for another metric than BLEU and chrF, and without such cases."""
    theirs, ours = ({r.case: r.answer.text for r in arm.results if r.score.value is not None}
                    for arm in (reference, candidate))  # fmt: skip
    both = [case for case in cases if case.id in theirs and case.id in ours and accepted(case, output)]
    if metric not in CORPUS_METRICS or not both:
        return None
    one, two = ([readings(found[case.id], False)[0] for case in both] for found in (theirs, ours))
    shared = groups_of([case.id for case in both], clusters) is not None
    references = columns([accepted(case, output) for case in both])
    return difference(metric, one, two, references, independent=not shared, level=level, seed=seed)


def difference(
    metric: str,
    reference: Sequence[str],
    candidate: Sequence[str],
    references: Sequence[Sequence[str | None]],
    *,
    independent: bool = True,
    level: float = 0.95,
    seed: int = 0,
) -> CorpusDifference:
    """The same from texts.

    Args:
        references: as sacrebleu takes them: one list per number of the reference, as long as there are answers.
        independent: no two cases share a cluster; otherwise neither p nor interval is given.
    """
    from sacrebleu.significance import PairedTest

    judge, n = corpus_metric(metric), len(reference)
    systems = [("reference", reference), ("candidate", candidate)]
    if not independent:
        one, two = (float(judge.corpus_score(list(texts), references).score) for _, texts in systems)
        told = "cases share clusters, which this test knows nothing of"
        return _found(metric, judge, n, one, two, None, None, told)
    given: Any = references  # None where a reference lacks; sacrebleu's hints forget that
    signatures, scores = PairedTest(systems, {metric: judge}, given)()
    name = next(key for key in scores if key != "System")
    results: Any = scores[name]
    first, second = results
    p = 1.0 if first.score == second.score else float(second.p_value)
    interval = _interval(judge, reference, candidate, references, level, seed) if n >= FEWEST else None
    told = "" if n >= FEWEST else f"{n} cases, at least {FEWEST} are needed for an interval"
    found = _found(metric, judge, n, first.score, second.score, p, interval, told)
    return found.model_copy(update={"signature": str(signatures[name])})


def _found(
    metric: str, judge: Any, n: int, one: float, two: float, p: float | None, interval: Interval | None, note: str
) -> CorpusDifference:
    return CorpusDifference(
        metric=metric,
        n=n,
        reference=one,
        candidate=two,
        difference=interval,
        p=p,
        signature=str(judge.get_signature()),
        note=note,
    )


def _interval(
    judge: Any,
    reference: Sequence[str],
    candidate: Sequence[str],
    references: Sequence[Sequence[str | None]],
    level: float,
    seed: int,
) -> Interval:
    """Percentile bootstrap over cases, the same cases drawn for both arms (Koehn, EMNLP 2004). sacrebleu gives
    intervals of single systems only, so its sufficient statistics are resampled here."""
    stats = [np.array(judge._extract_corpus_statistics(list(t), references), float) for t in (reference, candidate)]
    drawn = np.random.default_rng(seed)
    n, found = len(reference), []
    for _ in range(DRAWS):
        counts = np.bincount(drawn.integers(n, size=n), minlength=n)
        one, two = (judge._compute_score_from_stats(counts @ s).score for s in stats)
        found.append(two - one)
    low, high = np.quantile(found, [0.5 - level / 2, 0.5 + level / 2])
    value = float(np.subtract(*(judge._compute_score_from_stats(s.sum(0)).score for s in reversed(stats))))
    return Interval(value=value, low=float(low), high=float(high), level=level, method="percentile bootstrap, paired")
