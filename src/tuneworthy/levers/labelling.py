"""What to label next, and whether that beats labelling at random: tried on the examples, whose labels are hidden.

Under each seed a quarter of the examples counts as labelled; two batches are added, by the strategy or at random, up to
half of them; small arms learn after each batch. The difference of the mean scores decides what is suggested.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuneworthy.data import worth_labelling
from tuneworthy.data.unlabelled import ToLabel
from tuneworthy.errors import TuneworthyError
from tuneworthy.levers.small_arms import FOLDS, STRENGTH, Learner, Trainings, cases_of, shuffled
from tuneworthy.measure.statistics import crossed_interval
from tuneworthy.models.plain_classifier import Doubt, PlainClassifier
from tuneworthy.records import ClassifierRef, Example, Input, Interval, Record
from tuneworthy.retrievers.examples import query_text
from tuneworthy.seams import Embedder
from tuneworthy.usecase import UseCase

START, BATCH, BATCHES = 0.25, 0.125, 2
"""shares of the rows to learn from: labelled at first, and labelled in each batch"""
SEEDS = 3
FEWEST = 80
"""examples below which nothing is tried: a quarter of three quarters of them is 15"""


class Trial(Record):
    """The strategy against chance, on rows whose labels were hidden."""

    learner: str
    start: int
    """rows labelled at first, mean"""
    end: int
    """rows labelled at the end"""
    strategy: float
    """mean score after the batches"""
    chance: float
    """the same, labelled at random"""
    difference: Interval | None
    cases: int
    seeds: int
    trainings: int

    @property
    def pays(self) -> bool:
        """Whether the strategy beats chance."""
        return self.difference is not None and self.difference.low > 0


class Suggestion(Record):
    """The rows to label next, and why these."""

    by: str
    """`strategy` or `chance`"""
    trial: Trial | None
    not_measured: str = ""
    """why there was no trial"""
    rows: tuple[ToLabel, ...]
    pool: int
    """rows that were there to choose from"""
    known: int
    judged: int
    """rows left out: labelled already; in the suite"""

    @property
    def sentence(self) -> str:
        """The answer, for people."""
        if self.trial is None:
            return f"Label at random: whether a strategy beats that is not measured ({self.not_measured})."
        found, trial = self.trial.difference, self.trial
        limits = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}" if found else "no interval"
        value = f"{100 * (trial.strategy - trial.chance):+.1f} points ({limits})"
        told = f"from {trial.start:,} to {trial.end:,} labelled rows, {trial.learner}, n = {trial.cases:,}"
        if trial.pays:
            return f"The strategy beats labelling at random: {value}; {told}, {trial.seeds} seeds."
        return f"Label at random: the strategy did not beat it, {value}; {told}, {trial.seeds} seeds."


Chosen = tuple[int, str]
"""number of a row in the pool, and why"""


def trainings(learner: Learner, *, seeds: int = SEEDS) -> int:
    """How many trainings a trial takes."""
    return 2 * BATCHES * sum(len(learner.folds(seed)) for seed in range(seeds))


def try_out(
    usecase: UseCase, learner: Learner, embedder: Embedder | None, counting: Trainings, *, seeds: int = SEEDS
) -> Trial:
    """Label by the strategy and at random, and compare what is learnt.

    Raises:
        TuneworthyError: there are too few examples, or no case could be scored.
    """
    cases = cases_of(learner.folds(0))
    place = {case.id: number for number, case in enumerate(cases)}
    scores = np.zeros((2, seeds, len(cases)))
    starts, ends = [], []
    for seed in range(seeds):
        for number, fold in enumerate(learner.folds(seed)):
            if len(fold.train) < FEWEST * (FOLDS - 1) / FOLDS:
                raise TuneworthyError(f"fewer than {FEWEST} examples", next="label more at random first")
            rows = [row for group in shuffled(fold.train, learner.clusters, f"label {seed}") for row in group]
            hidden = _Rows(usecase, rows, embedder)
            first, batch = round(START * len(rows)), round(BATCH * len(rows))
            dice = random.Random(f"chance {seed} {number}")
            starts.append(first)
            ends.append(first + BATCHES * batch)
            for arm, told in enumerate(("by strategy", "at random")):
                labelled = list(range(first))
                for _ in range(BATCHES):
                    pool = sorted(set(range(len(rows))) - set(labelled))
                    labelled += dice.sample(pool, batch) if arm else hidden.by_strategy(labelled, pool, batch)
                    label = counting.say(f"{len(labelled):,} rows labelled {told}, seed {seed}")
                    found = learner.learn([rows[n] for n in labelled], fold.cases, seed=seed, label=label)
                    for case in fold.cases:
                        scores[arm, seed, place[case.id]] += found.get(case.id, np.nan) / BATCHES
    scored = np.isfinite(scores).all(axis=(0, 1))
    if not scored.any():
        raise TuneworthyError("no development case could be scored", next="run: tuneworthy eval --diagnose")
    groups = [cases[number].cluster or cases[number].id for number in np.flatnonzero(scored)]
    strategy, chance = scores[0][:, scored], scores[1][:, scored]
    return Trial(
        learner=learner.told,
        start=round(float(np.mean(starts))),
        end=round(float(np.mean(ends))),
        strategy=float(strategy.mean()),
        chance=float(chance.mean()),
        difference=crossed_interval(strategy - chance, groups=groups),
        cases=len(groups),
        seeds=seeds,
        trainings=counting.total,
    )


def suggest(
    usecase: UseCase,
    labelled: Sequence[Example],
    pool: Sequence[ToLabel],
    count: int,
    *,
    by_strategy: bool,
    embedder: Embedder | None,
) -> tuple[ToLabel, ...]:
    """The rows to label next, each with the reason, the most useful first."""
    if not by_strategy:
        drawn = random.Random(f"to label {usecase.seed}").sample(range(len(pool)), min(count, len(pool)))
        return tuple(pool[number].model_copy(update={"why": "drawn at random"}) for number in drawn)
    both = _vectors([*(row.input for row in labelled), *(row.input for row in pool)], embedder)
    ours, theirs = both[: len(labelled)], both[len(labelled) :]
    doubts = _doubts(usecase, labelled, [row.input for row in pool], embedder)
    chosen = worth_labelling.choose(theirs, ours, _uncertainty(doubts), count, seed=usecase.seed)
    return tuple(pool[n].model_copy(update={"why": _why(doubts[n] if doubts else None)}) for n in chosen)


# --- parts ----------------------------------------------------------------------------------------


class _Rows(NamedTuple):
    """Rows whose labels count as known or as hidden."""

    usecase: UseCase
    rows: Sequence[Example]
    embedder: Embedder | None

    def by_strategy(self, labelled: Sequence[int], pool: Sequence[int], count: int) -> list[int]:
        both = _vectors([row.input for row in self.rows], self.embedder)
        known = [self.rows[n] for n in labelled]
        doubts = _doubts(self.usecase, known, [self.rows[n].input for n in pool], self.embedder)
        chosen = worth_labelling.choose(both[pool], both[labelled], _uncertainty(doubts), count)
        return [pool[n] for n in chosen]


def _vectors(inputs: Sequence[Input], embedder: Embedder | None) -> NDArray[np.float32]:
    return worth_labelling.vectors([query_text(row) for row in inputs], embedder)


def _doubts(
    usecase: UseCase, labelled: Sequence[Example], inputs: Sequence[Input], embedder: Embedder | None
) -> list[Doubt]:
    """Of a plain classifier of the labelled rows; nothing where the outputs are no labels."""
    labels = [str(row.expected) for row in labelled]
    if usecase.output.kind != "label" or len(set(labels)) < 2:
        return []
    ref = ClassifierRef(features="embeddings" if embedder else "tfidf", c=STRENGTH, data_version="")
    model = PlainClassifier(ref, [query_text(row.input) for row in labelled], labels, embedder)
    return model.doubts([query_text(row) for row in inputs])


def _uncertainty(doubts: Sequence[Doubt]) -> NDArray[np.float64] | None:
    return np.array([doubt.uncertainty for doubt in doubts]) if doubts else None


def _why(doubt: Doubt | None) -> str:
    return "stands for rows unlike the labelled ones" if doubt is None else f"{doubt.first} or {doubt.second}?"
