"""The first lever: the instruction with the output contract, in a few honest phrasings."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from tuneworthy.levers.bench import Bench, fits, not_applicable
from tuneworthy.records import Candidate, LeverResult, Prompt
from tuneworthy.usecase import Output, UseCase


class PromptLever:
    """Three phrasings, and the other wordings that the user gave, on the development split; the best one is also what
    later levers build on."""

    name = "prompt"
    trains = False

    def propose(self, bench: Bench) -> tuple[Candidate | None, LeverResult]:
        """The best phrasing."""
        variants = {
            prompt.name: Candidate(
                lever=self.name, model=bench.sources.model.digest, prompt=prompt, decoding=bench.decoding
            )
            for prompt in phrasings(bench.usecase)
        }
        fitting = {name: candidate for name, candidate in variants.items() if fits(bench, candidate)}
        if not fitting:
            return not_applicable(self.name, "instruction, output contract and input do not fit the model's context")
        return bench.settle(self.name, fitting)


def phrasings(usecase: UseCase) -> tuple[Prompt, ...]:
    """Wordings that differ where models are known to be sensitive: order, explicit contract, reminder at the end."""
    contract = output_contract(usecase.output)
    short = _reminder(usecase.output)
    return (
        Prompt(name="plain", instruction=f"{usecase.instruction}\n{contract}".strip()),
        Prompt(name="reminded", instruction=f"{usecase.instruction}\n{contract}".strip(), reminder=short),
        Prompt(name="after", instruction=usecase.instruction, reminder=contract or short),
        *(
            Prompt(name=f"wording {number}", instruction=f"{text}\n{contract}".strip())
            for number, text in enumerate(usecase.wordings, start=1)
        ),
    )


def output_contract(output: Output) -> str:
    """What a right answer looks like, in words."""
    if output.kind == "label":
        return f"Answer with exactly one of these labels and nothing else.\nLabels: {', '.join(output.labels)}"
    if output.kind == "json":
        return f"Answer with one JSON object and nothing else. Keys: {_keys(output.json_schema or {})}"
    limit = f" in at most {output.max_chars} characters" if output.max_chars else ""
    return f"Answer{limit}." if limit else ""


def _reminder(output: Output) -> str:
    return {"label": "Label:", "json": "JSON:", "text": "Answer:"}[output.kind]


def _keys(schema: Mapping[str, JsonValue]) -> str:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return "as the schema says"
    return ", ".join(_key(name, spec) for name, spec in properties.items())


def _key(name: str, spec: JsonValue) -> str:
    if not isinstance(spec, dict):
        return name
    choices, meaning = spec.get("enum"), spec.get("description")
    if isinstance(choices, list):
        return f"{name} ({' | '.join(map(str, choices))})"
    return f"{name} ({meaning})" if isinstance(meaning, str) else name
