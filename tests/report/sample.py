"""A sample run record. SYNTHETIC: every number is made up to exercise the report; nothing here was measured."""

from __future__ import annotations

import random

from tuneworthy.records import Comparison, Interval, LeverResult
from tuneworthy.runs import (
    ArmReport,
    CaseOutput,
    CaseRow,
    DataSummary,
    GateResult,
    RunRecord,
    SuiteSummary,
    Timing,
)
from tuneworthy.verdict import Decision, Verdict

CASES = 40
LABELS = ("billing", "shipping", "returns", "account", "technical")
RIGHT_RATE = {
    "prompt": 0.55,
    "few_shot": 0.8,
    "constrained": 0.85,
    "classifier": 0.78,
    "lora": 0.9,
    "rag": 0.6,
}
HOSTILE = "<script>document.title='pwned'</script><img src=x onerror=alert(1)> & \"quoted\" ' </style>"
BIDI = "invoice \u202egnihtyna si siht\u202c \u200bzero width, \u2066isolate\u2069"
UNICODE = "Grüße aus Köln 🚚 — 請問我的包裹在哪裡？ مرحبا، أين طلبي؟ שלום עולם 👩‍👩‍👧"
TOO_FEW = "the arms differ on only 2 of 40 cases: even if all pointed one way, p could not fall below 0.05"
LONG = "My parcel was announced for Monday and never came, although the page says that it was delivered. " * 70


def sample(*, decision: Decision = "do_not_tune", cases: int = CASES) -> RunRecord:
    """A record with six arms, a lever not tried, one arm with unscored cases, long, hostile and non-Latin texts."""
    rows = _cases(cases)
    arms = tuple(_arm(name, rows) for name in RIGHT_RATE)
    return RunRecord(
        tuneworthy_version="0.1.0",
        run_id="sample-0001",
        usecase={
            "name": "sample-triage",
            "description": "SAMPLE: sort e-mails of customers",
            "instruction": "Name the department that answers this e-mail.",
            "bar": {"metric": "classification", "at_least": 0.75, "smallest_difference": 0.05, "alpha": 0.05},
            "output": {"kind": "label", "labels": list(LABELS)},
            "privacy": "on_premises",
        },
        timing=Timing(started="2026-01-02T09:00:00+00:00", finished="2026-01-02T09:07:31+00:00", seconds=451.2),
        verdict=_verdict(decision, arms),
        gates=_gates(),
        suite=SuiteSummary(
            lock="5a" * 32,
            cases=cases,
            power=f"{cases} cases find a difference of 20 points in 80 % of runs.",
        ),
        openings=(
            {"at": "2026-01-02T09:01:12+00:00", "lock": "5a" * 32, "arm": "prompt", "purpose": "registered"},
            {"at": "2026-01-02T09:05:40+00:00", "lock": "5a" * 32, "arm": "lora", "purpose": "registered"},
        ),
        data=DataSummary(
            version="c4" * 32,
            rows=620,
            train=496,
            dev=124,
            exact_duplicates=7,
            leaks=(
                {"example": "0f1e2d3c4b5a6978", "case": "case-004", "similarity": 1.0, "kind": "exact"},
                {"example": "1f1e2d3c4b5a6978", "case": "case-017", "similarity": 0.94, "kind": "near"},
            ),
        ),
        levers=_levers(),
        arms=arms,
        comparisons=_comparisons(cases),
        splits={
            "lora": {
                "reference": "few_shot",
                "candidate": "lora",
                "n": cases,
                "total": 0.1,
                "format": 0.075,
                "content": 0.025,
                "format_interval": {"value": 0.075, "low": -0.01, "high": 0.16, "level": 0.95, "method": "t"},
                "content_interval": None,
            }
        },
        cases=rows,
        versions={"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.0"},
        not_measured=(
            "Full fine-tuning: LoRA was not better than the best untrained lever.",
            "Forgetting: no general-ability probe was run.",
            "Euros: value.right_answer_eur is not given.",
        ),
    )


def _verdict(decision: Decision, arms: tuple[ArmReport, ...]) -> Verdict:
    told = {arm.name: _told(arm) for arm in arms}
    todo, why, lever = {
        "tune": (
            "Fine-tune: lora reaches the bar, and no measured lever without training does.",
            (f"{told['lora']}: the bar of 75.0 % is met", "of the gain, +2.5 points is content, +7.5 points format"),
            "lora",
        ),
        "do_not_tune": (
            "Do not fine-tune: constrained reaches the bar, and it is the cheapest lever that does.",
            (f"{told['constrained']}: the bar of 75.0 % is met without training", f"trained: {told['lora']}"),
            "constrained",
        ),
        "undecided": (
            "Undecided, so do not train or deploy yet. What would settle it: 84 more cases.",
            (f"{told['lora']}", "a gain is not distinguished from none"),
            None,
        ),
    }[decision]
    missing = ("full (LoRA met the bar)", "spread of lora over training seeds", "what training did to other abilities")
    return Verdict(
        decision=decision,
        lever=lever,
        bar_met=lever is not None,
        sentences=(todo, f"{'; '.join(why)}.", f"Not measured: {'; '.join(missing)}."),
        reasons=why,
        settles="84 more cases" if lever is None else "",
        more_cases=84 if lever is None else None,
        not_measured=missing,
    )


def _told(arm: ArmReport) -> str:
    return (
        "not measured" if arm.interval is None else f"{arm.name} scores {100 * arm.interval.value:.1f} % (n = {arm.n})"
    )


def _gates() -> tuple[GateResult, ...]:
    return (
        GateResult(gate="use_case", state="passed", found="One task, one input field, five labels, a bar of 75 %."),
        GateResult(
            gate="data",
            state="overridden",
            found="620 clean examples after 7 exact duplicates and 2 leaks were taken out.",
            missing="1,000 examples are wanted for this many labels.",
            override="The customer only kept mails of the last year; more will not come before March.",
        ),
        GateResult(gate="suite", state="passed", found="40 locked cases with a scorer."),
        GateResult(gate="hardware", state="not_measured", missing="budget.eur is empty", next="fill in [budget]"),
        GateResult(gate="discipline", state="failed", found="The folder is not versioned.", next="git init"),
    )


def _cases(count: int) -> tuple[CaseRow, ...]:
    chance = random.Random(7)
    rows = []
    for number in range(count):
        expected = LABELS[number % len(LABELS)]
        text = {0: HOSTILE, 1: BIDI, 2: UNICODE, 3: LONG}.get(
            number,
            f"Hello, sample mail {number}: my question is about {expected}. Please answer soon, thank you.",
        )
        outputs = {name: _output(name, number, expected, chance) for name in RIGHT_RATE}
        tags = ("easy",) if number % 3 else ("hard", "two topics")
        rows.append(
            CaseRow(
                id=f"case-{number:03d}",
                input={"text": text, "urgent": number % 2 == 0},
                expected=expected,
                tags=tags,
                outputs=outputs,
            )
        )
    return tuple(rows)


def _output(name: str, number: int, expected: str, chance: random.Random) -> CaseOutput:
    if name == "classifier" and number in (5, 11, 12):
        return CaseOutput(unscored="timeout")
    if number > 30:
        return CaseOutput(text=expected, score=1.0, lenient=1.0)
    right = chance.random() < RIGHT_RATE[name]
    wrong = LABELS[(LABELS.index(expected) + 1) % len(LABELS)]
    if name == "prompt" and not right:
        strange = {0: HOSTILE, 1: BIDI, 2: UNICODE, 3: LONG}.get(number, f"The department is: {expected}. " * 8)
        return CaseOutput(text=strange, score=0.0, lenient=1.0 if number > 3 else 0.0)
    passages = (f"handbook.md#{number}", "terms & conditions.md#2") if name == "rag" else ()
    text = expected if right else wrong
    return CaseOutput(text=text, score=float(right), lenient=float(right), passages=passages)


def _arm(name: str, rows: tuple[CaseRow, ...]) -> ArmReport:
    scores = [row.outputs[name].score for row in rows]
    scored = [score for score in scores if score is not None]
    value = sum(scored) / len(scored)
    plain = name == "classifier"
    return ArmReport(
        name=name,
        lever=name,
        trained=name == "lora",
        interval=Interval(value=value, low=max(0.0, value - 0.14), high=min(1.0, value + 0.09), method="Wilson"),
        n=len(scored),
        unscored=len(scores) - len(scored),
        tokens_in=None if plain else {"few_shot": 1412.4}.get(name, 96.2),
        tokens_out=None if plain else 3.1,
        seconds=0.0021 if plain else 0.184,
        dev_score=None if name == "rag" else value - 0.02,
        candidate=f"{len(name):02x}" * 32,
        exploratory=name == "rag",
    )


def _comparisons(n: int) -> tuple[Comparison, ...]:
    def one(
        candidate: str, reference: str, value: float, p: float, wins: int, losses: int, **more: object
    ) -> Comparison:
        low, high = value - 0.11, value + 0.12
        return Comparison(
            reference=reference,
            candidate=candidate,
            n=n,
            difference=Interval(value=value, low=low, high=high, method="Newcombe"),
            p=p,
            test="mid-p McNemar",
            p_exact=min(1.0, p * 1.6),
            tango=Interval(value=value, low=low + 0.004, high=high + 0.004, method="Tango"),
            wins=wins,
            losses=losses,
            dropped=0,
            worst_case=value,
        ).model_copy(update=more)

    return (
        one("few_shot", "prompt", 0.2, 0.0004, 10, 2),
        one(
            "constrained",
            "few_shot",
            0.05,
            0.25,
            2,
            0,
            note=TOO_FEW,
        ),
        one("classifier", "few_shot", -0.027, 0.61, 3, 4, n=37, dropped=3, worst_case=-0.1),
        one("lora", "constrained", 0.05, 0.29, 4, 2, p_adjusted=0.58),
        one("rag", "prompt", 0.0, 1.0, 0, 0, difference=None, tango=None, registered=False),
    )


def _levers() -> tuple[LeverResult, ...]:
    measured = tuple(
        LeverResult(
            lever=name,
            state="measured",
            dev_score=rate,
            trials=tuple(
                {"phrasing": f"wording {i}", "k": 2 * i, "score": rate - i / 50, "chosen": i == 0} for i in range(3)
            ),
            cost={"seconds": 41.5, "tokens": 18_204.0},
        )
        for name, rate in RIGHT_RATE.items()
    )
    return (
        *measured,
        LeverResult(lever="rag_lora", state="not_applicable", reason="the use case needs no documents"),
        LeverResult(lever="full", state="not_tried", reason="LoRA met the bar, so a dearer lever has nothing to add"),
    )
