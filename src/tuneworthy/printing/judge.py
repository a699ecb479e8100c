"""A judge held against people, and what people say of two arms."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from tuneworthy.measure.judged_pairs import JudgedPairs
from tuneworthy.measure.side_by_side import BlindKey, SideBySide
from tuneworthy.printing.console import MET, REFUSED, UNDECIDED, grid, limits_of, machine, next_step, people
from tuneworthy.records import Calibration, Interval
from tuneworthy.report.wording import NOT_MEASURED, percent, points, points_range, visible


def calibrated(found: Calibration, folder: Path, *, as_json: bool) -> int:
    """How far a judge agrees with people, and whether it may carry the bar; 3 when it may not."""
    console = people(as_json)
    left_out = [f"{n} {reason.replace('_', ' ')}" for reason, n in found.unscored.items()]
    left_out += [f"{found.split} on which people are split"] if found.split else []
    beside = f" (left out: {', '.join(left_out)})" if left_out else ""
    console.print(f"{found.n} answers judged by people ({found.right} right) and by the judge{beside}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in (("", "left"), ("value", "right"), ("95 % interval", "right"), ("", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for told, interval, meaning in _shares(found):
        value, limits = (percent(interval.value), limits_of(interval)) if interval else ("–", "")
        table.add_row(told, value, limits, meaning)
    kappa = found.kappa
    table.add_row(
        "kappa",
        f"{kappa.value:.2f}" if kappa else "–",
        f"{kappa.low:.2f}–{kappa.high:.2f}" if kappa else "",
        "agreement beyond chance" if kappa else "one of the two used one verdict only",
    )
    length = found.length_correlation
    table.add_row(
        "verdict and length",
        f"{length:+.2f}" if length is not None else "–",
        _p(found.length_p) if found.length_p is not None else "",
        "correlation among answers that people see alike" if length is not None else "no spread among such answers",
    )
    for arm, interval in found.arms.items():
        table.add_row(f"agreement on {visible(arm)}", percent(interval.value), limits_of(interval), "")
    console.print(table)
    for problem in found.problems:
        console.print(Text(f"✗ {visible(problem)}", style="red"))
    for warning in found.warnings:
        console.print(Text(f"! {visible(warning)}", style="yellow"))
    if found.problems:
        console.print("This judge may stand beside other scorers; it may not carry the bar.")
        next_step(console, "suite judge", folder, "after a better rubric or another model")
    else:
        console.print("This judge may carry the bar: scores are corrected for its errors.")
        next_step(console, "suite lock", folder, "freeze it")
    if as_json:
        machine(found)
    return REFUSED if found.problems else MET


def _shares(found: Calibration) -> list[tuple[str, Interval | None, str]]:
    first = f"of the verdicts that change; {_p(found.order_p)}" if found.first_preferred else "no verdict changes"
    obeys = "wrong answers that pass once they ask for it" if found.obeyed else NOT_MEASURED
    return [
        ("same verdict twice", found.same_again, "the same question asked again"),
        ("agreement", found.agreement, "same verdict as people"),
        ("right, by people", found.base_rate, "base rate"),
        ("right, by the judge", found.judged_right, ""),
        ("finds right ones", found.sensitivity, "sensitivity" if found.sensitivity else NOT_MEASURED),
        ("finds wrong ones", found.specificity, "specificity" if found.specificity else NOT_MEASURED),
        ("same in other order", found.order_kept, ""),
        ("first one preferred", found.first_preferred, first),
        ("obeys the answer", found.obeyed, obeys),
    ]


def drafted(count: int, path: Path, folder: Path, *, as_json: bool) -> None:
    """Where the answers to judge lie."""
    console = people(as_json)
    console.print(f"Written: {path} ({count} answers)", soft_wrap=True, markup=False)
    console.print("Fill in `right` (true or false), `why` and `by`; the arms have code names.")
    next_step(console, "suite judge", folder, "hold the judge against them", f"--labels {path}")
    if as_json:
        machine({"answers": str(path), "count": count})


def blind(key: BlindKey, path: Path, folder: Path, *, as_json: bool) -> None:
    """Where the pairs lie."""
    console = people(as_json)
    console.print(f"Written: {path} ({len(key.pairs)} pairs)", soft_wrap=True, markup=False)
    if key.identical:
        console.print(f"{key.identical} cases have the same answer in both arms: ties, not shown.")
    console.print('Fill in `better` ("one", "two" or "tie"), `why` and `by`; the order is drawn, the key lies apart.')
    arms = f"{key.reference} {key.candidate}"
    next_step(console, f"compare {arms}", folder, "count the votes", f"--votes {path}")
    if as_json:
        machine({"pairs": str(path), "count": len(key.pairs), "identical": key.identical})


def voted(found: SideBySide, folder: Path, file: Path, *, as_json: bool) -> int:
    """The votes; 0 when the candidate is preferred, 3 when the reference is, 4 when that cannot be told."""
    console, v = people(as_json), found.votes
    told = f"{found.pairs} pairs, {found.people} {'people' if found.people > 1 else 'person'}"
    console.print(f"{found.candidate} against {found.reference}, {told}", markup=False)
    share = f"{percent(v.share.value)} ({limits_of(v.share)})" if v.share else NOT_MEASURED
    console.print(f"preferred in {v.wins}, not in {v.losses}: {share} of the decisive pairs; {v.ties} ties")
    console.print(f"sign test over pairs: {_p(v.p)}, which speaks about these people")
    if found.by_person_p is not None:
        console.print(f"each person counted once: {_p(found.by_person_p)}, which speaks about others like them")
    for number, text in (
        (found.identical, "cases with the same answer in both arms"),
        (found.open, "pairs without a vote"),
        (found.split, "pairs on which people were evenly split, counted as ties"),
    ):
        if number:
            console.print(f"{number} {text}")
    for reason in found.reasons[:10]:
        console.print(Text(f"  {reason.for_arm or 'tie'}: {visible(reason.why)}", style="dim"))
    if len(found.reasons) > 10:
        console.print(Text(f"  … and {len(found.reasons) - 10} more reasons (--json has them all)", style="dim"))
    next_step(console, "suite judge", folder, "hold a pairwise judge against these votes", f"--labels {file}")
    if as_json:
        machine(found)
    if v.p >= 0.05:
        return UNDECIDED
    return MET if v.wins > v.losses else REFUSED


def pairs(found: JudgedPairs, folder: Path, *, as_json: bool) -> int:
    """Two arms before the judge; 0 when people would prefer the candidate, 3 the reference, 4 when nobody can tell."""
    console = people(as_json)
    same = f"; {found.identical} cases with the same answer left out" if found.identical else ""
    same += f"; {found.unanswered} cases left out that an arm did not answer" if found.unanswered else ""
    console.print(f"{found.candidate} against {found.reference}: {found.n} pairs, each asked in both orders{same}")
    turned = f" ({found.turned} turned with the order)" if found.turned else ""
    console.print(f"the judge prefers {found.candidate} in {found.wins}, {found.reference} in {found.losses}; "
                  f"{found.ties} ties{turned}")  # fmt: skip
    table = grid(("net preference", "left"), ("points", "right"), ("interval", "right"), ("", "left"))
    for name, interval, meaning in (
        ("the judge alone", found.by_judge, "uncorrected: do not use"),
        ("people, behind it", found.corrected, f"its errors on {found.labels} labelled pairs inside (Rogan-Gladen)"),
        ("people, with votes", found.powered, f"{found.voted} of these pairs voted on (prediction-powered)"),
    ):
        if interval is not None:
            table.add_row(name, points(interval.value), points_range(interval), meaning)
    console.print(table)
    console.print(f"{found.test}: {_p(found.p)}")
    for warning in found.warnings:
        console.print(Text(f"! {visible(warning)}", style="yellow"))
    if found.problem:
        console.print(Text(f"✗ No conclusion: {visible(found.problem)}", style="red"))
    console.print("Exploratory: what a judge says of two arms supports no verdict.")
    if found.powered is None:
        arms = f"{found.reference} {found.candidate}"
        next_step(console, f"compare {arms}", folder, "vote on 30 of these pairs to lean on people", "--blind FILE")
    if as_json:
        machine(found)
    sure, estimate = found.p < 1 - (found.people.level if found.people else 1), found.people
    if found.problem or estimate is None or not sure or estimate.low <= 0 <= estimate.high:
        return UNDECIDED
    return MET if estimate.value > 0 else REFUSED


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
