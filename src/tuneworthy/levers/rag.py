"""Retrieval: passages of the user's documents in the prompt, with and without worked examples that show how to read."""

from __future__ import annotations

from typing import Literal

from tuneworthy.levers.bench import Bench, fits, not_applicable, not_tried
from tuneworthy.levers.few_shot import with_shots
from tuneworthy.records import Candidate, LeverResult, RetrieverRef

TOP_K = (1, 2, 4)
SHOTS: tuple[tuple[int, Literal["fixed", "nearest"]], ...] = ((2, "nearest"), (4, "fixed"))
"""Worked examples that are tried on the best retriever, each with its own passages: without them the rival of a trained
lever that reads would be a straw man."""


class RagLever:
    """Retriever, number of passages and worked examples on the development split, on top of the best phrasing."""

    name = "rag"
    trains = False

    def propose(self, bench: Bench) -> tuple[Candidate | None, LeverResult]:
        """The best retriever and number of passages that fit the context; then the same with worked examples."""
        if bench.project.docs is None:
            return not_applicable(self.name, 'the use case needs no documents (change.knowledge = "none")')
        prompt = bench.found.get("prompt")
        if prompt is None:
            return not_tried(self.name, "no prompt could be measured")
        kinds = ["bm25"] + (["dense", "hybrid"] if bench.sources.embedder else [])
        variants = {f"{kind}, {k} passages": self._candidate(bench, prompt, kind, k) for kind in kinds for k in TOP_K}
        fitting = {name: candidate for name, candidate in variants.items() if fits(bench, candidate)}
        if not fitting:
            return not_applicable(self.name, "not even one passage fits the model's context")
        if not bench.dev:
            return bench.settle(self.name, fitting)
        among = len(fitting) + len(SHOTS)
        found = bench.screen(fitting, among=among)
        if found.best is None:
            return found.failed(self.name)
        best = fitting[found.best]
        shown = {
            f"{found.best}, {name}": candidate
            for name, candidate in with_shots(bench, best, SHOTS, lever=self.name).items()
        }
        last = bench.screen({found.best: best, **shown}, among=among)
        winner = last.best or found.best
        return bench.adopt(self.name, {**fitting, **shown}[winner], [*found.trials, *last.trials[1:]], reason=winner)

    def _candidate(self, bench: Bench, prompt: Candidate, kind: str, top_k: int) -> Candidate:
        ref = RetrieverRef(name=kind, docs=bench.project.docs_digest, top_k=top_k)
        return prompt.model_copy(update={"lever": self.name, "retriever": ref})


def without_shots(candidate: Candidate) -> Candidate:
    """Passages alone: what training starts from (it shows more examples than a prompt holds), and what the diagnosis
    changes, one thing at a time."""
    return candidate.model_copy(update={"shots": None})
