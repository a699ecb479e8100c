"""What examples are worth: the price of wrong labels, learning curves, what to label next. `python -m benchmarks.price`

1. Labels of BANKING77 are made wrong on purpose, 5, 10 and 20 % of them. What `data check --price` says about the rows
   that `data check` suspects, and about the planted ones; and what a clean test set says about leaving them out.
2. Learning curves from small sizes: the predicted score at twice the size against the one that is measured there.
3. Labelling by the strategy of `data label` against labelling at random.

Writes its part of benchmarks/RESULTS.md. The real rows are read from $TUNEWORTHY_SHARED (default: ../shared).
`python -m benchmarks.price noise` and the like run one part and print it.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.data import Row, banking
from benchmarks.results import write_part
from tuneworthy import flow, worth
from tuneworthy.data import engine, near
from tuneworthy.data.checks import labels
from tuneworthy.data.findings import CheckReport, Finding, RowRef
from tuneworthy.ground import Ground, prepare
from tuneworthy.levers import curve as curves
from tuneworthy.levers import labelling
from tuneworthy.levers import price as prices
from tuneworthy.levers.small_arms import FOLDS, Learner, Plain, Trainings
from tuneworthy.measure.statistics import paired_t_interval, wilson
from tuneworthy.models.plain_classifier import PlainClassifier
from tuneworthy.project import open_project
from tuneworthy.records import Case, ClassifierRef, Example, Interval
from tuneworthy.retrievers.embedders import MeanPooled, open_minilm

ROWS = 3_000
"""of the 10,003 of BANKING77, at random: 39 for each label"""
SHARES = (0.05, 0.10, 0.20)
KINDS = ("any other label", "the likeliest wrong label")
PROJECTS, SPLITS, JUDGES = (400, 1_000, 2_000), 6, 2_500
"""rows of a project, random splits into project, later rows and rows that judge"""
LABELLED = (1_000, 3_000)
DRAWS = 5
"""of random rows, for the clean test"""

USECASE = """
name = "banking77"
instruction = "Read the customer's question and name its intent."
[input.question]
[output]
kind = "label"
labels = {labels}
[bar]
metric = "classification"
at_least = 0.9
smallest_difference = 0.02
"""


# --- 1. wrong labels ------------------------------------------------------------------------------


def noise() -> list[list[str]]:
    """One line per share and kind."""
    rows = random.Random(0).sample(banking("train"), ROWS)
    return [_noise(rows, kind, share) for kind in KINDS for share in SHARES]


def _noise(rows: Sequence[Row], kind: str, share: float) -> list[str]:
    wrong = random.Random(f"{kind} {share}").sample(range(len(rows)), round(share * len(rows)))
    noisy = _with_wrong(rows, wrong, kind)
    with tempfile.TemporaryDirectory() as place:
        ground = _ground(Path(place), noisy)
        batch = engine.load(ground.project)
        (found,) = (f for f in labels.check(batch) if isinstance(f, Finding))
        planted = Finding(
            check="planted",
            kind="wrong",
            severity="note",
            what="planted",
            why="planted",
            rows=tuple(RowRef(name=batch.examples[n].name, where="") for n in wrong),
            next="",
        )
        report = CheckReport(version="", examples=0, cases=0, findings=(found, planted))
        learner = Plain(ground, _embedder())
        groups, _ = prices.groups_of(report, batch, ground.examples, most=9)
        counting = Trainings(ground, lambda *_: None, prices.trainings(learner, groups))
        of_suspects, of_planted = prices.price(learner, groups, counting)
        number = {example.name: n for n, example in enumerate(batch.examples)}
        suspects = [number[ref.name] for ref in found.rows]
    hit = len(set(suspects) & set(wrong))
    return [
        kind,
        f"{100 * share:.0f} %",
        f"{hit} of {len(wrong)}, among {len(suspects)}",
        _points(of_suspects.price),
        _points(of_planted.price),
        *_on_the_clean_test(rows, noisy, wrong, suspects),
    ]


def _with_wrong(rows: Sequence[Row], wrong: Sequence[int], kind: str) -> list[Row]:
    """The rows with other labels at these places."""
    names = sorted({label for _, label in rows})
    dice, noisy = random.Random(kind), list(rows)
    chances = _chances(rows, names) if kind == KINDS[1] else None
    for n in wrong:
        text, label = rows[n]
        if chances is None:
            other = dice.choice([name for name in names if name != label])
        else:
            other = next(names[place] for place in np.argsort(-chances[n]) if names[place] != label)
        noisy[n] = (text, other)
    return noisy


def _chances(rows: Sequence[Row], names: Sequence[str]) -> np.ndarray:
    given = np.asarray([names.index(label) for _, label in rows])
    return labels._out_of_fold(labels._vectors([text.casefold() for text, _ in rows]), given, len(names), 0)


def _on_the_clean_test(
    rows: Sequence[Row], noisy: Sequence[Row], wrong: Sequence[int], suspects: Sequence[int]
) -> Iterator[str]:
    """What leaving out really does: suspects and planted ones against as many random rows, on 3,080 clean cases; and
    what putting the planted ones right does, against leaving them as they are."""
    before = _right(noisy)
    for gone in (suspects, wrong):
        others = sorted(set(range(len(noisy))) - set(gone))
        control = [
            _right(_without(noisy, random.Random(f"control {draw}").sample(others, len(gone)))) for draw in range(DRAWS)
        ]
        yield _points(paired_t_interval(_right(_without(noisy, gone)) - np.mean(control, axis=0)))
    yield _points(paired_t_interval(_right(rows) - before))


def _without(rows: Sequence[Row], gone: Sequence[int]) -> list[Row]:
    out = set(gone)
    return [row for n, row in enumerate(rows) if n not in out]


def _right(rows: Sequence[Row], judges: Sequence[Row] = ()) -> np.ndarray:
    """1 for each case, of the test set unless others are given, that a classifier of these rows gets right."""
    test = judges or banking("test")
    ref = ClassifierRef(features="embeddings", c=10.0, data_version="")
    model = PlainClassifier(ref, [text for text, _ in rows], [label for _, label in rows], _embedder())
    answers = model.predict([text for text, _ in test])
    return np.asarray([float(answer == label) for answer, (_, label) in zip(answers, test, strict=True)])


# --- 2. learning curves ---------------------------------------------------------------------------


def curve() -> list[list[str]]:
    """One line per size of a project: how often the score at twice and at four times the examples, measured on rows
    that no curve saw, lies in the predicted interval."""
    return [curve_of(rows) for rows in PROJECTS]


def curve_of(rows: int) -> list[str]:
    """One size."""
    return _curve(rows, [_split(rows, number) for number in range(SPLITS)])


def _split(rows: int, number: int) -> list[tuple[Interval, float]]:
    """(predicted, measured) at twice and at four times the largest size of one project."""
    everything = [*banking("train"), *banking("test")]
    random.Random(f"split {rows} {number}").shuffle(everything)
    with tempfile.TemporaryDirectory() as place:
        ground = _ground(Path(place), everything[:rows])
        learner = Plain(ground, _embedder())
        counting = Trainings(ground, lambda *_: None, curves.trainings(learner))
        found = curves.measure(ground, learner, counting)
    judges = everything[-JUDGES:]
    clean = _without_leaks(everything[:-JUDGES][: 5 * rows], judges)  # a fifth has a near-duplicate among the judges
    pairs = []
    for forecast in found.forecasts:
        learned = clean[: round(forecast.size)]
        pairs.append((forecast.score, float(_right(learned, judges).mean())))
    sys.stderr.write(f"{rows} {number} {[(p.low, m, p.high) for p, m in pairs]} {found.answer}\n")
    return pairs


def _without_leaks(rows: Sequence[Row], judges: Sequence[Row]) -> list[Row]:
    """The rows that are no near-duplicates of a judge: `run` does not learn from those of a case either."""
    examples = [Example(input={"question": text}, expected=label) for text, label in rows]
    cases = [Case(id=str(n), input={"question": text}) for n, (text, _) in enumerate(judges)]
    out = {leak.example for leak in near.leaks(examples, cases)}
    return [row for row, example in zip(rows, examples, strict=True) if example.name not in out]


def _curve(rows: int, splits: Sequence[Sequence[tuple[Interval, float]]]) -> list[str]:
    line = [f"{rows:,}", f"{round(rows * (FOLDS - 1) / FOLDS):,}"]
    for place in range(2):
        pairs = [split[place] for split in splits]
        inside = sum(predicted.low <= measured <= predicted.high for predicted, measured in pairs)
        missed = [predicted.value - measured for predicted, measured in pairs]
        width = np.mean([predicted.high - predicted.low for predicted, _ in pairs])
        covered = wilson(inside, len(pairs))
        line += [
            f"{inside} of {len(pairs)} ({100 * covered.low:.0f} to {100 * covered.high:.0f} %)",
            f"{100 * np.mean(missed):+.1f}",
            f"{100 * np.mean(np.abs(missed)):.1f}",
            f"{100 * width:.1f}",
        ]
    return line


# --- 3. what to label next ------------------------------------------------------------------------


def label() -> list[list[str]]:
    """One line per use case."""
    return [*_label_banking(), _label_tickets()]


def _label_banking() -> Iterator[list[str]]:
    for rows in LABELLED:
        chosen = random.Random(f"label {rows}").sample(banking("train"), rows)
        with tempfile.TemporaryDirectory() as place:
            ground = _ground(Path(place), chosen)
            yield _trial(f"BANKING77, {rows:,} rows", ground, Plain(ground, _embedder()))


def _label_tickets() -> list[str]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "ticket-triage"
        shutil.copytree(Path(__file__).parents[1] / "examples" / "ticket-triage", folder)
        flow.lock_suite(folder, again=False)
        ground = prepare(open_project(folder))
        return _trial("ticket-triage", ground, worth.open_small_arm(ground, _Silent()))


def _trial(name: str, ground: Ground, learner: Learner) -> list[str]:
    counting = Trainings(ground, _tell, labelling.trainings(learner))
    found = labelling.try_out(ground.usecase, learner, _embedder(), counting)
    return [
        name,
        found.learner,
        f"{found.start:,} → {found.end:,}",
        f"{found.cases:,}",
        f"{100 * found.chance:.1f} %",
        f"{100 * found.strategy:.1f} %",
        _points(found.difference),
        "strategy" if found.pays else "at random",
    ]


def _tell(what: str, done: int, total: int) -> None:
    sys.stderr.write(f"{what}\n")


class _Silent:
    step = staticmethod(_tell)

    def lever(self, name: str, state: str, text: str) -> None: ...

    def arm(self, report: object, comparison: object) -> None: ...


# --- parts ----------------------------------------------------------------------------------------


@cache
def _embedder() -> MeanPooled:
    return open_minilm()


def _ground(folder: Path, rows: Sequence[Row]) -> Ground:
    """A use case of these rows, in their order."""
    (folder / "data").mkdir(parents=True)
    names = json.dumps(sorted({label for _, label in banking("train")}))
    (folder / "usecase.toml").write_text(USECASE.format(labels=names), "utf-8")
    lines = (json.dumps({"input": {"question": text}, "expected": label}) for text, label in rows)
    (folder / "data" / "examples.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return prepare(open_project(folder))


def _points(interval: Interval | None) -> str:
    if interval is None:
        return "no interval"
    return f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


PARTS = {"noise": noise, "curve": curve, "label": label}
HEADS = {
    "noise": (
        f"Wrong labels in {ROWS:,} rows of BANKING77, points of accuracy",
        (
            "labels changed to",
            "share",
            "planted ones found",
            "--price, suspects",
            "--price, planted",
            "clean test, suspects",
            "clean test, planted",
            "clean test, planted put right",
        ),
    ),
    "curve": (
        "Learning curves of BANKING77: the predicted score against the one measured later",
        (
            "rows",
            "to learn from",
            "twice: in the interval",
            "mean error, points",
            "mean absolute error",
            "width",
            "four times: in the interval",
            "mean error",
            "mean absolute error",
            "width",
        ),
    ),
    "label": (
        "Labelling by the strategy of `data label` against labelling at random",
        ("examples", "learner", "labelled", "cases", "at random", "strategy", "difference, points", "suggests"),
    ),
}


def main(part: str = "") -> None:
    """Everything, each part in a process of its own."""
    if part:
        sys.stdout.write(json.dumps(PARTS[part]()))
        return
    found = {}
    for name in PARTS:
        run = [sys.executable, "-m", "benchmarks.price", name]
        found[name] = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
        sys.stderr.write(f"{name} done\n")
    write_part("price", "\n".join(page(found)))


def page(found: dict[str, list[list[str]]]) -> Iterator[str]:
    """Markdown."""
    yield "## What examples are worth"
    for name, (title, head) in HEADS.items():
        yield from ("", f"### {title}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}")
        yield from (f"| {' | '.join(row)} |" for row in found[name])


if __name__ == "__main__":
    main(*sys.argv[1:])
