"""Measure one candidate on cases: answer, score, and keep what could not be scored apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from tuneworthy.answering import Answerer
from tuneworthy.models.answers import AnswerStore
from tuneworthy.records import Answer, Arm, Calibration, Case, CaseResult, Score
from tuneworthy.scorers.judge import Judge
from tuneworthy.seams import AnswerScorer, Scorer
from tuneworthy.usecase import Bar, UseCase


@dataclass(frozen=True)
class Yardstick:
    """How answers are judged: the scorer of the bar, and further ones."""

    primary: Scorer
    others: tuple[Scorer, ...] = field(default=())

    @property
    def calibration(self) -> Calibration | None:
        """How far the judge that carries the bar agrees with people; None where no judge carries it."""
        return self.primary.calibration if isinstance(self.primary, Judge) else None

    def right_from(self, bar: Bar) -> float:
        """Score from which an answer is right: full marks where the scorer knows only right and wrong; else the bar."""
        return 1.0 if self.primary.binary else bar.at_least

    def decides(self, usecase: UseCase) -> list[JsonValue]:
        """All that decides a score of the bar's scorer and whether it is right, for the names of what is kept."""
        given = usecase.model_dump(mode="json", include={"metric_settings", "judge"})
        return [usecase.bar.metric, self.primary.version, given, self.right_from(usecase.bar)]

    def foresee(self, cases: Sequence[Case], answers: Sequence[Answer]) -> None:
        """Let judges judge all answers at once; they keep what they said, so that `judge` asks nothing again."""
        pairs = [(case, a.text) for case, a in zip(cases, answers, strict=True) if a.error is None]
        for scorer in (self.primary, *self.others):
            if isinstance(scorer, Judge):
                scorer.score_all(pairs)

    def judge(self, case: Case, answer: Answer, evidence_found: bool | None = None) -> CaseResult:
        """Score one answer. A failed channel is unscored; a bad answer is a score."""
        if answer.error is not None:
            failed = Score(unscored=answer.error, explanation=answer.detail)
            return CaseResult(case=case.id, answer=answer, score=failed, lenient=failed)
        return CaseResult(
            case=case.id,
            answer=answer,
            score=self.primary.score(case, answer.text),
            lenient=self.primary.score(case, answer.text, lenient=True),
            others={scorer.name: _further(scorer, case, answer) for scorer in self.others},
            evidence_found=evidence_found,
        )


def measure(
    name: str,
    answerer: Answerer,
    cases: Sequence[Case],
    yardstick: Yardstick,
    *,
    cases_digest: str,
    store: Path,
    on_progress: Callable[[int, int], None] | None = None,
    exploratory: bool = False,
) -> Arm:
    """Answer and score every case.

    Args:
        name: the arm's name.
        cases_digest: digest of the suite lock, or `dev:<version>`.
        store: folder of kept answers; what is there is not asked again.
        on_progress: called with (cases answered, cases).
    """
    answers = _answers(answerer, cases, AnswerStore(store, answerer.key), on_progress)
    yardstick.foresee(cases, answers)
    results = tuple(
        yardstick.judge(case, answer, _evidence_found(answerer, case))
        for case, answer in zip(cases, answers, strict=True)
    )
    return Arm(name=name, candidate=answerer.candidate, cases=cases_digest, results=results, exploratory=exploratory)


def _further(scorer: Scorer, case: Case, answer: Answer) -> Score:
    return scorer.score_answer(case, answer) if isinstance(scorer, AnswerScorer) else scorer.score(case, answer.text)


def mean_score(arm: Arm, *, lenient: bool = False) -> float | None:
    """Mean over scored cases; None when nothing was scored."""
    values = arm.scores(lenient=lenient).values()
    return sum(values) / len(values) if values else None


def _answers(
    answerer: Answerer, cases: Sequence[Case], store: AnswerStore, on_progress: Callable[[int, int], None] | None
) -> list[Answer]:
    known = {index: answer for index, case in enumerate(cases) if (answer := store.get(case.input)) is not None}
    open_indexes = [index for index in range(len(cases)) if index not in known]
    done = len(known)

    def progress() -> None:
        if on_progress is not None:
            on_progress(done, len(cases))

    def keep(position: int, answer: Answer) -> None:
        nonlocal done
        done += 1
        store.keep(cases[open_indexes[position]].input, answer)
        progress()

    progress()
    if open_indexes:
        fresh = answerer.answer([cases[index].input for index in open_indexes], keep)
        known |= dict(zip(open_indexes, fresh, strict=True))
    return [known[index] for index in range(len(cases))]


def _evidence_found(answerer: Answerer, case: Case) -> bool | None:
    """Is the passage with the facts among the retrieved ones? None without evidence or without a retriever."""
    if not case.evidence or answerer.candidate.retriever is None:
        return None
    wanted = " ".join(case.evidence.split()).casefold()
    texts = [" ".join(passage.text.split()).casefold() for passage in answerer.passages(case.input)]
    return any(wanted in text or text in wanted for text in texts)
