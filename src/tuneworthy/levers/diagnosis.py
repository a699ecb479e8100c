"""What the levers found, as interventions on the cases that the base fails."""

from __future__ import annotations

from tuneworthy.answering import Answerer
from tuneworthy.levers.bench import Bench
from tuneworthy.levers.constrained import constraints
from tuneworthy.levers.rag import without_shots
from tuneworthy.measure.diagnose import Diagnosis, Interventions, diagnose
from tuneworthy.records import Candidate


def diagnose_base(bench: Bench) -> Diagnosis | None:
    """Why the prompt alone fails on the development split; None without a prompt or without development cases."""
    base = bench.found.get("prompt")
    if base is None or not bench.dev:
        return None
    constrained, problem = _constrained(bench, base)
    interventions = Interventions(
        base=base,
        constrained=constrained,
        shots=bench.found.get("few_shot"),
        retrieved=without_shots(bench.found["rag"]) if "rag" in bench.found else None,
        levers={name: arm for name, arm in bench.dev_arms.items() if name != "prompt" and "/" not in name},
        trained=tuple(name for name in bench.dev_arms if name in bench.other_seeds),
        disputed=bench.disputed,
        why_not={"constrained": problem} if problem else {},
    )
    return diagnose(interventions, bench.dev, bench.sources, bench.yardstick, bench.project, on_progress=bench.tell)


def _constrained(bench: Bench, base: Candidate) -> tuple[Candidate | None, str]:
    """The base under the first constraint that its model can enforce, or why there is none."""
    if bench.usecase.output.kind == "text":
        return None, "free text has no shape to enforce"
    problems = []
    for constraint in constraints(bench.usecase.output).values():
        candidate = base.model_copy(update={"constraint": constraint})
        problem = bench.sources.model.constraint_problem(
            Answerer(candidate, bench.sources).request(bench.dev[0].input, ())
        )
        if not problem:
            return candidate, ""
        problems.append(problem)
    return None, "; ".join(problems)
