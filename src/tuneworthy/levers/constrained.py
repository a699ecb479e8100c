"""Labels or a JSON Schema enforced while decoding: format without training."""

from __future__ import annotations

from tuneworthy.answering import Answerer
from tuneworthy.levers.bench import Bench, not_applicable, not_tried
from tuneworthy.records import Candidate, Constraint, LeverResult
from tuneworthy.usecase import Output


class ConstrainedLever:
    """The constraint on top of the better of prompt and few-shot."""

    name = "constrained"
    trains = False

    def propose(self, bench: Bench) -> tuple[Candidate | None, LeverResult]:
        """The best way of enforcing the output's shape."""
        if bench.usecase.output.kind == "text":
            return not_applicable(self.name, "free text has no shape to enforce")
        start = bench.better_of("prompt", "few_shot")
        if start is None:
            return not_tried(self.name, "neither prompt nor few-shot could be measured")
        variants, problems = self._supported(bench, bench.found[start])
        if not variants:
            return not_tried(self.name, "; ".join(problems))
        return bench.settle(self.name, variants, reason=f"on top of {start}")

    def _supported(self, bench: Bench, start: Candidate) -> tuple[dict[str, Candidate], list[str]]:
        variants, problems = {}, []
        for label, constraint in constraints(bench.usecase.output).items():
            candidate = start.model_copy(update={"lever": self.name, "constraint": constraint})
            row = bench.dev[0].input if bench.dev else {}
            request = Answerer(candidate, bench.sources).request(row, ())
            problem = bench.sources.model.constraint_problem(request)
            if problem:
                problems.append(f"{label}: {problem}")
            else:
                variants[label] = candidate
        return variants, problems


def constraints(output: Output) -> dict[str, Constraint]:
    """The constraints that fit an output, by what they do."""
    if output.kind == "label":
        return {
            "labels scored": Constraint(kind="labels", labels=output.labels, how="score"),
            "labels decoded": Constraint(kind="labels", labels=output.labels, how="decode"),
        }
    return {"schema enforced": Constraint(kind="json_schema", json_schema=output.json_schema)}
