"""What can be told of a live answer without keeping a word of it: sizes, language, unknown words, classes, scores.

These numbers are what drift is looked for in, so watching needs no content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from tuneworthy.data import near, version
from tuneworthy.data.checks.language import language
from tuneworthy.errors import TuneworthyError
from tuneworthy.project import Project
from tuneworthy.records import Case, Input
from tuneworthy.release.package import Release
from tuneworthy.scorers.open import open_scorers
from tuneworthy.seams import Scorer
from tuneworthy.usecase import Output

MOST = 4000
"""characters of a text that are looked at: no request may keep the others waiting"""
ASKS_A_MODEL = ("judge", "similarity", "style_closeness")
"""scorers that ask a model or embed: too dear for every live answer"""

_WORD = re.compile(r"[^\W\d_]{2,}")


def words(text: str) -> list[str]:
    """Words of two letters or more, casefolded."""
    return _WORD.findall(text.casefold())


@dataclass
class Looker:
    """Looks at answers of one release."""

    output: Output
    vocabulary: frozenset[str]
    """words of the examples that were learned from"""
    scorers: Sequence[Scorer] = field(default=())
    """scorers of the suite that need no expected output"""

    def measured(self, row: Input, answer: str) -> dict[str, JsonValue]:
        """Numbers and classes; nothing that a text could be told from."""
        text = near.input_text(row)
        found = words(text[:MOST])
        unknown = sum(word not in self.vocabulary for word in found) / len(found) if found else None
        return {
            "input_chars": len(text),
            "input_words": len(text.split()),
            "language": language(text[:1000]),
            **({"unknown_words": round(unknown, 4)} if unknown is not None and self.vocabulary else {}),
            "answer_chars": len(answer),
            **self._classes(answer),
        }

    def scores(self, row: Input, answer: str) -> dict[str, float]:
        """Scorer → value, of those that can judge without knowing what was expected."""
        case = Case(id="live", input=dict(row))
        found = {scorer.name: scorer.score(case, answer).value for scorer in self.scorers}
        return {name: value for name, value in found.items() if value is not None}

    def _classes(self, answer: str) -> dict[str, JsonValue]:
        """What was answered, where the use case lists what can be: a label, or the fields of a schema with an enum."""
        if self.output.kind == "label":
            return {"answer": answer if answer in self.output.labels else "not a label"}
        if self.output.kind != "json":
            return {}
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            value = None
        fields = value if isinstance(value, dict) else {}
        return {f"answer.{name}": _listed(fields.get(name), allowed) for name, allowed in _enums(self.output).items()}


def open_looker(project: Project, release: Release) -> Looker:
    """The looker of a release. Without the examples that it learned from, its vocabulary is that of its cases."""
    try:
        rows: Sequence[Any] = version.load(release.manifest.data_version, project.versions)
    except TuneworthyError:
        rows = release.cases
    known = frozenset(word for row in rows for word in words(near.input_text(row.input)))
    return Looker(release.usecase.output, known, _without_expected(release))


def scorers_of(release: Release) -> tuple[Scorer, ...]:
    """The suite's scorers that ask no model, the one of the bar first; none where the bar's own asks one."""
    usecase = release.usecase
    kept = tuple(spec for spec in usecase.scorers if spec.name not in ASKS_A_MODEL)
    if usecase.bar.metric in ASKS_A_MODEL:
        return ()
    primary, others = open_scorers(usecase.model_copy(update={"scorers": kept}), release.folder)
    return (primary, *others)


def _without_expected(release: Release) -> tuple[Scorer, ...]:
    """Those of them that give a value where no expected output is known."""
    probe = Case(id="live", input=dict(release.cases[0].input) if release.cases else {})
    return tuple(scorer for scorer in scorers_of(release) if scorer.score(probe, "x").value is not None)


def _enums(output: Output) -> Mapping[str, Sequence[JsonValue]]:
    properties = (output.json_schema or {}).get("properties")
    parts = properties.items() if isinstance(properties, dict) else ()
    listed = {name: part.get("enum") for name, part in parts if isinstance(part, dict)}
    return {name: values for name, values in listed.items() if isinstance(values, list)}


def _listed(value: Any, allowed: Sequence[JsonValue]) -> str:
    return str(value) if any(value == one and type(value) is type(one) for one in allowed) else "not listed"
