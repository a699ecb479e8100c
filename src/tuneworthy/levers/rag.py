"""Retrieval: passages of the user's documents in the prompt."""

from __future__ import annotations

from tuneworthy.levers.bench import Bench, fits, not_applicable, not_tried
from tuneworthy.records import Candidate, LeverResult, RetrieverRef

TOP_K = (1, 2, 4)


class RagLever:
    """Retriever and number of passages on the development split, on top of the best phrasing."""

    name = "rag"
    trains = False

    def propose(self, bench: Bench) -> tuple[Candidate | None, LeverResult]:
        """The best retriever and number of passages that fit the context."""
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
        return bench.settle(self.name, fitting)

    def _candidate(self, bench: Bench, prompt: Candidate, kind: str, top_k: int) -> Candidate:
        ref = RetrieverRef(name=kind, docs=bench.project.docs_digest, top_k=top_k)
        return prompt.model_copy(update={"lever": self.name, "retriever": ref})
