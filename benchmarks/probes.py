"""The page of what training does beside the task, from the runs under build/probes: `python -m benchmarks.probes`.

python -m benchmarks.forgetting lora:0.002:0 full:0.0005:0 replay:0.0005:0 …          one to five minutes each
python -m benchmarks.forgetting lora:0.002:0:canaries full:0.0005:0:canaries
python -m benchmarks.facts 0
python -m benchmarks.probes                                                            writes the page

A part of the page whose runs are not there stays as it was.
"""

# ruff: noqa: E501 (sentences and table rows of a page)
from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tuneworthy.measure import canaries, pareto
from tuneworthy.measure.canaries import Exposed
from tuneworthy.measure.pareto import Setting
from tuneworthy.measure.statistics import crossed_interval, tango, unpaired_difference, wilson
from tuneworthy.records import Interval

RUNS = Path(__file__).parents[1] / "build" / "probes"
PAGE = Path(__file__).parents[1] / "docs" / "concepts" / "probes-measured.md"
NAMES = {"lora": "LoRA", "full": "full", "replay": "full with replay"}


class Look(NamedTuple):
    """One setting over its seeds."""

    method: str
    rate: float
    epoch: float
    scale: float
    task: tuple[float, ...]
    """development score by seed"""
    n: int
    """development cases"""
    kept: np.ndarray
    """right on the probe after training, shape (seeds, items)"""

    @property
    def called(self) -> str:
        scaled = f", scale {self.scale:g}" if self.scale != 1 else ""
        return f"rate {self.rate:g}, epoch {self.epoch:g}{scaled}"


def main() -> None:
    """Write the page."""
    text = "\n".join(
        [
            "# Measured: what training does beside the task",
            "",
            f"Written by `python -m benchmarks.probes` on {datetime.now(UTC):%Y-%m-%d} from runs with the pocket model "
            "(1.3 million parameters) on one CPU thread. It shows that the probes see what they should; how large the "
            "effects are with a model of billions of weights is not measured here.",
            "",
            *_or_as_it_stands(_forgetting()),
            *_or_as_it_stands(_canaries()),
            *_or_as_it_stands(_facts()),
        ]
    )
    PAGE.write_text(text.rstrip() + "\n", "utf-8")


def _or_as_it_stands(section: Iterator[str]) -> list[str]:
    """A part whose runs are not under build/probes stays on the page as it was measured before."""
    new = list(section)
    if "Not measured." not in new or not PAGE.exists():
        return new
    before = PAGE.read_text("utf-8").split("\n")
    start = before.index(new[0]) if new[0] in before else None
    if start is None:
        return new
    end = next((n for n in range(start + 1, len(before)) if before[n].startswith("## ")), len(before))
    return before[start:end]


# --- forgetting -----------------------------------------------------------------------------------


def _forgetting() -> Iterator[str]:
    yield "## LoRA, full and full with replay at the same task score"
    yield ""
    found = [json.loads(path.read_text()) for path in sorted(RUNS.glob("forgetting-*.json"))]
    if not found:
        yield "Not measured."
        return
    base = np.array(found[0]["base"], dtype=float)
    looks = list(_looks(found))
    yield (
        f"`ticket-triage`, {looks[0].n} development cases, all fields right; the probe of other abilities, "
        f"{base.size} items, of which the base has {100 * base.mean():.1f} %. Twelve epochs of 240 rows in batches of "
        "8, looked at every three; replay is a fifth of all rows, drawn anew for each batch from the generator of the "
        "pocket model's pretraining, with the same task rows. Differences to the base in points; intervals 95 %: paired "
        "by item (Tango) for one seed, over seeds and items (crossed) for more."
    )
    yield ""
    yield "| method | setting | seeds | task | other abilities | difference | on the front |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    settings = [(look, _setting(look, base)) for look in looks]
    fronts = {name: pareto.front([s for _, s in settings if s.method == name]) for name in NAMES.values()}
    for look, setting in settings:
        yield (
            f"| {setting.method} | {look.called} | {len(look.task)} | {_spread(look.task)} | "
            f"{100 * look.kept.mean():.1f} % | {_points(_difference(look.kept, base))} | "
            f"{'yes' if setting in fronts[setting.method] else ''} |"
        )
    yield ""
    yield from _matched(settings, base)


def _matched(settings: Sequence[tuple[Look, Setting]], base: np.ndarray) -> Iterator[str]:
    methods = {s.method for _, s in settings}
    best = min(max(s.task for _, s in settings if s.method == m) for m in methods)
    n = settings[0][0].n
    tolerance = math.sqrt(best * (1 - best) / n)
    found = pareto.matched([s for _, s in settings], tolerance=tolerance)
    if found is None:
        yield "Only one method was run, so nothing is compared."
        return
    chosen = {s.method: next(look for look, other in settings if other == s) for s in found.settings}
    yield (
        f"**At a task score of {100 * found.at_least:.1f} %** (the highest that all reach, less one standard error): "
        + "; ".join(f"{name} ({look.called}) {_points(_difference(look.kept, base))}" for name, look in chosen.items())
        + ". Between methods, item by item: "
        + "; ".join(
            f"{one} against {two} {_points(_between(chosen[one], chosen[two]))}"
            for one, two in (("LoRA", "full"), ("full with replay", "full"), ("LoRA", "full with replay"))
            if one in chosen and two in chosen
        )
        + ". The settings were chosen on the same items, which flatters each method a little."
    )
    yield ""


def _looks(found: Sequence[dict[str, Any]]) -> Iterator[Look]:
    groups: dict[tuple[str, float, int, float], list[dict[str, Any]]] = {}
    for run in found:
        for point in run["points"]:
            share = round(12 * point["step"] / run["steps"]) if run["stopped"] == "finished" else point["step"]
            groups.setdefault((run["method"], run["rate"], share, point["scale"]), []).append(point)
    for (method, rate, epoch, scale), points in sorted(
        groups.items(), key=lambda g: (list(NAMES).index(g[0][0]), g[0])
    ):
        yield Look(
            method,
            rate,
            epoch,
            scale,
            tuple(p["task"] for p in points),
            points[0]["n"],
            np.array([p["kept"] for p in points], dtype=float),
        )


def _setting(look: Look, base: np.ndarray) -> Setting:
    return Setting(
        method=NAMES[look.method],
        setting=look.called,
        task=float(np.mean(look.task)),
        kept=float(look.kept.mean() - base.mean()),
        seeds=len(look.task),
    )


def _difference(kept: np.ndarray, base: np.ndarray) -> Interval | None:
    return _interval(kept - base)


def _between(one: Look, two: Look) -> Interval | None:
    seeds = min(len(one.kept), len(two.kept))
    return _interval(one.kept[:seeds] - two.kept[:seeds])


def _interval(differences: np.ndarray) -> Interval | None:
    if len(differences) == 1:
        row = differences[0]
        return tango(int((row > 0).sum()), int((row < 0).sum()), row.size)
    return crossed_interval(differences)


# --- canaries -------------------------------------------------------------------------------------


def _canaries() -> Iterator[str]:
    yield "## Canaries at 1, 4 and 16 repeats"
    yield ""
    paths = sorted(RUNS.glob("canaries-*.json"))
    if not paths:
        yield "Not measured."
        yield ""
        return
    yield (
        "Six secrets of five digits at each count among the rows of `ticket-triage`, and six that are never trained on. "
        "Exposure in bits of 16.6 (exact, by enumeration of all 100,000; mean and range); out = the model writes the "
        f"secret when it is asked. A row is read once an epoch. A secret that was never seen has {canaries.UNSEEN_BITS:.2f} bits on average."
    )
    yield ""
    yield "| method | epoch | task | never seen | once | 4 times | 16 times | out: once | 4 | 16 |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    base = RUNS / "base-canaries.json"
    if base.exists():
        yield f"| base | – | – | {_exposed(json.loads(base.read_text()))} |"
    for path in paths:
        run = json.loads(path.read_text())
        for point in run["points"]:
            if "canaries" in point:
                epoch = round(12 * point["step"] / run["steps"])
                told = _exposed(point["canaries"])
                yield f"| {NAMES[run['method']]}, rate {run['rate']:g} | {epoch} | {100 * point['task']:.1f} % | {told} |"
    yield ""


def _exposed(rows: Sequence[Sequence[Any]]) -> str:
    levels = canaries.levels([Exposed(*row) for row in rows])
    bits = [f"{x.bits:.1f} ({x.lowest:.1f}–{x.highest:.1f})" for x in levels]
    out = [f"{round(x.extracted.value * x.n)} of {x.n}" for x in levels if x.repeats]
    return " | ".join([*bits, *out])


# --- facts ----------------------------------------------------------------------------------------


def _facts() -> Iterator[str]:
    yield "## Known and unknown facts"
    yield ""
    runs = [run for path in sorted(RUNS.glob("facts-*.json")) for run in json.loads(path.read_text())]
    if not runs:
        yield "Not measured."
        return
    seeds = sorted({run["seed"] for run in runs})
    n = runs[0]["n"]["held-out known, new wording"]
    yield (
        "After Gekhman et al. (arXiv 2405.05904). The pocket model was taught 800 facts about 200 invented people in "
        "three wordings until it answered every one it was asked (the study's base). Then it was tuned (full, rate 5e-4) "
        "on 300 facts in a wording that it had not seen, some of them about people it had never met, for 375 steps. "
        f"Held out: {n} facts that the base knows. Seeds: {', '.join(map(str, seeds))}. Exact answers, Wilson intervals "
        "of one seed; the harm is paired by fact (Tango) where single answers were kept, else unpaired (Newcombe), which is "
        "wider; before tuning the base has "
        f"{100 * runs[0]['before']['held-out known, new wording']:.1f} % in the new wording."
    )
    yield ""
    yield "| unknown among the rows | seed | known facts, early stop | at the end | same known rows alone, at the end | harm, points | taught wording, at the end | epoch at which 90 % are fitted: known | unknown |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for run in sorted((r for r in runs if r["with_unknown"]), key=lambda r: (r["share"], r["seed"])):
        alone = next(
            (r for r in runs if not r["with_unknown"] and (r["share"], r["seed"]) == (run["share"], run["seed"])), None
        )
        yield _fact_row(run, alone)
    yield ""
    yield "Early stop: after the epoch with the best score on 150 further known facts, out of every second epoch."
    yield ""
    over = list(_over_seeds(runs))
    if over:
        yield "Over seeds, mean and range (every seed draws its rows and holds other facts out):"
        yield ""
        yield from over
        yield ""


def _fact_row(run: dict[str, Any], alone: dict[str, Any] | None) -> str:
    name, taught = "held-out known, new wording", "held-out known, taught wording"
    n, history = run["n"][name], run["history"]
    early, last = max(history, key=lambda h: (h["dev"], -h["step"])), history[-1]
    cells = [
        f"{100 * run['share']:.0f} %",
        str(run["seed"]),
        f"{100 * early[name]:.1f} % (epoch {early['epoch']:.0f})",
        _share(last[name], n),
        _share(alone["history"][-1][name], n) if alone else "–",
        _points(_gap(run, alone)) if alone else "–",
        _share(last[taught], n),
        _fitted(history, "known rows fitted"),
        _fitted(history, "unknown rows fitted"),
    ]
    return f"| {' | '.join(cells)} |"


def _gap(run: dict[str, Any], alone: dict[str, Any]) -> Interval | None:
    """On the same facts at the end: paired by fact (Tango), or unpaired where older runs kept no single answers, which
    is wider than need be."""
    name = "held-out known, new wording"
    if "answers" in run and "answers" in alone:
        return _interval(np.array([run["answers"][name]], float) - np.array([alone["answers"][name]], float))
    n, shares = run["n"][name], [r["history"][-1][name] for r in (run, alone)]
    a, b = (np.arange(n) < round(share * n) for share in shares)
    return unpaired_difference(a.astype(float), b.astype(float))


def _over_seeds(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Shares with several seeds in a sentence each: mean and range, since every seed holds other facts out."""
    name = "held-out known, new wording"
    for share in sorted({run["share"] for run in runs}):
        ended = [r["history"][-1][name] for r in runs if r["share"] == share and r["with_unknown"]]
        if len(ended) < 2:
            continue
        alone = {r["seed"]: r["history"][-1][name] for r in runs if r["share"] == share and not r["with_unknown"]}
        harm = [
            r["history"][-1][name] - alone[r["seed"]]
            for r in runs
            if r["share"] == share and r["with_unknown"] and r["seed"] in alone
        ]
        told = f", harm {_range(harm)} points" if harm else ""
        yield f"- {100 * share:.0f} % unknown, {len(ended)} seeds: {_range(ended)} % at the end{told}"


def _range(values: Sequence[float]) -> str:
    return f"{100 * np.mean(values):.1f} ({100 * min(values):.1f} to {100 * max(values):.1f})"


def _fitted(history: Sequence[dict[str, Any]], name: str) -> str:
    return next((f"{h['epoch']:.0f}" for h in history if h.get(name, 0.0) >= 0.9), "–")


# --- words ----------------------------------------------------------------------------------------


def _share(value: float, n: int) -> str:
    i = wilson(round(value * n), n)
    return f"{100 * i.value:.1f} % ({100 * i.low:.1f} – {100 * i.high:.1f})"


def _points(interval: Interval | None) -> str:
    if interval is None:
        return "no interval"
    return f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def _spread(values: Sequence[float]) -> str:
    mean = f"{100 * sum(values) / len(values):.1f} %"
    return mean if len(values) == 1 else f"{mean} ({100 * min(values):.1f} – {100 * max(values):.1f})"


if __name__ == "__main__":
    main()
