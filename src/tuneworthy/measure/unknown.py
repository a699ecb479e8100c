"""Which training answers can the base model never give? Facts that it does not know, before anything is trained.

Each row is asked closed-book, with several draws of shots, greedily and sampled; never right = unknown (after Gekhman
et al., arXiv 2405.05904: ten variants and sixteen samples there, four and eight here). Unknown facts are learnt late
and by heart, and cost what the model knows: they belong to retrieval, or to "I do not know".
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from tuneworthy.answering import CODE
from tuneworthy.content import digest
from tuneworthy.measure.evaluate import Yardstick
from tuneworthy.measure.statistics import wilson
from tuneworthy.models.open import model_name
from tuneworthy.project import Project
from tuneworthy.records import Answer, Interval, Record
from tuneworthy.usecase import UseCase

VERSION = 3
"""of what is kept: a change of this file's code makes another"""

PASS, REFUSE = 0.10, 0.25
"""share of unknown rows up to which training is sound, and above which it is not (a choice of this project: the science
page, section 4; a warning between the two)"""
MOST = 100
"""rows that are asked, drawn with the seed"""
VARIANTS, SAMPLES, SHOTS = 4, 8, 3
"""draws of shots asked greedily; samples at temperature ½, spread over the draws; shots each"""
TEMPERATURE = 0.5
FEWEST_PER_TOPIC = 10
TOPICS = 6
"""most topics"""

State = Literal["sound", "warn", "refuse"]


class Try(NamedTuple):
    """One way of asking a row."""

    variant: int
    """which draw of shots"""
    temperature: float
    seed: int


class Topic(Record):
    """Rows about the same things."""

    topic: str
    """the words that set it apart"""
    n: int
    unknown: Interval


class Unknown(Record):
    """Training answers that the base model never gave."""

    n: int
    """rows asked"""
    tries: int
    """answers to each row"""
    unknown: Interval
    """share never right (Wilson)"""
    always: Interval
    """share right in every greedy answer"""
    state: State
    topics: tuple[Topic, ...] = ()
    """those with at least ten rows"""
    rows: tuple[str, ...] = ()
    """names of the unknown rows"""

    @property
    def in_words(self) -> str:
        """The share with its interval and what it was taken from."""
        u = self.unknown
        share = f"{100 * u.value:.1f} % ({100 * u.low:.1f} to {100 * u.high:.1f} %)"
        return f"in {self.tries} tries the base never gave {share} of {self.n} training answers"

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.state == "sound":
            return "the base model can give nearly all of these answers: training them teaches behaviour"
        worst = max(self.topics, key=lambda topic: topic.unknown.value, default=None)
        where = f", most of all about {worst.topic}" if worst and worst.unknown.value > self.unknown.value else ""
        return f"leave the facts to retrieval, or train “I do not know” for these rows{where}"


def tries() -> tuple[Try, ...]:
    """Every draw of shots greedily, then the samples."""
    sampled = (Try(number % VARIANTS, TEMPERATURE, number) for number in range(1, SAMPLES + 1))
    return (*(Try(variant, 0.0, 0) for variant in range(VARIANTS)), *sampled)


class Drawn(NamedTuple):
    """Rows, by name. No row is asked that also stands among the shots: it would be shown its own answer."""

    shots: tuple[tuple[str, ...], ...]
    """of each draw"""
    asked: tuple[str, ...]
    """at most 100"""


def drawn(names: Sequence[str], seed: int) -> Drawn:
    """Shots first, then the rows to ask."""
    chosen = sorted(names)
    random.Random(f"unknown {seed}").shuffle(chosen)
    shown = VARIANTS * SHOTS
    shots = tuple(tuple(chosen[at : at + SHOTS]) for at in range(0, shown, SHOTS))
    return Drawn(shots, tuple(chosen[shown : shown + MOST]))


def place(project: Project, usecase: UseCase, data_version: str, yardstick: Yardstick) -> Path:
    """Where the finding for these rows and this base model is kept: named by all that decides it.

    Raises:
        ModelError: the base model is not there.
    """
    # As text: the order of fields decides how inputs are laid out, and a digest sorts keys.
    parts = usecase.model_dump_json(include={"instruction", "wordings", "input", "output", "seed"})
    scorer, model = yardstick.decides(usecase), model_name(usecase, project.folder)
    name = digest([VERSION, CODE, model, data_version, parts, scorer, usecase.budget.dev_calls])
    return project.probes / f"unknown-{name[:32]}.json"


def kept(file: Path) -> Unknown | None:
    """What was found before; None where it was not measured, or the file cannot be read."""
    try:
        return Unknown.model_validate_json(file.read_text("utf-8"))
    except (OSError, ValueError, ValidationError):
        return None


def judge(names: Sequence[str], right: Sequence[Sequence[bool]], topics: Sequence[str] = ()) -> Unknown:
    """From right or wrong, by row and try, to shares.

    Args:
        right: one sequence per row, in the order of `tries()`.
        topics: of each row; empty = not told apart.

    Raises:
        ValueError: no row.
    """
    never = [not any(answers) for answers in right]
    share = wilson(sum(never), len(never)) if never else None
    if share is None:
        raise ValueError("no row was asked")
    state: State = "sound" if share.value <= PASS else "warn" if share.value <= REFUSE else "refuse"
    by_topic: dict[str, list[bool]] = {}
    for topic, unknown in zip(topics, never, strict=False):
        by_topic.setdefault(topic, []).append(unknown)
    return Unknown(
        n=len(never),
        tries=len(right[0]),
        unknown=share,
        always=wilson(sum(all(answers[:VARIANTS]) for answers in right), len(right)),
        state=state,
        topics=tuple(
            Topic(topic=topic, n=len(flags), unknown=wilson(sum(flags), len(flags)))
            for topic, flags in sorted(by_topic.items())
            if len(flags) >= FEWEST_PER_TOPIC
        ),
        rows=tuple(name for name, unknown in zip(names, never, strict=True) if unknown),
    )


def topics_of(texts: Sequence[str]) -> tuple[str, ...]:
    """A topic for each text: groups of texts that share their telling words, named by the three foremost.

    k-means on TF-IDF, as many groups as give ten texts each, at most six. One topic for fewer than twenty texts.
    """
    groups = min(TOPICS, len(texts) // FEWEST_PER_TOPIC)
    if groups < 2:
        return ("all",) * len(texts)
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(stop_words="english", max_df=0.8, sublinear_tf=True)
    try:
        matrix = words.fit_transform(texts)
    except ValueError:  # no word is left
        return ("all",) * len(texts)
    found = KMeans(groups, n_init=4, random_state=0).fit(matrix)
    names = words.get_feature_names_out()
    called = [", ".join(names[i] for i in centre.argsort()[::-1][:3]) for centre in found.cluster_centers_]
    return tuple(called[group] for group in found.labels_)


def ask(
    names: Sequence[str], answer: Callable[[Try], Sequence[Answer]], right: Callable[[int, Answer], bool]
) -> list[list[bool]]:
    """Right or wrong by row and try.

    Args:
        answer: one answer per row for a way of asking.
        right: (place of the row, answer) → is it right? An answer with an error must not come here.
    """
    rows: list[list[bool]] = [[] for _ in names]
    for one in tries():
        for number, given in enumerate(answer(one)):
            rows[number].append(right(number, given))
    return rows
