"""What a run's measured differences are worth, and whether the base model's licence allows the use: for the verdict.

Nothing here depends on the clock, so that equal runs give equal records; `tuneworthy plan` tells how old facts are.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tuneworthy.errors import TuneworthyError
from tuneworthy.ground import Ground
from tuneworthy.models.local import resolve
from tuneworthy.plan import licence, prices, terms
from tuneworthy.plan.break_even import Alternative, break_even
from tuneworthy.plan.euros import Have, euros, extra_per_month
from tuneworthy.plan.models import hub_name
from tuneworthy.plan.prices import Prices
from tuneworthy.plan.records import BreakEven, Figure, Licence, Scenario, estimate, product, unknown
from tuneworthy.records import Comparison
from tuneworthy.usecase import ModelChoice

_NO_CLOCK = dt.date.max
"""no row lies in the future of this day"""
TRAINED = {"lora": "lora", "rag_lora": "lora", "full": "full"}
"""lever → method"""


def worth(ground: Ground, comparisons: Sequence[Comparison]) -> BreakEven:
    """When each measured lever pays against the one it is held against, with what is there already paid for."""
    table = prices.load(ground.project.folder, today=_NO_CLOCK)
    found = alternatives(ground, comparisons, table)
    return break_even(found, ground.usecase.value, seed=ground.usecase.seed)


def alternatives(
    ground: Ground,
    comparisons: Sequence[Comparison],
    table: Prices,
    *,
    trained: tuple[Figure, Figure] | None = None,
) -> list[Alternative]:
    """Each measured lever with its cost, in the first registered contrast that it has: untrained levers against the
    prompt, trained ones against the best untrained lever.

    Args:
        trained: EUR once and per month of a trained lever; None = reckoned for rows and cases that are there and a
            training that is done.
    """
    first: dict[str, Comparison] = {}
    for comparison in comparisons:
        first.setdefault(comparison.candidate, comparison)
    found = []
    for lever, comparison in first.items():
        if comparison.difference is not None:
            planned = trained if lever in TRAINED else None
            once, monthly = planned or _costs(ground, lever, table)
            found.append(Alternative(lever, comparison.reference, comparison.difference, comparison.n, once, monthly))
    return found


def _costs(ground: Ground, lever: str, table: Prices) -> tuple[Figure, Figure]:
    """Once and per month, more than going on as before."""
    if lever in TRAINED:
        return _training_costs(ground, lever, table)
    if f"lever_{lever}" not in table.work:
        why = f"no work is assumed for {lever}"
        return unknown("EUR", why), unknown("EUR/month", why)
    once = product([table.assumed(f"lever_{lever}"), table.assumed("rate")], "EUR", "hours × rate")
    return once, estimate(0.0, "EUR/month", "served as the prompt is")


def _training_costs(ground: Ground, lever: str, table: Prices) -> tuple[Figure, Figure]:
    rows = len(ground.examples)
    scenario = Scenario(
        base=ground.usecase.model.base,
        method="full" if TRAINED[lever] == "full" else "lora",
        gpu="cpu",
        gpus=0,
        examples=Figure(value=rows, unit="examples", basis="measured", source="usable examples of this run"),
        epochs=1,
        tokens_per_example=unknown("tokens", "not needed here"),
    )
    have = Have(rows=rows, cases=len(ground.cases), cases_wanted=len(ground.cases))
    bill = euros(scenario, estimate(0.0, "h", "the training of this run is paid"), table, have=have)
    return bill.once, extra_per_month(bill)


def licence_of(ground: Ground, *, choice: ModelChoice | None = None, today: dt.date = dt.date.min) -> Licence | None:
    """The base model's licence through its lineage; None where the weights are not here and nothing is passed on.

    Args:
        choice: another model than the use case's.
        today: for the age of the terms; left out, nothing is said about it.
    """
    choice = choice or ground.usecase.model
    if choice.endpoint or choice.base == "scripted":
        return None
    use, wrote = ground.usecase.use, (example.provenance.model for example in ground.examples)
    return licence.resolve(
        choice.base if _folder(choice.base, choice, ground.project.folder) else hub_name(choice.base, _NO_CLOCK),
        use.model_copy(update={"teachers": tuple(dict.fromkeys([*use.teachers, *filter(None, wrote)]))}),
        find=lambda name: _folder(name, choice, ground.project.folder),
        book=terms.load(_NO_CLOCK),
        today=today,
        revision=choice.revision,
        data_licences=Counter(example.provenance.licence for example in ground.examples),
    )


def _folder(name: str, choice: ModelChoice, at: Path) -> Path | None:
    """Where a model's files lie; nothing is downloaded."""
    revision = choice.revision if name == choice.base else ""
    try:
        return resolve(choice.model_copy(update={"base": name, "revision": revision}), at)
    except TuneworthyError:
        return None


def _short(money: BreakEven) -> str:
    """Which number is missing; the record holds what to measure."""
    missing = {"value.right_answer_eur": money.value, "value.volume_per_month": money.volume}
    unsaid = [key for key, figure in missing.items() if figure.value is None]
    return f"{unsaid[0]} is not said" if unsaid else money.why_not


def unmeasured(money: BreakEven, held: Licence | None) -> tuple[str, ...]:
    """What the verdict has to say about both."""
    told = [] if money.possible else [f"the sum in euros ({_short(money)})"]
    if held is None:
        told.append("the licence of the base model (its weights are not here)")
    elif held.answer == "unknown":
        told.append(f"whether the licence allows this use ({held.questions[0]})")
    return tuple(told)
