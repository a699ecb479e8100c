"""Simulated projects: how often is the whole decision wrong? `python -m benchmarks.statistics` (--quick: only a look)

Each project has a known truth. Its arms are drawn case by case, then it goes the product's own way: reference chosen on
development cases → compare → evidence → decide. No model is asked. Writes docs/concepts/simulated-projects.md.

Traps are shown twice: as the product does it, and (in italics) without the guard that is made for them.
"""

from __future__ import annotations

import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuneworthy.data.near import leaks
from tuneworthy.evidence import ArmSummary, Evidence, Wordings
from tuneworthy.measure.compare import arm_interval, compare, format_and_content
from tuneworthy.measure.statistics import power_mcnemar, wilson
from tuneworthy.records import Answer, Arm, Candidate, Case, CaseResult, Comparison, Example, LeverResult, Score
from tuneworthy.usecase import Bar
from tuneworthy.verdict import Decision, decide

PAGE = Path(__file__).parents[1] / "docs" / "concepts" / "simulated-projects.md"
PROJECTS = 600
DEV = 60
"""development cases of each project"""
SMALLEST = 0.05
RIGHT = 0.7
"""share of the cases that the base answers rightly, where a truth does not say otherwise"""
MOST = 300
UNTRAINED = ("prompt", "few_shot", "constrained", "rag")
RANK = {"prompt": 0, "few_shot": 1, "constrained": 2, "rag": 4, "lora": 5, "rag_lora": 6, "full": 7}
NOT_APPLICABLE = (LeverResult(lever="constrained", state="not_applicable"),)

Flags = NDArray[np.bool_]
_RESULTS = {
    (strict, lenient): [
        CaseResult(
            case=f"c{i:03}",
            answer=Answer(text=f"{strict}{lenient}"),
            score=Score(value=float(strict)),
            lenient=Score(value=float(lenient)),
        )
        for i in range(MOST)
    ]
    for strict, lenient in ((False, False), (False, True), (True, True))
}


class Gain(NamedTuple):
    """An arm against the base: true difference, and the share of cases on which the two differ."""

    difference: float = 0.0
    discordance: float = 0.2


@dataclass(frozen=True)
class Truth:
    """What is true of a project."""

    gains: dict[str, Gain] = field(default_factory=lambda: {"few_shot": Gain(), "lora": Gain()})
    """arm → its content against the base's"""
    right: float = RIGHT
    bar: float | None = None
    """None: where arms with the base's rate clear the bar in half of the projects, so that a false `tune` is easiest"""
    broken: float = 0.0
    """share of answers of prompt and few-shot whose form is wrong: right when read leniently"""
    seeds: tuple[float, ...] = (0.0, 0.0, 0.0)
    """of each training seed: its true difference beside the gain; the first one is the candidate"""
    leaked: float = 0.0
    """share of the locked cases that the trained arm has seen: there it is right"""
    wrong: float = 0.0
    """share of expected outputs that are wrong, on development cases too"""
    learnt: bool = True
    """the errors are alike everywhere, so that training learns them; otherwise nobody can guess them"""
    audited: int = 0
    """random rows that a person judged"""
    facts: float | None = None
    """what the check for facts in the outputs finds"""
    missing: tuple[LeverResult, ...] = ()
    """levers without training that were not measured"""
    guarded: bool = True
    """False: without the other seeds and the development scores that the verdict asks for"""


class Drawn(NamedTuple):
    """Scores of one arm on locked and development cases, strict and lenient."""

    strict: Flags
    lenient: Flags
    dev: float


class Outcome(NamedTuple):
    """What became of one project."""

    decision: Decision
    contest: Comparison
    difference: float
    told: bool


class Row(NamedTuple):
    """One line of the table."""

    what: str
    cases: int
    projects: int
    decisions: Counter[Decision]
    told: int
    plan: float | None
    seen: float
    """mean of the differences seen, in score"""
    covered: int | None
    """projects whose interval of the difference holds the true one"""


# --- one project ---------------------------------------------------------------------------------


def project(truth: Truth, n: int, rng: np.random.Generator) -> Outcome:
    """Draw one project and decide it."""
    drawn = _draw(truth, n, rng)
    trained = [name for name in truth.gains if name not in UNTRAINED]
    untrained = [name for name in UNTRAINED if name in drawn]
    reference = max(untrained, key=lambda name: drawn[name].dev)  # ties go to the cheaper one, as in the ladder
    found = int(rng.binomial(truth.audited, truth.wrong))
    return decided(truth, n, drawn, untrained, trained, reference, wrong=found)


def decided(
    truth: Truth,
    n: int,
    drawn: dict[str, Drawn],
    untrained: Sequence[str],
    trained: Sequence[str],
    reference: str,
    *,
    wordings: Wordings | None = None,
    wrong: int = 0,
) -> Outcome:
    """Compare and decide, through the product's own functions."""
    arms = {name: _arm(name, drawn[name]) for name in [*untrained, *trained]}
    comparisons = tuple(compare(arms[reference], arms[name], binary=True) for name in trained)
    splits = tuple(split for name in trained if (split := format_and_content(arms[reference], arms[name])))
    bar = truth.bar if truth.bar is not None else wilson(truth.right * n, n).low
    evidence = Evidence(
        bar=Bar(metric="exact", at_least=bar, smallest_difference=SMALLEST),
        n_cases=n,
        arms=tuple(_summary(arms[name], drawn, truth) for name in [*untrained, *trained]),
        comparisons=comparisons,
        splits=splits,
        not_tried=(*truth.missing, *(() if "constrained" in drawn else NOT_APPLICABLE)),
        wordings=wordings,
        wrong_labels=wilson(wrong, truth.audited) if truth.audited else None,
        facts=truth.facts,
    )
    best = max(comparisons, key=lambda c: float(drawn[c.candidate].strict.mean()))
    difference = best.difference
    assert difference is not None
    return Outcome(decide(evidence).decision, best, difference.value, best.p < 0.05 and difference.low > 0)


def _draw(truth: Truth, n: int, rng: np.random.Generator) -> dict[str, Drawn]:
    base = rng.random(n + DEV) < truth.right
    form = rng.random(n + DEV) >= truth.broken
    content = {"prompt": base}
    for name, gain in truth.gains.items():
        content[name] = _like(base, gain, truth.right, rng)
    for number, shift in enumerate(truth.seeds):
        for name in [name for name in truth.gains if name not in UNTRAINED]:
            gain = truth.gains[name]
            one = _like(base, Gain(gain.difference + shift, gain.discordance), truth.right, rng)
            content[name if number == 0 else f"{name}/seed-{number}"] = one
    seen = rng.random(n + DEV) < truth.leaked
    seen[n:] = False  # a leak is between training rows and locked cases
    wrong = rng.random(n + DEV) < truth.wrong
    drawn = {}
    for name, right in content.items():
        trained = name.split("/")[0] not in UNTRAINED
        lenient = np.where(wrong, trained and truth.learnt, right | seen if trained else right)
        strict = lenient & form if name in ("prompt", "few_shot") else lenient
        drawn[name] = Drawn(strict[:n], lenient[:n], float(strict[n:].mean()))
    return drawn


def _like(base: Flags, gain: Gain, right: float, rng: np.random.Generator) -> Flags:
    """The base's answers, some of them flipped, so that difference and discordance are as asked for."""
    up = (gain.discordance + gain.difference) / 2 / (1 - right)
    down = (gain.discordance - gain.difference) / 2 / right
    dice = rng.random(base.size)
    return np.where(base, dice >= down, dice < up)


def _arm(name: str, drawn: Drawn) -> Arm:
    rows = tuple(
        _RESULTS[bool(s), bool(m)][i] for i, (s, m) in enumerate(zip(drawn.strict, drawn.lenient, strict=True))
    )
    return Arm(name=name, candidate=Candidate(lever=name, model="m"), cases="lock", results=rows)


def _summary(arm: Arm, drawn: dict[str, Drawn], truth: Truth) -> ArmSummary:
    own = [drawn[name] for name in drawn if name == arm.name or name.startswith(f"{arm.name}/")]
    trained = arm.name not in UNTRAINED
    seeds = tuple(float(one.strict.mean()) for one in own) if trained and truth.guarded else ()
    return ArmSummary(
        lever=arm.name,
        arm=arm.name,
        trained=trained,
        interval=arm_interval(arm, True),
        n=len(arm.results),
        seeds=seeds,
        dev_score=float(np.mean([one.dev for one in own])) if truth.guarded else None,
        cost_rank=RANK[arm.name],
    )


# --- many projects -------------------------------------------------------------------------------


def simulate(
    what: str, truth: Truth, n: int, *, seed: int, one: Callable[..., Outcome] = project, projects: int = 0
) -> Row:
    """Many projects of one truth; as many as the table takes where no number is given."""
    rng, projects = np.random.default_rng(seed), projects or PROJECTS
    outcomes = [one(truth, n, rng) for _ in range(projects)]
    gain = truth.gains.get("lora", Gain())
    plain = Truth(truth.gains, truth.right, truth.bar)
    alone = truth.gains.keys() <= {"lora"} and truth == plain
    alone = alone and one is project  # only there is the true difference of what was compared known
    held = [
        o.contest.difference.low <= gain.difference <= o.contest.difference.high
        for o in outcomes
        if o.contest.difference is not None
    ]
    return Row(
        what=what,
        cases=n,
        projects=projects,
        decisions=Counter(o.decision for o in outcomes),
        told=sum(o.told for o in outcomes),
        plan=power_mcnemar(n, gain.discordance, gain.difference) if alone else None,
        seen=float(np.mean([o.difference for o in outcomes])),
        covered=sum(held) if alone else None,
    )


def best_of_eight(truth: Truth, n: int, rng: np.random.Generator, *, on_dev: bool) -> Outcome:
    """Eight equal trained candidates: the best on development cases is opened, or the best on the locked ones shown."""
    drawn = _draw(Truth(gains={}, right=truth.right), n, rng)
    base = np.concatenate([drawn["prompt"].strict, rng.random(DEV) < truth.right])
    several = []
    for _ in range(8):
        right = _like(base, Gain(), truth.right, rng)
        several.append(Drawn(right[:n], right[:n], float(right[n:].mean())))
    picked = max(several, key=lambda one: one.dev if on_dev else float(one.strict.mean()))
    seeds = {f"lora/seed-{number}": several[number] for number in (1, 2)}  # all are equal, so any two are its seeds
    return decided(truth, n, {**drawn, "lora": picked, **seeds}, ["prompt"], ["lora"], "prompt")


def poor_wordings(truth: Truth, n: int, rng: np.random.Generator, *, guarded: bool, tried_ones: int = 3) -> Outcome:
    """Wordings differ by 12 points (one standard deviation). A few were tried, each on all development cases; training
    gives what the best of twenty would give."""
    rates = np.clip(0.6 + 0.12 * rng.standard_normal(20), 0.05, 0.95)
    tried = [rng.random(n + DEV) < rate for rate in rates[:tried_ones]]
    best = max(tried, key=lambda right: float(right[n:].mean()))
    several = [rng.random(n + DEV) < rates.max() for _ in range(3)]
    drawn = {"prompt": Drawn(best[:n], best[:n], float(best[n:].mean()))}
    for number, right in enumerate(several):
        drawn["lora" if number == 0 else f"lora/seed-{number}"] = Drawn(right[:n], right[:n], float(right[n:].mean()))
    found = Wordings(scores=tuple(float(right[n:].mean()) for right in tried), n=DEV) if guarded else None
    return decided(truth, n, drawn, ["prompt"], ["lora"], "prompt", wordings=found)


def leaked_project(truth: Truth, n: int, rng: np.random.Generator, *, kind: str, share: float) -> Outcome:
    """So many cases stand among the examples, as they are or in other words. What `leaks` finds is kept out of
    training, so only what it misses is known to the trained arm."""
    kept = left_after_the_guard(kind) if truth.guarded else 1.0
    return project(Truth(gains=truth.gains, leaked=share * kept, guarded=truth.guarded), n, rng)


@cache
def left_after_the_guard(kind: str, *, texts: int = 400) -> float:
    """Share of planted leaks that the product's own search does not find."""
    draw = random.Random(11)
    cases = [Case(id=f"c{i}", input={"text": _sentence(draw)}, expected="x") for i in range(texts)]
    planted = [_reworded(str(case.input["text"]), kind, draw) for case in cases[: texts // 2]]
    clean = [_sentence(draw) for _ in range(texts)]
    examples = [Example(input={"text": text}, expected="x") for text in [*planted, *clean]]
    found = {leak.example for leak in leaks(examples, cases)}
    return 1 - sum(example.name in found for example in examples[: len(planted)]) / len(planted)


_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "il")]


def _word(draw: random.Random) -> str:
    return "".join(draw.choice(_SYLLABLES) for _ in range(draw.randint(1, 3)))


def _sentence(draw: random.Random) -> str:
    return " ".join(_word(draw) for _ in range(draw.randint(10, 20)))


def _reworded(text: str, kind: str, draw: random.Random) -> str:
    words = text.split()
    if kind == "copied":
        return text.upper() if draw.random() < 0.5 else f"  {text} "
    share = {"one word in ten changed": 0.1, "in other words": 0.7}[kind]
    return " ".join(_word(draw) if draw.random() < share else word for word in words)


LEAKS = ("copied", "one word in ten changed", "in other words")


def rows() -> Iterator[tuple[str, list[Row]]]:
    """Heading → lines of the table."""
    lora = {"lora": Gain()}
    two = {"few_shot": Gain(), "lora": Gain()}
    three = {"few_shot": Gain(), "lora": Gain(), "rag_lora": Gain(), "full": Gain()}
    sizes = (30, 100, 300)
    yield (
        "No gain: every `tune` is false",
        [
            *(simulate("LoRA equals the prompt", Truth(lora), n, seed=n) for n in sizes),
            *(simulate("LoRA equals few-shot and prompt", Truth(two), n, seed=n + 1) for n in sizes),
            *(simulate("three trained levers, all equal", Truth(three), n, seed=n + 2) for n in sizes),
        ],
    )
    planted = [(n, d, psi) for d, psi in ((0.10, 0.2), (0.15, 0.3), (0.20, 0.3)) for n in sizes]
    yield (
        "A true gain: `tune` is right",
        [
            simulate(f"+{100 * d:.0f} points", Truth({"lora": Gain(d, psi)}, right=0.5, bar=0.52), n, seed=n + 3)
            for n, d, psi in planted
        ],
    )
    fixed = {"few_shot": Gain(), "constrained": Gain(0.0, 0.02), "lora": Gain(0.0, 0.1)}
    bare = {"few_shot": Gain(), "lora": Gain(0.0, 0.1)}
    yield (
        "A gain in format alone (30 % of the base's answers have the wrong form): every `tune` is false",
        [
            *(simulate("constrained decoding measured", Truth(fixed, 0.85, 0.7, 0.3), n, seed=n + 4) for n in sizes),
        ],
    )
    yield (
        "The same, where the model cannot be constrained: nothing else gives the format, and `tune` is right",
        [simulate("only training gives it", Truth(bare, 0.85, 0.7, 0.3), n, seed=n + 5) for n in sizes],
    )
    harm = {"few_shot": Gain(), "lora": Gain(-0.1, 0.2)}
    yield "Harm: every `tune` is false", [simulate("−10 points", Truth(harm), n, seed=n + 6) for n in sizes]
    facts = {"few_shot": Gain(), "rag": Gain(0.55, 0.6), "lora": Gain(0.0, 0.1), "rag_lora": Gain(0.55, 0.6)}
    yield (
        "Knowledge alone: passages give +55 points, training nothing; every `tune` is false",
        [simulate("retrieval measured", Truth(facts, right=0.35, bar=0.8, facts=0.9), n, seed=n + 10) for n in sizes],
    )
    both = {"few_shot": Gain(), "rag": Gain(0.3, 0.4), "lora": Gain(0.0, 0.1), "rag_lora": Gain(0.6, 0.6)}
    yield (
        "Knowledge and behaviour: passages give +30 points, training with them +60; `tune` is right",
        [simulate("rag_lora", Truth(both, right=0.35, bar=0.8, facts=0.9), n, seed=n + 11) for n in sizes],
    )
    yield (
        "Traps: every `tune` is false",
        [
            *(_eight(n, on_dev=True) for n in sizes),
            *(_eight(n, on_dev=False) for n in sizes),
            *(_leak(kind, 0.2, n) for kind in LEAKS for n in (100, 300)),
            *(_leak("in other words", 0.5, n) for n in (100, 300)),
            *(_leak("in other words", share, n, guarded=False) for share in (0.2, 0.5) for n in (100, 300)),
            *_lucky(sizes),
            *_straw_men(sizes),
            *_labels(sizes),
        ],
    )
    noise = Truth({"few_shot": Gain(), "lora": Gain(0.2, 0.3)}, 0.7, 0.8, wrong=0.25, learnt=False)
    yield (
        "One label in four wrong, nobody can guess how: training helps, and `do not tune` is false",
        [
            *(simulate("100 rows audited", replace(noise, audited=100), n, seed=n + 15) for n in sizes),
            *(simulate("*not audited*", noise, n, seed=n + 15) for n in sizes),
        ],
    )


def _lucky(sizes: Sequence[int]) -> Iterator[Row]:
    gains, seeds = {"few_shot": Gain(0, 0.25), "lora": Gain(0, 0.25)}, (0.1, -0.06, -0.04)
    for what, truth in (
        ("a lucky seed, three seeds measured", Truth(gains, seeds=seeds)),
        ("a lucky seed, the only one", Truth(gains, seeds=seeds[:1])),
        ("*a lucky seed, and nobody asks*", Truth(gains, seeds=seeds, guarded=False)),
    ):
        yield from (simulate(what, truth, n, seed=n + 9) for n in sizes)


def _straw_men(sizes: Sequence[int]) -> Iterator[Row]:
    """Few-shot would give what training gives, or another wording would."""
    alone = Truth({"lora": Gain(0.2, 0.3)}, right=0.5, bar=0.52)
    failed = (LeverResult(lever="few_shot", state="failed"),)
    for what, truth in (
        ("a straw man: few-shot failed, and would do as well", replace(alone, missing=failed)),
        ("*few-shot failed, and nobody asks*", alone),
    ):
        yield from (simulate(what, truth, n, seed=n + 12) for n in sizes)
    for what, tried, guarded in (
        ("a straw man: wordings differ by 12 points (SD), three tried", 3, True),
        ("the same, six tried", 6, True),
        ("the same, ten tried", 10, True),
        ("*three wordings tried, and nobody asks*", 3, False),
        ("*ten wordings tried, and nobody asks*", 10, False),
    ):
        one = partial(poor_wordings, guarded=guarded, tried_ones=tried)
        yield from (simulate(what, Truth({}, bar=0.62), n, seed=n + 13, one=one) for n in sizes)


def _labels(sizes: Sequence[int]) -> Iterator[Row]:
    """Errors that are learnt and rewarded; facts that training learns by heart, and that stand in the cases too."""
    wrong = Truth({"few_shot": Gain(), "lora": Gain()}, wrong=0.12, bar=0.6)
    heart = Truth({"few_shot": Gain(), "lora": Gain(0.5, 0.5)}, right=0.35, bar=0.7, facts=0.9)
    for what, truth in (
        ("12 % of the labels wrong alike everywhere, 100 rows audited", replace(wrong, audited=100)),
        ("*12 % wrong alike, not audited*", wrong),
        ("facts in the labels, learnt by heart", heart),
        ("*facts learnt by heart, and nobody asks*", replace(heart, facts=None)),
    ):
        yield from (simulate(what, truth, n, seed=n + 14) for n in sizes)


def _eight(n: int, *, on_dev: bool) -> Row:
    what = "best of 8 equal candidates, chosen on development cases" if on_dev else "*best of 8, chosen on the cases*"
    one = lambda t, k, rng: best_of_eight(t, k, rng, on_dev=on_dev)  # noqa: E731
    return simulate(what, Truth({}, guarded=on_dev), n, seed=n + 7, one=one)


def _leak(kind: str, share: float, n: int, *, guarded: bool = True) -> Row:
    part = {0.2: "one case in five", 0.5: "one case in two"}[share]
    what = f"{part} leaked, {kind}" if guarded else f"*{part} leaked, {kind}; no guard*"
    one = lambda t, k, rng: leaked_project(t, k, rng, kind=kind, share=share)  # noqa: E731
    return simulate(what, Truth({"few_shot": Gain(), "lora": Gain()}, guarded=guarded), n, seed=n + 8, one=one)


# --- the page ------------------------------------------------------------------------------------


def page(tables: Sequence[tuple[str, list[Row]]], seconds: float) -> str:
    """The page as Markdown."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "statsmodels"))
    lines = [
        "# Simulated projects",
        "",
        "How often is the whole decision wrong? Projects with a known truth, drawn case by case, go the product's own",
        "way: reference chosen on development cases, comparison, evidence, verdict. No model is asked.",
        "",
        f"Made by `python -m benchmarks.statistics` on {datetime.now(UTC):%Y-%m-%d} with tuneworthy "
        f"{version('tuneworthy')},",
        f"{libraries}, Python {platform.python_version()}; {PROJECTS} projects a line, {DEV} development cases each;",
        f"{seconds:.0f} s on one thread.",
        "",
        "All are shares of projects with their 95 % intervals (Wilson). *Told*: the gain over the reference is told",
        "from none (mid-p below .05 and Newcombe's lower limit above 0); *plan* is the power planned for that. `tune`",
        "asks for more: the whole interval of the arm at or above the bar, and what",
        "[how it decides](how-it-decides.md) lists.",
        "*Seen* is the mean difference that the projects saw, in points; *covered* the share of intervals that hold",
        "the true difference. Lines in italics show what happens without the product's guard. Without a gain the bar",
        "lies where an arm clears it in half of the projects: there a false `tune` is easiest.",
        "",
    ]
    left = [f"{100 * left_after_the_guard(kind):.0f} % of the leaks {kind}" for kind in LEAKS]
    for heading, found in tables:
        lines += [f"## {heading}", "", *_table(found), ""]
    lines += [
        f"The search for leaks leaves {', '.join(left)}:",
        "what is said in other words is not found by its characters. What catches it is the development split, whose",
        "rows share nothing with the training rows: a gain must be there as well. Where other words stand on both",
        "sides (the suite was drawn from the same rows) nothing does; only cases of elsewhere or a later time help.",
        "",
        "What the guards cannot see, or see badly. Three wordings do not tell how good a fourth would be: where they",
        "differ widely the verdict stays open, which catches a fifth to a third of these straw men and no more. What",
        "helps is to try more of them (`wordings` in usecase.toml): with ten, few are left. An instruction",
        "that is poor in all its wordings is not seen at all, and the verdict says that no other was tried. What",
        "labels are wrong alike everywhere is seen by an audit only; the verdict says where nobody looked.",
        "",
    ]
    return "\n".join(lines)


def _table(found: Sequence[Row]) -> Iterator[str]:
    yield "| truth | cases | tune | do not tune | undecided | told | plan | seen | covered |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in found:
        counts = [row.decisions["tune"], row.decisions["do_not_tune"], row.decisions["undecided"], row.told]
        yield (
            f"| {row.what} | {row.cases} | {' | '.join(_rate(k, row.projects) for k in counts)} "
            f"| {_percent(row.plan)} | {100 * row.seen:+.1f} | {_rate(row.covered, row.projects)} |"
        )


def _rate(count: int | None, n: int) -> str:
    if count is None:
        return "–"
    share = wilson(count, n)
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}–{100 * share.high:.1f})"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def main() -> None:
    """Simulate and write the page; with --quick a few projects a line, only printed."""
    global PROJECTS
    started, quick = time.perf_counter(), "--quick" in sys.argv
    if quick:
        PROJECTS = 6
    tables = list(rows())
    if quick:
        sys.stdout.write(f"{page(tables, time.perf_counter() - started)}\n")
        return
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(tables, time.perf_counter() - started), "utf-8")
    sys.stdout.write(f"Written: {PAGE} ({time.perf_counter() - started:.0f} s)\n")


if __name__ == "__main__":
    main()
