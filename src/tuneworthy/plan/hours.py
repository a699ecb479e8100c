"""How long it takes: each arm of the ladder, from measured speed where there is a calibration, else from FLOPs.

    one training = steps × seconds per step + scorings × (checkpoint + answers × seconds per answer)
    an arm       = trainings (rates screened on a share of the steps, finalist, further seeds) + answers

FLOPs per token: 6 N full, 4 N LoRA (N active weights in matrices), + 2 N with recomputing, + attention
(evidence/operations, 6.3; evidence/performance, 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tuneworthy.plan.calibrate import MeasuredSpeed, Pace
from tuneworthy.plan.hardware import Device
from tuneworthy.plan.records import (
    Architecture,
    ArmHours,
    Figure,
    Hours,
    Method,
    estimate,
    total,
    unknown,
)
from tuneworthy.training.recipe import SCREENED, Recipe

OTHER_ANSWERS = 500
"""answers to about 100 questions of other abilities, at each of four adapter scales and once before"""
PHRASINGS, SHOTS, PASSAGES = 3, 7, 3
"""variants that the levers without training try"""
LONGER = {"prompt": 1.0, "few_shot": 4.0, "constrained": 1.0, "rag": 3.0}
"""how much longer the prompt of a lever is than the plain one, middle of a range from 1 to twice this"""
UTILISATION = (0.15, 0.30, 0.45)
"""share of the peak that training reaches: short rows, a usual stack, a tuned one (evidence/operations, 6.3)"""
PADDING = (1.0, 1.1, 1.3)
"""tokens computed over tokens there: rows of like length share a forward pass"""
BANDWIDTH_SHARE = 0.6
"""of the memory bandwidth that generating reaches"""
TOGETHER = (16, 4, 1)
"""answers generated at once: best, usual, worst"""


@dataclass(frozen=True)
class Amount:
    """What there is to do."""

    rows: int
    """to learn from"""
    dev: int
    """rows of the development split"""
    cases: int
    row_tokens: Figure
    """prompt and answer of one row"""
    answer_tokens: Figure
    """the answer of one row"""
    recipe: Recipe
    rates: int
    """learning rates that are screened"""
    seeds: int
    dev_calls: int
    documents: bool

    @property
    def steps(self) -> int:
        return self.recipe.steps(self.rows)

    @property
    def scorings(self) -> int:
        """Checkpoints of one training, each answered on the development split."""
        return len(self.recipe.checkpoint_steps(self.rows))


def hours(amount: Amount, pace: dict[Method, Pace], planned: Method, *, full: bool) -> Hours:
    """Hours of each arm and of everything.

    Args:
        pace: method → how fast; `inference` answers, the others train.
        full: whether the ladder would reach full fine-tuning.
    """
    method: Method = planned if planned != "inference" else "lora"
    arms = [_untrained(lever, amount, pace["inference"]) for lever in _levers(amount)]
    trained: list[tuple[str, Method]] = [("lora", method if method != "full" else "lora")]
    trained += [("rag_lora", "lora")] if amount.documents else []
    trained += [("full", "full")] if full or planned == "full" else []
    arms += [_trained(lever, amount, pace, how) for lever, how in trained]
    one = one_training(amount, pace, method)
    return Hours(
        arms=tuple(arms),
        one_training=one,
        ladder=total([arm.hours for arm in arms], "h", "sum of the arms"),
        tokens_per_second=_speed(amount, pace[method]),
    )


def one_training(amount: Amount, pace: dict[Method, Pace], method: Method, *, share: float = 1.0) -> Figure:
    """Hours of one training with its scored checkpoints, or of the first `share` of its steps."""
    how = pace[method]
    if how.step.value is None or how.answer.value is None:
        return unknown("h", how.step.source if how.step.value is None else how.answer.source)
    steps = math.ceil(share * amount.steps)
    marks = max(1, round(share * amount.scorings))
    scoring = total([how.answer.times(amount.dev, "s"), how.checkpoint], "s", "a scored checkpoint")
    parts = [how.step.times(steps, "s"), scoring.times(marks, "s")]
    source = f"{steps:,} steps × seconds per step + {marks} scored checkpoints ({how.step.source})"
    return total(parts, "s", source).times(1 / 3600, "h")


def _levers(amount: Amount) -> list[str]:
    return ["prompt", "few_shot", "constrained", *(["rag"] if amount.documents else [])]


def _untrained(lever: str, amount: Amount, pace: Pace) -> ArmHours:
    variants = {"prompt": PHRASINGS, "few_shot": SHOTS, "constrained": 1, "rag": PASSAGES}[lever]
    tried = min(amount.dev, max(20, amount.dev_calls // variants)) if variants > 1 else 0
    answers = variants * tried + amount.dev + amount.cases
    longer = LONGER[lever]
    each = _stretched(pace.answer, longer)
    return ArmHours(lever=lever, hours=_worth(answers, each), trainings=0.0, answers=answers)


def _stretched(answer: Figure, longer: float) -> Figure:
    """Seconds per answer with a longer prompt: from as long as a plain one to twice as much longer."""
    if answer.value is None or longer == 1.0:
        return answer
    low = answer.value if answer.low is None else answer.low
    high = answer.value if answer.high is None else answer.high
    return estimate(
        answer.value * (1 + longer) / 2, "s", f"{answer.source}; prompts up to {2 * longer:g} times as long",
        low=low, high=high * 2 * longer,
    )  # fmt: skip


def _trained(lever: str, amount: Amount, pace: dict[Method, Pace], how: Method) -> ArmHours:
    trainings = SCREENED * amount.rates + (1 - SCREENED) + amount.seeds - 1
    answers = 4 * amount.dev + OTHER_ANSWERS + amount.seeds * amount.cases
    one = one_training(amount, pace, how)
    # Fewer where training stops early (no better score after three of its checkpoints), more with one further rate.
    early = min(1.0, 3 / amount.scorings)
    training = one if one.value is None else estimate(
        one.value * trainings,
        "h",
        f"{trainings:.1f} trainings of {one.value:.2f} h: {amount.rates} rates on {SCREENED:.0%} of the steps, "
        f"{amount.seeds} seeds",
        low=(one.value if one.low is None else one.low) * trainings * early,
        high=(one.value if one.high is None else one.high) * (trainings + SCREENED),
    )  # fmt: skip
    return ArmHours(
        lever=lever,
        hours=total([training, _worth(answers, pace["inference"].answer)], "h", training.source),
        trainings=trainings,
        answers=answers,
    )


def _worth(answers: int, each: Figure) -> Figure:
    return each.times(answers / 3600, "h", source=f"{answers:,} answers ({each.source})")


def _speed(amount: Amount, pace: Pace) -> Figure:
    """Tokens trained on per second."""
    step, row = pace.step, amount.row_tokens
    if step.value is None or row.value is None or step.value <= 0:
        return unknown("tokens/s", step.source if step.value is None else row.source)
    tokens = amount.recipe.batch_size * row.value
    low = None if step.high is None else tokens / step.high
    high = None if not step.low else tokens / step.low
    source = f"rows of a step × tokens of a row / seconds of a step ({step.source})"
    both = low is not None and high is not None
    return estimate(tokens / step.value, "tokens/s", source, low=low if both else None, high=high if both else None)


# --- pace -----------------------------------------------------------------------------------------


def flop_per_token(model: Architecture, method: Method, length: float, *, rank: int = 16, recompute: bool) -> float:
    """Floating-point operations for one trained token."""
    matrices = model.active - model.vocabulary * model.hidden * (1 if model.tied else 2)
    attention = 2 * length * model.heads * model.head_dim * model.layers  # forward, causal: half of all pairs
    if method == "full":
        return 6 * matrices + 3 * attention + (2 * matrices + attention if recompute else 0)
    adapters = rank * model.lora_width
    forward = 2 * (matrices + adapters) + attention
    return 4 * matrices + 6 * adapters + 3 * attention + (forward if recompute else 0)


def from_flop(model: Architecture, device: Device, method: Method, amount: Amount, *, recompute: bool) -> Pace:
    """Pace of a device that nobody measured: FLOPs over its published (CPU: measured) peak, with a wide range."""
    peak, row, answer = device.tflops, amount.row_tokens, amount.answer_tokens
    if peak.value is None or row.value is None or answer.value is None:
        why = peak.source if peak.value is None else row.source
        return Pace(step=unknown("s", why), checkpoint=unknown("s", why), answer=unknown("s", why))
    tokens = amount.recipe.batch_size * row.value
    work = tokens * flop_per_token(model, method, row.value, rank=amount.recipe.r, recompute=recompute)
    used = UTILISATION if device.gpus else (0.3, 0.6, 0.9)  # a CPU's peak is measured on one matrix product
    per_second = peak.value * 1e12 * max(1, device.gpus)
    spread = _spread(row)
    step = estimate(
        work * PADDING[1] / (per_second * used[1]),
        "s",
        f"FLOPs / ({device.name}: {peak.value:.3g} TFLOP/s × {used[1]:.0%})",
        low=work * PADDING[0] * spread[0] / (per_second * used[2]),
        high=work * PADDING[2] * spread[1] / (per_second * used[0]),
    )
    return Pace(
        step=step,
        checkpoint=estimate(0.0, "s", "writing a checkpoint: left out"),
        answer=_answer(model, device, amount),
    )


def _spread(figure: Figure) -> tuple[float, float]:
    """Its range as shares of its value."""
    if not figure.value or figure.low is None or figure.high is None:
        return 1.0, 1.0
    return figure.low / figure.value, figure.high / figure.value


def _answer(model: Architecture, device: Device, amount: Amount) -> Figure:
    """Seconds per answer: the prompt is bound by arithmetic, each generated token by reading all weights."""
    row, out = amount.row_tokens.value or 0.0, amount.answer_tokens.value or 0.0
    matrices = model.active - (0 if model.tied else model.vocabulary * model.hidden)
    peak = (device.tflops.value or 0.0) * 1e12 * max(1, device.gpus)
    used = UTILISATION if device.gpus else (0.3, 0.6, 0.9)
    bandwidth = device.bandwidth.value
    if bandwidth is None:
        return unknown("s", device.bandwidth.source)
    prompt = 2 * matrices * row / peak
    reading = (2 if device.gpus else 4) * matrices / (bandwidth * 1e9 * BANDWIDTH_SHARE * max(1, device.gpus))
    low, middle, high = (
        prompt / use + out * reading / batch for use, batch in zip(reversed(used), TOGETHER, strict=True)
    )
    return estimate(
        middle, "s", f"prompt by FLOPs, answer by memory bandwidth of {device.name}, {TOGETHER[1]} at a time",
        low=low, high=high,
    )  # fmt: skip


def from_calibration(found: MeasuredSpeed, model: Architecture | None, amount: Amount) -> dict[Method, Pace]:
    """Measured pace. A method that was not measured is put in proportion to one that was, by its FLOPs."""
    paces: dict[Method, Pace] = {"inference": Pace.answering(found.answer)}
    lora, full = found.pace("lora"), found.pace("full")
    for method in ("lora", "qlora", "full"):
        own = found.pace(method)
        near = own or lora or full
        if near is None:
            why = "not calibrated: tuneworthy plan --calibrate"
            paces[method] = Pace(step=unknown("s", why), checkpoint=unknown("s", why), answer=found.answer)
        elif own is not None or model is None or amount.row_tokens.value is None:
            paces[method] = near
        else:
            measured: Method = "lora" if lora else "full"
            length = amount.row_tokens.value
            ratio = flop_per_token(model, method, length, recompute=False) / flop_per_token(
                model, measured, length, recompute=False
            )
            paces[method] = near.scaled(ratio, f"{measured} was measured; {method} by FLOPs")
    return paces
