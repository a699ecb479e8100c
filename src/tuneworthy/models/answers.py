"""Answers that were already given, kept by the hash of everything that decides them.

One append-only file per candidate. A killed run continues where it stopped; a repeated run is instant. Failures
(timeouts, transport) are not kept: the next run asks again.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from tuneworthy.content import append_line, digest
from tuneworthy.records import Answer, Input


class AnswerStore:
    """The answers of one candidate, by input."""

    def __init__(self, folder: Path, candidate_key: str) -> None:
        self._file = folder / f"{candidate_key[:32]}.jsonl"
        self._kept: dict[str, Answer] = dict(_read(self._file))

    def get(self, row: Input) -> Answer | None:
        """The answer to an input, or None where it has not been asked."""
        return self._kept.get(digest(dict(row)))

    def keep(self, row: Input, answer: Answer) -> None:
        """Write an answer down at once; failures are not kept."""
        if answer.error is None:
            name = digest(dict(row))
            self._kept[name] = answer
            line = json.dumps({"input": name, "answer": answer.model_dump(mode="json")})
            append_line(self._file, line, to_disk=False)  # what a power cut takes is asked again


def _read(file: Path) -> list[tuple[str, Answer]]:
    """Whole lines only: the torn last line of a killed run is asked again."""
    if not file.exists():
        return []
    kept = []
    for line in file.read_text("utf-8", errors="surrogatepass").split("\n"):
        try:
            row = json.loads(line)
            kept.append((str(row["input"]), Answer.model_validate(row["answer"])))
        except (ValueError, KeyError, TypeError, ValidationError):
            continue
    return kept
