"""A simulated month, many times: how often does `watch` cry wolf, and when does it find what was planted?

    python -m benchmarks.drift [--quick]     about 4 minutes on two cores; writes its part of RESULTS.md

Statistics only: no model is asked. Two weeks of reference, then 30 days, looked at each evening as `watch` does.
Answers to tickets are drawn with lengths, unknown words, language, class and feedback; weekends are other than working
days.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from itertools import repeat

import numpy as np

from benchmarks.results import write_part
from tuneworthy.measure.statistics import wilson
from tuneworthy.watch import drift
from tuneworthy.watch.drift import Days
from tuneworthy.watch.report import FEEDBACK_LOOKS, feedback_alarm

START = date(2026, 1, 5)
"""a Monday"""
MONTH, PLANTED = 30, 10
"""days that are watched; the day, from 0, from which something is planted"""
CLASSES = np.array(["delivery", "invoice", "refund", "login", "damage", "other"])
SHARES = np.array([0.30, 0.25, 0.15, 0.12, 0.10, 0.08])
VOLUME = {"day": 200, "weekend": 80}
TOLD, RIGHT = 0.1, 0.9
"""share of answers with feedback, and share of it that says right"""
FEATURES = ("answer", "answer_chars", "input_chars", "input_words", "language", "unknown_words")


class Change:
    """What is planted: how strong each part is; 0 = nothing."""

    def __init__(self, **parts: float) -> None:
        self.parts = parts

    def __getitem__(self, name: str) -> float:
        return self.parts.get(name, 0.0)


def answers(rng: np.random.Generator, day: date, change: Change, volume: float) -> tuple[dict, tuple[int, int]]:
    """One day: feature → values, and (right, wrong) of the feedback."""
    weekend = day.weekday() >= 5
    n = rng.poisson(volume * (VOLUME["weekend"] if weekend else VOLUME["day"]) / VOLUME["day"])
    shares = SHARES.copy()
    if weekend:
        shares[[0, 1]] = shares[[1, 0]]
    moved = change["mix"] * shares[0]
    shares[0] -= moved
    shares[3] += moved
    shares[2] *= 1 - change["vanished"]
    shares /= shares.sum()
    label = rng.choice(CLASSES, n, p=shares)
    words = np.maximum(3, np.exp(rng.normal(3.6 + 0.1 * weekend, 0.5, n)) * (1 + change["longer"])).astype(int)
    chars = (words * rng.normal(5.6, 0.4, n)).astype(int)
    unknown = rng.binomial(words, np.clip(rng.beta(2, 38, n) + change["vocabulary"], 0, 1)) / words
    foreign = rng.random(n) < 0.02 + change["language"]
    language = np.where(foreign, rng.choice(["de", "fr", "nl"], n), "en")
    language = np.where(words < 8, "latin", language)
    answer_chars = np.char.str_len(label) + 40 + rng.integers(0, 3, n)
    told = rng.binomial(n, TOLD)
    right = rng.binomial(told, RIGHT - change["accuracy"])
    rows = {
        "answer": label.tolist(),
        "answer_chars": answer_chars.tolist(),
        "input_chars": chars.tolist(),
        "input_words": words.tolist(),
        "language": language.tolist(),
        "unknown_words": unknown.tolist(),
    }
    return rows, (int(right), int(told - right))


def month(seed: int, change: Change, volume: float) -> list[tuple[int, str]]:
    """(day from 0, what) of every alarm of one month."""
    rng = np.random.default_rng(seed)
    none = Change()
    before = [START + timedelta(days=n) for n in range(drift.REFERENCE_DAYS)]
    first = {day: answers(rng, day, none, volume) for day in before}
    watched = [before[-1] + timedelta(days=1 + n) for n in range(MONTH)]
    later = {d: answers(rng, d, change if n >= PLANTED else none, volume) for n, d in enumerate(watched)}
    reference, days = Days({d: v[0] for d, v in first.items()}), Days({d: v[0] for d, v in later.items()})
    said = {d: v[1] for d, v in {**first, **later}.items()}
    found = []
    for number, day in enumerate(watched):
        names = [a.what for a in drift.alarms(reference, days, day, FEATURES, more_looks=FEEDBACK_LOOKS)]
        looks = len(FEATURES) * len(drift.WINDOWS) + FEEDBACK_LOOKS
        names += [a.what for a in feedback_alarm(said, before, day, alpha=drift.level(looks))]
        found += [(number, name) for name in names]
    return found


PLANTS: list[tuple[str, str, list[float], Callable[[float], str]]] = [
    ("other class mix", "mix", [0.2, 0.4, 0.8], lambda s: f"{s:.0%} of the largest class turn to another"),
    ("longer inputs", "longer", [0.1, 0.25, 0.5], lambda s: f"{s:.0%} more words"),
    ("new vocabulary", "vocabulary", [0.02, 0.05, 0.1], lambda s: f"{100 * s:.0f} points more unknown words"),
    ("another language", "language", [0.03, 0.1, 0.3], lambda s: f"{100 * s:.0f} points more of it"),
    ("a class vanishes", "vanished", [0.5, 1.0], lambda s: f"{s:.0%} of a class of 15 %"),
    ("fewer right", "accuracy", [0.1, 0.2, 0.4], lambda s: f"{100 * s:.0f} points fewer, told by feedback"),
]


def _month(seed: int, parts: dict[str, float], volume: float) -> list[tuple[int, str]]:
    return month(seed, Change(**parts), volume)


def stable(pool: ProcessPoolExecutor, months: int, volume: float) -> str:
    found = list(pool.map(_month, range(months), repeat({}), repeat(volume), chunksize=4))
    counts = np.array([len(alarms) for alarms in found])
    some = wilson(int((counts > 0).sum()), months)
    half = 1.96 * counts.std(ddof=1) / months**0.5
    allowed = MONTH / drift.BUDGET_DAYS
    return (
        f"| {volume:.0f} | {months} | {counts.sum()} | {counts.mean():.3f} ({max(0, counts.mean() - half):.3f}–"
        f"{counts.mean() + half:.3f}) | {allowed:.3f} | {100 * some.value:.1f} % "
        f"({100 * some.low:.1f}–{100 * some.high:.1f}) |"
    )


def planted(pool: ProcessPoolExecutor, months: int, volume: float) -> list[str]:
    rows = []
    for what, part, strengths, told in PLANTS:
        for strength in strengths:
            each = list(pool.map(_month, range(9000, 9000 + months), repeat({part: strength}), repeat(volume)))
            first = [min((day for day, _ in alarms if day >= PLANTED), default=None) for alarms in each]
            waits = [day - PLANTED + 1 for day in first if day is not None]
            share = wilson(len(waits), months)
            when = f"{np.median(waits):.0f} ({np.quantile(waits, 0.9):.0f})" if waits else "not found"
            rows.append(
                f"| {what} | {told(strength)} | {when} | {100 * share.value:.0f} % "
                f"({100 * share.low:.0f}–{100 * share.high:.0f}) |"
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few months, nothing written")
    quick = parser.parse_args().quick
    started = time.perf_counter()
    with ProcessPoolExecutor() as pool:
        calm = [stable(pool, 8 if quick else months, v) for months, v in ((400, 200.0), (200, 50.0), (60, 1000.0))]
        rows = planted(pool, 4 if quick else 25, 200.0)
    text = "\n".join(
        [
            "## Watching: a simulated month",
            "",
            f"`python -m benchmarks.drift`. {drift.REFERENCE_DAYS} days of reference, {MONTH} days watched; "
            f"{len(FEATURES)} features on windows of {' and '.join(map(str, drift.WINDOWS))} days, and feedback; "
            f"budget one false alarm in {drift.BUDGET_DAYS} days. An alarm of one feature on one day counts as one.",
            "",
            "| answers a working day | stable months | false alarms | a month (95 %) | allowed | months with any |",
            "| ---: | ---: | ---: | ---: | ---: | ---: |",
            *calm,
            "",
            f"Planted on day {PLANTED + 1}, 200 answers a working day, 25 months each; days until the first alarm, the "
            "planted day being 1: median (90 %).",
            "",
            "| planted | strength | days until found | months found (95 %) |",
            "| --- | --- | ---: | ---: |",
            *rows,
        ]
    )
    print(text)
    print(f"{time.perf_counter() - started:.0f} s")
    if not quick:
        write_part("drift", text)


if __name__ == "__main__":
    main()
