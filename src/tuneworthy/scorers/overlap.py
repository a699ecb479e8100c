"""Overlap with reference texts: BLEU and chrF through sacrebleu, ROUGE-L through rouge-score. Each carries the
signature that makes its numbers comparable; it is part of the lock.

They measure likeness in wording, not truth: a wrong number in a well-worded sentence costs little.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, ClassVar, NamedTuple

from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import MISSING, accepted, readings
from tuneworthy.usecase import Output

CORPUS_METRICS = ("bleu", "chrf")
_WORD = re.compile(r"[^\W_]+")


class CorpusScore(NamedTuple):
    """A score of a whole corpus on the scale 0 to 100, as papers print it, and how it was made."""

    value: float
    signature: str


@dataclass(frozen=True)
class _Sacrebleu:
    output: Output
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = False

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        wanted = accepted(case, self.output)
        if not wanted:
            return MISSING
        found = [self._metric.sentence_score(text, wanted).score for text in readings(output, lenient)]
        return Score(value=_share(max(found) / 100))

    @property
    def signature(self) -> str:
        self._metric.sentence_score("a", ["a"])  # the number of references is known only after a score
        return "nrefs:var|" + str(self._metric.get_signature()).split("|", 1)[1]

    @cached_property
    def _metric(self) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Bleu(_Sacrebleu):
    """Sentence BLEU against the accepted texts (effective order, 13a tokens), as a share of 1. For texts of a sentence
    or more; a mean over cases is not the BLEU of a corpus: `corpus_score` is. Unscored without an expected output."""

    name: ClassVar[str] = "bleu"

    @cached_property
    def _metric(self) -> Any:
        from sacrebleu.metrics.bleu import BLEU

        return BLEU(effective_order=True)


@dataclass(frozen=True)
class Chrf(_Sacrebleu):
    """chrF (character 1–6-grams, recall counts twice) with the best accepted text: for languages with many word forms,
    and for short texts. Unscored without an expected output."""

    name: ClassVar[str] = "chrf"

    @cached_property
    def _metric(self) -> Any:
        from sacrebleu.metrics.chrf import CHRF

        return CHRF()


@dataclass(frozen=True)
class RougeL:
    """F1 of the longest common subsequence of words with the nearest accepted text. Words are lower-cased runs of
    letters and digits of any script (the original drops all but a–z and 0–9; on such texts the numbers are the same).
    Unscored without an expected output."""

    output: Output
    name: ClassVar[str] = "rouge_l"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = False

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        wanted = accepted(case, self.output)
        if not wanted:
            return MISSING
        found = [self._rouge.score(text, answer) for text in wanted for answer in readings(output, lenient)]
        return Score(value=_share(max(one["rougeL"].fmeasure for one in found)))

    @property
    def signature(self) -> str:
        return f"rougeL|f1|stem:no|words:unicode|version:{version('rouge_score')}"

    @cached_property
    def _rouge(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]

        return RougeScorer(["rougeL"], tokenizer=_Words())


class _Words:
    def tokenize(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())


def corpus_score(metric: str, answers: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScore:
    """BLEU or chrF of a whole corpus, as sacrebleu's command line gives it.

    Args:
        metric: bleu or chrf.
        references: for each answer its reference texts; numbers may differ.

    Raises:
        ValueError: another metric, or no answer.
    """
    if metric not in CORPUS_METRICS or not answers or len(answers) != len(references):
        raise ValueError("bleu or chrf, over at least one answer with its references")
    judge = corpus_metric(metric)
    value = float(judge.corpus_score(list(answers), columns(references)).score)
    return CorpusScore(value, str(judge.get_signature()))


def corpus_metric(metric: str) -> Any:
    """sacrebleu's own BLEU or chrF."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return BLEU() if metric == "bleu" else CHRF()


def columns(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """References as sacrebleu takes them: the first one of each answer, the second ones, …; None where one lacks."""
    most = max(map(len, references))
    return [[texts[i] if i < len(texts) else None for texts in references] for i in range(most)]


def _share(value: float) -> float:
    """In [0, 1]: an exact match comes as 1.0000000000000004."""
    return min(1.0, max(0.0, round(float(value), 9)))
