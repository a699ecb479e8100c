"""name → implementation, loaded on first use. Built-ins use the same door as packages from outside.

A package adds an implementation with an entry point in the group `tuneworthy.<seam>`, e.g.

    [project.entry-points."tuneworthy.scorers"]
    my_scorer = "my_package.scoring:MyScorer"
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from tuneworthy.errors import TuneworthyError

BUILT_IN: dict[str, dict[str, str]] = {
    "models": {
        "scripted": "tuneworthy.models.scripted:open_scripted",
        "local": "tuneworthy.models.local:open_local",
        "openai_compatible": "tuneworthy.models.openai_compatible:open_endpoint",
    },
    "scorers": {
        "exact": "tuneworthy.scorers.exact:Exact",
        "classification": "tuneworthy.scorers.classification:Classification",
        "fields": "tuneworthy.scorers.fields:Fields",
        "json_exact": "tuneworthy.scorers.fields:JsonExact",
        "json_schema": "tuneworthy.scorers.json_schema:JsonSchema",
        "regex": "tuneworthy.scorers.regex:Regex",
        "contains": "tuneworthy.scorers.exact:Contains",
        "squad_f1": "tuneworthy.scorers.squad:SquadF1",
        "squad_em": "tuneworthy.scorers.squad:SquadExactMatch",
        "bleu": "tuneworthy.scorers.overlap:Bleu",
        "chrf": "tuneworthy.scorers.overlap:Chrf",
        "rouge_l": "tuneworthy.scorers.overlap:RougeL",
        "similarity": "tuneworthy.scorers.similarity:Similarity",
        "forbidden_words": "tuneworthy.scorers.style:ForbiddenWords",
        "length": "tuneworthy.scorers.style:Length",
        "vocabulary": "tuneworthy.scorers.style:Vocabulary",
        "reading_level": "tuneworthy.scorers.reading_level:ReadingLevel",
        "style_closeness": "tuneworthy.scorers.style_closeness:StyleCloseness",
        "groundedness": "tuneworthy.scorers.groundedness:Groundedness",
        "refusal": "tuneworthy.scorers.refusal:Refusal",
        "judge": "tuneworthy.scorers.judge:Judge",
        "latency": "tuneworthy.scorers.spending:Latency",
        "tokens": "tuneworthy.scorers.spending:Tokens",
        "cost": "tuneworthy.scorers.spending:Cost",
    },
    "retrievers": {
        "bm25": "tuneworthy.retrievers.bm25:Bm25",
        "dense": "tuneworthy.retrievers.dense:Dense",
        "hybrid": "tuneworthy.retrievers.hybrid:Hybrid",
    },
    "embedders": {
        "minilm": "tuneworthy.retrievers.embedders:open_minilm",
        "sentence_transformers": "tuneworthy.retrievers.embedders:open_sentence_transformers",
    },
    "engines": {
        "in_process": "tuneworthy.serving.engines:InProcess",
        "openai_compatible": "tuneworthy.serving.engines:Attached",
        "vllm": "tuneworthy.serving.vllm:Vllm",
        "llama_cpp": "tuneworthy.serving.llama_cpp:LlamaCpp",
    },
    "levers": {
        "prompt": "tuneworthy.levers.prompt:PromptLever",
        "few_shot": "tuneworthy.levers.few_shot:FewShotLever",
        "constrained": "tuneworthy.levers.constrained:ConstrainedLever",
        "classifier": "tuneworthy.levers.classifier:ClassifierLever",
        "rag": "tuneworthy.levers.rag:RagLever",
        "lora": "tuneworthy.levers.tuned:LoraLever",
        "rag_lora": "tuneworthy.levers.tuned:RagLoraLever",
        "full": "tuneworthy.levers.tuned:FullLever",
    },
}


def names(seam: str) -> list[str]:
    """Every known name of a seam, built-ins first, in the order of the ladder where there is one."""
    return [*BUILT_IN[seam], *sorted(_outside(seam))]


def load(seam: str, name: str) -> Any:
    """The implementation called `name`.

    Raises:
        TuneworthyError: the name is not known; the nearest known one is suggested.
    """
    target = BUILT_IN[seam].get(name)
    if target is None:
        point = _outside(seam).get(name)
        if point is not None:
            return point.load()
        near = get_close_matches(name, names(seam), n=1)
        raise TuneworthyError(
            f"there is no {seam.removesuffix('s')} called {name!r}",
            next=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names(seam))}",
        )
    module, attribute = target.split(":")
    return getattr(import_module(module), attribute)


@cache
def _outside(seam: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=f"tuneworthy.{seam}")}
