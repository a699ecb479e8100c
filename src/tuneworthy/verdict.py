"""The verdict: one pure function from what was measured to `tune`, `do_not_tune` or `undecided`.

    nothing scored, or too much unscored ─→ undecided
    fewer than 30 cases                  ─→ undecided
    the suite is not locked              ─→ undecided
    a lever without training meets it    ─→ do_not_tune: the cheapest such lever
    nothing was trained                  ─→ undecided
    the adapter changed no answer        ─→ undecided: not in effect
    no arm reaches the bar               ─→ do_not_tune: none
    (nor can any: the labels are wrong)  ─→ undecided
    a gain that pays is excluded         ─→ do_not_tune
    nothing speaks against training      ─→ tune
    else                                 ─→ undecided, with the number of cases that settles it

An arm has met the bar when its whole interval lies at or above it, and missed it when it lies below;
else it is unclear. Without measurements the verdict is always `undecided`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from tuneworthy.evidence import (
    ENOUGH_WORDINGS,
    ArmSummary,
    BarState,
    Evidence,
    Facts,
    cases_for_bar,
    cases_for_difference,
    cases_for_power,
    mean,
    p_of,
    percent,
    points,
    signed,
)
from tuneworthy.measure.retention import Retention
from tuneworthy.records import Comparison, LeverName, LeverResult, Record
from tuneworthy.traps import Obstacle, traps

__all__ = ["ArmSummary", "BarState", "Decision", "Evidence", "Retention", "Verdict", "decide"]

FEWEST_CASES = 30
TRAINED = ("lora", "rag_lora", "full")
"""levers that change weights: why they were not tried explains why nothing was trained"""

Decision = Literal["tune", "do_not_tune", "undecided"]


class Verdict(Record):
    """What to do, why, and what is not known."""

    decision: Decision
    lever: LeverName | None
    """do_not_tune: the lever that suffices; tune: the trained lever; None where there is none"""
    bar_met: bool
    """the lever named here meets the bar"""
    sentences: tuple[str, str, str]
    """what to do; why; what was not measured"""
    reasons: tuple[str, ...] = ()
    settles: str = ""
    """undecided: what would settle it"""
    more_cases: int | None = None
    """undecided: further cases that would settle it; None where cases alone do not"""
    not_measured: tuple[str, ...] = ()


def decide(evidence: Evidence) -> Verdict:
    """Apply the rules in the order of the module's drawing; the first that speaks decides.

    Raises:
        ValueError: a number is NaN or infinite; that is a defect upstream and must not become a verdict.
    """
    facts = Facts(evidence)
    for rule in _RULES:
        if (verdict := rule(facts)) is not None:
            return verdict
    return _open_questions(facts)


# --- the rules -----------------------------------------------------------------------------------


def _nothing_scored(facts: Facts) -> Verdict | None:
    if not facts.untrained and not any(arm.trained and arm.interval for arm in facts.evidence.arms):
        why = "no arm has a score with an interval"
        return _undecided(facts, [why], "measure at least the prompt on the suite")
    problem = facts.evidence.unscored_problem
    if problem:
        return _undecided(facts, [problem], "repair what could not be scored and measure again")
    return None


def _too_few_cases(facts: Facts) -> Verdict | None:
    have = facts.evidence.n_cases
    if have >= FEWEST_CASES:
        return None
    found, assuming = cases_for_power(facts)
    need = max(found, FEWEST_CASES)
    settles = (
        f"{FEWEST_CASES} cases open the gate; {need} find a difference of "
        f"{points(facts.bar.smallest_difference)} in {100 * facts.bar.power:.0f} % of trials, {assuming}"
    )
    why = f"the suite has {have} cases, fewer than {FEWEST_CASES}: too few to decide anything"
    return _undecided(facts, [why], settles, need - have)


def _suite_not_locked(facts: Facts) -> Verdict | None:
    e = facts.evidence
    if e.gates.get("suite") != "failed" or "suite" in e.overrides:
        return None
    why = "the suite is not locked, and cases that can still change prove nothing"
    return _undecided(facts, [why], "lock the suite, then run again")


def _cheaper_lever_suffices(facts: Facts) -> Verdict | None:
    met = [arm for arm in facts.untrained if arm.state(facts.bar) == "met"]
    if not met:
        return None
    lever, *others = met
    reasons = [f"{_told(lever)}: the bar of {percent(facts.bar.at_least)} is met without training"]
    if others:
        reasons.append(f"{', '.join(arm.lever for arm in others)} would do as well")
    if facts.best_trained is not None:
        reasons.append(f"trained: {_told(facts.best_trained)}")
    todo = f"Do not fine-tune: {lever.lever} reaches the bar, and it is the cheapest measured lever that does."
    return _verdict(facts, "do_not_tune", todo, reasons, lever=lever.lever, bar_met=True)


def _nothing_trained(facts: Facts) -> Verdict | None:
    if any(arm.trained and arm.interval for arm in facts.evidence.arms):
        return None
    bar, best = facts.bar, facts.best_untrained
    states = {arm.state(bar) for arm in facts.untrained}
    verb = "misses" if states == {"missed"} else "is shown to reach"
    subject = "every lever without training" if states == {"missed"} else "no lever without training"
    reasons = [f"{subject} {verb} the bar of {percent(bar.at_least)}"]
    reasons += [f"the best of them: {_told(best)}"] if best else []
    failed = _failed_gates(facts)
    reasons += [f"training did not happen: {why}" for why in [*failed.values(), *_untrained_because(facts)]]
    if not any(reason.startswith("training") for reason in reasons):
        reasons.append("no trained lever was measured")
    settles = [f"pass the gate {', '.join(failed)}, then train"] if failed else ["measure a trained lever"]
    more = cases_for_bar(facts, best) if best and best.state(bar) == "unclear" else None
    if best and more:
        settles.insert(0, f"{_more(more)} would show whether {best.lever} meets the bar, if its rate stays")
    return _undecided(facts, reasons, "; or ".join(settles), more)


def _adapter_not_effective(facts: Facts) -> Verdict | None:
    if facts.trained:
        return None
    names = ", ".join(facts.evidence.identical)
    why = f"{names} gave the same answer as the base model in every case: the adapter is not effective"
    return _undecided(facts, [why], "check that the adapter is loaded and was trained; then measure it again")


def _no_arm_reaches_the_bar(facts: Facts) -> Verdict | None:
    arms = [*facts.untrained, *facts.trained]
    if not facts.untrained or any(arm.state(facts.bar) != "missed" for arm in arms):
        return None
    closest = max(arms, key=mean)
    short, wrong = facts.bar.at_least - mean(closest), facts.evidence.wrong_labels
    if wrong is not None and 1 - wrong.value < facts.bar.at_least:
        blame = f"{percent(wrong.value)} of the expected outputs are wrong, so no lever can reach the bar"
        return _undecided(facts, [blame], "repair the outputs (tuneworthy data fix --reviewed), and measure again")
    reasons = [
        f"all {len(arms)} measured levers miss the bar of {percent(facts.bar.at_least)}",
        f"the closest, {_told(closest)}, falls {points(short)} short",
    ]
    reasons += [_contest_told(facts.contest)] if facts.contest else []
    why = facts.evidence.diagnosis
    told = f"Why the base fails, {why.sentence()}." if why and why.failed else "Why the base fails was not measured."
    todo = f"Do not fine-tune: no lever reaches the bar, with or without training. {told}"
    return _verdict(facts, "do_not_tune", todo, reasons)


def _gain_excluded(facts: Facts) -> Verdict | None:
    contest, trained, smallest = facts.contest, facts.best_trained, facts.bar.smallest_difference
    if contest is None or contest.difference is None or trained is None or contest.difference.high >= smallest:
        return None
    excluded = f"a gain of {points(smallest)}, the smallest that matters, is excluded"
    reasons, best = [_contest_told(contest), excluded], facts.best_untrained
    reasons += [f"{_told(best)}: the bar of {percent(facts.bar.at_least)} is not shown to be met"] if best else []
    todo = f"Do not fine-tune: {trained.lever} gains too little over {contest.reference}."
    return _verdict(facts, "do_not_tune", todo, reasons)


def _worth_tuning(facts: Facts) -> Verdict | None:
    trained, contest = facts.best_trained, facts.contest
    if trained is None or contest is None or any(_obstacles(facts)):
        return None
    reasons = [f"{_told(trained)}: the bar of {percent(facts.bar.at_least)} is met", _contest_told(contest)]
    if len(trained.seeds) > 1:
        reasons.append(f"the worst of {len(trained.seeds)} seeds scores {percent(min(trained.seeds))}")
    if facts.split is not None:
        s = facts.split
        parts = f"{signed(s.content)} is content, {signed(s.format)} format"
        reasons.append(f"of the gain over {s.reference}, {parts}")
    reasons += [f"gate {gate} was overridden: {why}" for gate, why in facts.evidence.overrides.items()]
    reasons += list(_beside_the_task(facts))
    todo = f"Fine-tune: {trained.lever} reaches the bar, and no measured lever without training does."
    return _verdict(facts, "tune", todo, reasons, lever=trained.lever, bar_met=True)


def _beside_the_task(facts: Facts) -> Iterator[str]:
    """What training did that the bar does not forbid, but that a person should know before deploying."""
    for name, r in _retentions(facts):
        if r.warning and r.margin is None:
            yield (
                f"beside the task, {name}: {_loss_told(r)}, told and not demanded (bar.largest_loss); "
                "load the adapter for this task only"
            )
    if facts.evidence.probes:
        told = list(facts.evidence.probes.warnings(files=False))
        if told:
            more = f", and {len(told) - 1} more to mind in the report" if told[1:] else ""
            yield f"beside the task, {told[0]}{more}"


_RULES: tuple[Callable[[Facts], Verdict | None], ...] = (
    _nothing_scored,
    _too_few_cases,
    _suite_not_locked,
    _cheaper_lever_suffices,
    _nothing_trained,
    _adapter_not_effective,
    _no_arm_reaches_the_bar,
    _gain_excluded,
    _worth_tuning,
)


def _open_questions(facts: Facts) -> Verdict:
    """Undecided: everything that speaks against `tune`, and what would settle each of it."""
    obstacles = list(_obstacles(facts))
    numbers = [o.more_cases for o in obstacles if o.more_cases is not None]
    more = max(numbers, default=None)
    settles = [o.settles for o in obstacles if o.settles]
    if more:
        settles.insert(0, f"{_more(more)}, if rates and differences stay as they are")
    settles = settles or ["no number of cases within reach: what was measured sits on the limit"]
    reasons = [*([_contest_told(facts.contest)] if facts.contest else []), *(o.reason for o in obstacles)]
    return _undecided(facts, reasons, "; ".join(dict.fromkeys(settles)), more)


# --- what speaks against training ----------------------------------------------------------------


def _obstacles(facts: Facts) -> Iterator[Obstacle]:
    """Every condition of `tune` that does not hold, for the best trained arm."""
    trained, contest = facts.best_trained, facts.contest
    if trained is None:
        return
    for why in _failed_gates(facts).values():
        yield Obstacle(why, "pass the gate, or override it in writing")
    yield from _about_bar(facts, trained)
    if contest is None:
        yield Obstacle(f"{trained.lever} was not compared with a lever without training", "compare them")
        return
    yield from _about_difference(facts, contest)
    yield from _about_rivals(facts, trained, contest)
    yield from _about_format(facts, trained)
    for part in facts.evidence.slices:
        if part.worse and (part.candidate, part.reference) == (contest.candidate, contest.reference):
            yield Obstacle(f"on the cases tagged {part.tag} (n = {part.n}) training loses", "examples like them")
    yield from traps(facts, trained, contest)
    yield from _about_other_abilities(facts)


def _about_bar(facts: Facts, trained: ArmSummary) -> Iterator[Obstacle]:
    state, bar = trained.state(facts.bar), percent(facts.bar.at_least)
    if state == "missed":
        yield Obstacle(f"{_told(trained)} misses the bar of {bar}", "a better lever, or a lower bar")
    elif state == "unclear":
        more = cases_for_bar(facts, trained)
        on_it = "" if more else "its score sits on the bar, which no number of cases resolves"
        yield Obstacle(f"{_told(trained)} may or may not meet the bar of {bar}", on_it, more)


def _about_difference(facts: Facts, contest: Comparison) -> Iterator[Obstacle]:
    bar, difference, p = facts.bar, contest.difference, p_of(contest)
    if not contest.registered:
        yield Obstacle("the comparison is exploratory, so it cannot support training", "register it, on new cases")
    if difference is None:
        yield Obstacle("the difference has no interval: no spread was seen", "cases that differ from each other")
        return
    smallest, more = bar.smallest_difference, cases_for_difference(facts, contest, difference)
    if p >= bar.alpha or difference.low <= 0:
        yield Obstacle("a gain is not told from none" + (f": {contest.note}" if contest.note else ""), "", more)
    if difference.value < smallest:
        yield Obstacle(f"the gain is below {points(smallest)}, the smallest that matters", "", more)
    shift = difference.value - contest.worst_case if contest.dropped else 0.0
    passes = difference.value >= smallest and difference.low > 0
    if passes and (difference.value - shift < smallest or difference.low - shift <= 0):
        yield Obstacle(f"the {contest.dropped} unscored cases could undo the gain", "score the unscored cases")


def _about_rivals(facts: Facts, trained: ArmSummary, contest: Comparison) -> Iterator[Obstacle]:
    """Nothing without training may come as close as the smallest difference, and no seed may fall behind."""
    best = facts.best_untrained
    if best is None:
        return
    if best.arm != contest.reference and mean(trained) - mean(best) < facts.bar.smallest_difference:
        yield Obstacle(f"{_told(best)} comes close without training", f"register {best.lever} as the reference")
    on_suite = trained.seeds_on == "suite"
    yardstick = mean(best) if on_suite else best.dev_score
    if trained.seeds and yardstick is not None and min(trained.seeds) < yardstick:
        yield Obstacle(
            f"the worst seed scores {percent(min(trained.seeds))}, below {best.lever} "
            f"({percent(yardstick)}, {'suite' if on_suite else 'development split'})",
            "a steadier recipe, or more examples",
        )


def _about_format(facts: Facts, trained: ArmSummary) -> Iterator[Obstacle]:
    """A gain in format alone is answered by constrained decoding, where that can be had."""
    smallest, split = facts.bar.smallest_difference, facts.split
    constrained = next((arm for arm in facts.untrained if arm.lever == "constrained"), None)
    if constrained is None and _state_of(facts, "constrained") == "not_applicable":
        return
    if split is None:
        if constrained is None:
            yield Obstacle("the gain was not split into format and content", "measure constrained decoding")
        return
    unsure = split.content_interval is not None and split.content_interval.low <= 0
    if not unsure and split.content >= smallest:
        return
    told = f"of the gain, {signed(split.content)} is content and {signed(split.format)} format (n = {split.n})"
    if constrained is None:
        yield Obstacle(f"{told}: format alone needs no training", "measure constrained decoding")
    elif mean(trained) - mean(constrained) < smallest:
        more = cases_for_bar(facts, constrained)
        yield Obstacle(f"{told}; {_told(constrained)} gives the same without training", "", more)


def _about_other_abilities(facts: Facts) -> Iterator[Obstacle]:
    """Only where the bar demands it (bar.largest_loss): every probe, that of the product and those of the user."""
    if facts.evidence.retention is None and facts.bar.largest_loss is not None:
        yield Obstacle("other abilities were not measured, and the bar limits their loss", "measure them")
    for name, r in _retentions(facts):
        if r.failing:
            yield Obstacle(
                f"{name}: {_loss_told(r)}; a loss of {points(r.margin or 0.0)} is not excluded",
                "a gentler adapter, or more probe cases",
            )


def _retentions(facts: Facts) -> list[tuple[str, Retention]]:
    e = facts.evidence
    found = [("other abilities", e.retention)] if e.retention else []
    return found + list(((e.probes and e.probes.files) or {}).items())


def _failed_gates(facts: Facts) -> dict[str, str]:
    e = facts.evidence
    failed = (gate for gate, state in e.gates.items() if state == "failed" and gate not in e.overrides)
    return {gate: f"the gate {gate} failed" for gate in failed}


def _untrained_because(facts: Facts) -> list[str]:
    results = (r for r in facts.evidence.not_tried if r.lever in TRAINED and r.state != "measured")
    return _by_reason(results, say_state=True)


def _state_of(facts: Facts, lever: LeverName) -> str:
    return next((result.state for result in facts.evidence.not_tried if result.lever == lever), "")


# --- words ---------------------------------------------------------------------------------------


def _verdict(
    facts: Facts,
    decision: Decision,
    todo: str,
    reasons: list[str],
    *,
    lever: LeverName | None = None,
    bar_met: bool = False,
    settles: str = "",
    more_cases: int | None = None,
) -> Verdict:
    missing = _not_measured(facts)
    last = f"Not measured: {'; '.join(missing)}." if missing else "Nothing that this verdict needs went unmeasured."
    return Verdict(
        decision=decision,
        lever=lever,
        bar_met=bar_met,
        sentences=(todo, f"Why{_level(facts)}: {'; '.join(reasons)}.", last),
        reasons=tuple(reasons),
        settles=settles,
        more_cases=more_cases,
        not_measured=missing,
    )


def _undecided(facts: Facts, reasons: list[str], settles: str, more_cases: int | None = None) -> Verdict:
    todo = f"Undecided, so do not train or deploy yet. What would settle it: {settles}."
    return _verdict(facts, "undecided", todo, reasons, settles=settles, more_cases=more_cases)


def _not_measured(facts: Facts) -> tuple[str, ...]:
    e = facts.evidence
    tried = {arm.lever for arm in e.arms} | {result.lever for result in e.not_tried}
    found = [] if e.arms else ["any lever"]
    found += [] if not e.arms or tried & {*TRAINED} or any(a.trained for a in e.arms) else ["a trained lever"]
    found += [f"gate {gate}" for gate, state in e.gates.items() if state == "not_measured"]
    found += [f"{arm.lever}: no interval" for arm in e.arms if arm.interval is None]
    found += [f"{arm.lever}: its adapter was not in effect" for arm in e.arms if arm.arm in e.identical]
    found += _by_reason(r for r in e.not_tried if r.state in ("not_tried", "failed"))
    trained = facts.best_trained
    if trained is not None:
        found += [] if "constrained" in tried else ["constrained"]
        dev = facts.best_untrained.dev_score if facts.best_untrained else None
        spread = len(trained.seeds) > 1 and (trained.seeds_on == "suite" or dev is not None)
        found += [] if spread else [f"spread of {trained.lever} over training seeds"]
        found += [] if facts.split else ["format and content of the gain"]
        found += [] if e.retention else ["what training did to other abilities"]
        found += [] if e.wrong_labels else ["how many expected outputs are wrong"]
        if e.wordings and len(e.wordings.scores) < ENOUGH_WORDINGS:
            found.append(f"instructions other than yours ({len(e.wordings.scores)} wordings tried)")
    return (*found, *e.unmeasured)


def _by_reason(results: Iterable[LeverResult], *, say_state: bool = False) -> list[str]:
    """Levers that were not measured for the same reason in one phrase: “lora, full (why)”."""
    levers: dict[tuple[str, str], list[str]] = {}
    for result in results:
        state = f" {result.state.replace('_', ' ')}" if say_state else ""
        levers.setdefault((state, result.reason), []).append(result.lever)
    return [", ".join(names) + state + (f" ({why})" if why else "") for (state, why), names in levers.items()]


def _told(arm: ArmSummary) -> str:
    """`lora scores 92.0 % (85.0 to 95.9, n = 100)`."""
    if arm.interval is None:
        return f"{arm.lever} has no score"
    low, high = f"{100 * arm.interval.low:.1f}", f"{100 * arm.interval.high:.1f}"
    return f"{arm.lever} scores {percent(arm.interval.value)} ({low} to {high}, n = {arm.n})"


def _loss_told(r: Retention) -> str:
    return f"{signed(r.interval.value)} (down to {signed(r.interval.low)}, n = {r.n})"


def _contest_told(contest: Comparison) -> str:
    who = f"{contest.candidate} against {contest.reference}, n = {contest.n}"
    if contest.difference is None:
        return f"{who}: no interval, {_p(contest)}"
    d = contest.difference
    return f"{who}: {signed(d.value)} ({100 * d.low:+.1f} to {100 * d.high:+.1f}), {_p(contest)}"


def _level(facts: Facts) -> str:
    levels = [arm.interval.level for arm in facts.evidence.arms if arm.interval]
    return f" ({100 * levels[0]:g} % intervals)" if levels else ""


def _p(contest: Comparison) -> str:
    p = p_of(contest)
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _more(cases: int) -> str:
    return f"{cases} more case{'s' * (cases > 1)}"
