"""Small arms: what some rows teach, as scores on development cases. No locked case is opened.

For labels the plain classifier learns: seconds each, so the examples are divided into folds and every one of them is
judged once under each seed, by a classifier that saw neither it nor its near-duplicates. For other outputs a LoRA of
the local base model learns, with the recipe and the rate that the lever would take, and the development split judges.
"""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import NamedTuple, Protocol

from tuneworthy.answering import candidate_digest
from tuneworthy.content import digest, write_whole
from tuneworthy.data import near
from tuneworthy.data.version import manifest
from tuneworthy.errors import TrainingError
from tuneworthy.ground import Ground, as_case
from tuneworthy.levers import tuned
from tuneworthy.levers.bench import Bench, Tell
from tuneworthy.models.plain_classifier import PlainClassifier
from tuneworthy.records import Case, ClassifierRef, Example
from tuneworthy.retrievers.examples import query_text
from tuneworthy.seams import Embedder

FOLDS = 4
"""Parts of the examples that are judged in turn, by what the other three quarters teach."""
STRENGTH = 10.0
"""Inverse regularisation of the small classifiers: what the lever settles on for BANKING77."""

Scores = Mapping[str, float]
"""case → score; a case that could not be scored is missing"""


class Fold(NamedTuple):
    """Rows to learn from, and cases to be judged on: they share no cluster of near-duplicates."""

    train: tuple[Example, ...]
    cases: tuple[Case, ...]


class Learner(Protocol):
    """Learns from rows and answers cases."""

    lever: str
    most_groups: int
    """groups of rows that are priced: a bound on the time"""

    @property
    def told(self) -> str:
        """What it is, in words."""
        ...

    @property
    def clusters(self) -> Mapping[str, str]:
        """Name of an example → its cluster of near-duplicates."""
        ...

    def folds(self, seed: int) -> Sequence[Fold]:
        """Each case of the development data is judged in one of them."""
        ...

    def learn(self, rows: Sequence[Example], cases: Sequence[Case], *, seed: int, label: str) -> Scores:
        """What the rows teach."""
        ...


@dataclass
class Plain:
    """The plain classifier."""

    ground: Ground
    embedder: Embedder | None
    lever: str = "classifier"
    most_groups: int = 12
    _known: dict[tuple[str, str], float | None] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """With its features."""
        return f"plain classifier on {'sentence embeddings' if self.embedder else 'TF-IDF'}"

    def folds(self, seed: int) -> list[Fold]:
        """Whole clusters, shuffled by the seed, each to the part that has fewest rows."""
        parts: list[list[Example]] = [[] for _ in range(FOLDS)]
        for rows in shuffled(self.ground.examples, self.clusters, f"folds {seed}"):
            min(parts, key=len).extend(rows)
        return [
            Fold(
                train=tuple(e for other in parts if other is not part for e in other),
                cases=tuple(self._cases[e.name] for e in part),
            )
            for part in parts
            if part
        ]

    def learn(self, rows: Sequence[Example], cases: Sequence[Case], *, seed: int, label: str) -> Scores:
        """Fitted and asked; with a single label among the rows, that label is the answer."""
        ref = ClassifierRef(
            features="embeddings" if self.embedder else "tfidf",
            c=STRENGTH,
            data_version=manifest(rows).version,
            embedder=self.embedder.digest if self.embedder else "",
        )
        return kept(self.ground, ref.digest, cases, lambda: self._scores(ref, rows, cases))

    def _scores(self, ref: ClassifierRef, rows: Sequence[Example], cases: Sequence[Case]) -> Scores:
        labels = [str(row.expected) for row in rows]
        asked = [query_text(case.input) for case in cases]
        if len(set(labels)) > 1:
            answers = PlainClassifier(ref, [query_text(row.input) for row in rows], labels, self.embedder).predict(
                asked
            )
        else:
            answers = labels[:1] * len(cases)
        found = {case.id: self._score(case, answer) for case, answer in zip(cases, answers, strict=True)}
        return {case: value for case, value in found.items() if value is not None}

    def _score(self, case: Case, text: str) -> float | None:
        if (case.id, text) not in self._known:
            self._known[case.id, text] = self.ground.yardstick.primary.score(case, text).value
        return self._known[case.id, text]

    @cached_property
    def _cases(self) -> dict[str, Case]:
        """Name of an example → the case that it makes, which knows its cluster."""
        clusters = self.clusters
        return {e.name: as_case(e).model_copy(update={"cluster": clusters[e.name]}) for e in self.ground.examples}

    @cached_property
    def clusters(self) -> Mapping[str, str]:
        """Of all examples."""
        return clusters_of(self.ground.examples)


@dataclass
class Lora:
    """LoRA on the winning prompt, at the rate that is best on all examples; the last weights are taken, so that
    nothing is chosen on the cases that judge."""

    ground: Ground
    bench: Bench
    lever: str = "lora"
    most_groups: int = 3

    @property
    def told(self) -> str:
        """With its base model."""
        return f"LoRA on {self.bench.usecase.model.base}"

    def folds(self, seed: int) -> list[Fold]:
        """The training and the development split, the same for every seed: answers are dear."""
        return [Fold(self.ground.train, self._cases)]

    def learn(self, rows: Sequence[Example], cases: Sequence[Case], *, seed: int, label: str) -> Scores:
        """Trained and asked."""
        candidate = tuned.trained_on(self.bench, tuple(rows), rate=self._rate, seed=seed, label=label)
        name = candidate_digest(candidate)
        return kept(self.ground, name, cases, lambda: self.bench.try_out(candidate, label, cases=cases).scores())

    @cached_property
    def _cases(self) -> tuple[Case, ...]:
        return tuple(case.model_copy(update={"cluster": self.clusters[case.id]}) for case in self.ground.dev)

    @cached_property
    def clusters(self) -> Mapping[str, str]:
        """Of all examples."""
        return clusters_of(self.ground.examples)

    @cached_property
    def _rate(self) -> float:
        rate, why_not = tuned.screened_rate(self.bench)
        if rate is None:
            raise TrainingError(f"no small arm can be trained: {why_not}", next="raise budget.training_hours")
        return rate


def kept(ground: Ground, learned: str, cases: Sequence[Case], measure: Callable[[], Scores]) -> Scores:
    """The scores of an arm that was measured before, or measured now and written down: a stopped run continues.

    Args:
        learned: digest of everything that decides the answers.
    """
    scorer = ground.yardstick.primary
    judged = [scorer.name, scorer.version, ground.usecase.metric_settings, sorted(case.digest for case in cases)]
    name = digest([learned, judged, version("tuneworthy")])
    path = ground.project.small_arms / f"{name[:32]}.json"
    try:
        return {str(case): float(value) for case, value in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError):  # not there, or torn
        scores = measure()
        write_whole(path, json.dumps(dict(scores)))
        return scores


@dataclass
class Trainings:
    """Counts the trainings of a measurement: how many are done, what is being done, and whether the time allows."""

    ground: Ground
    tell: Tell
    total: int
    done: int = 0
    _began: float = field(default_factory=time.monotonic)

    def say(self, what: str) -> str:
        """Tell progress and return the label of the training that begins."""
        left = ""
        if self.done:
            spent = time.monotonic() - self._began
            seconds = spent / self.done * (self.total - self.done)
            left = f", about {int(seconds) // 60}:{int(seconds) % 60:02d} left"
            self._refuse(spent + seconds)
        self.tell(f"{what}: training {self.done + 1} of {self.total}{left}", self.done, self.total)
        self.done += 1
        return what

    def _refuse(self, seconds: float) -> None:
        most = self.ground.usecase.budget.training_hours
        if seconds / 3600 > most:
            raise TrainingError(
                f"{self.total} trainings would take about {seconds / 3600:.1f} hours here",
                why=f"budget.training_hours is {most:g}",
                next="raise it, or stop here: what was trained is kept",
            )


def clusters_of(examples: Sequence[Example]) -> dict[str, str]:
    """Name of an example → the smallest name in its cluster of near-duplicates."""
    groups: dict[int, list[str]] = defaultdict(list)
    for example, cluster in zip(examples, near.clusters(examples), strict=True):
        groups[cluster].append(example.name)
    return {name: min(names) for names in groups.values() for name in names}


def shuffled(rows: Sequence[Example], clusters: Mapping[str, str], seed: str) -> list[list[Example]]:
    """The rows by cluster, the clusters in an order that the seed decides and the order of the rows does not."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.name):
        groups[clusters[row.name]].append(row)
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    return [groups[cluster] for cluster in order]


def cases_of(folds: Sequence[Fold]) -> list[Case]:
    """All cases, in an order that does not depend on the folds."""
    return sorted((case for fold in folds for case in fold.cases), key=lambda case: case.id)
