"""The passage that holds the facts of a case, and another of about its length that does not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tuneworthy.answering import Sources
from tuneworthy.content import digest
from tuneworthy.records import Case, Passage
from tuneworthy.retrievers.examples import query_text

CHUNK_WORDS = 80
"""longest passage in words, as `RetrieverRef.chunk_words`"""


@dataclass(frozen=True)
class Gold:
    """Passages by case id; cases without one are absent."""

    passages: dict[str, Passage] = field(default_factory=dict)
    distractors: dict[str, Passage] = field(default_factory=dict)
    origin: str = ""
    """where they come from, for people"""
    problem: str = ""
    """why there is none"""


def find_gold(cases: Sequence[Case], sources: Sources) -> Gold:
    """Where cases carry evidence: the document's passage that holds it, or the evidence itself. Otherwise, for text
    outputs: of the documents' passages that hold the expected answer, the one most like the question."""
    documents = _documents(sources)
    with_evidence = [case for case in cases if case.evidence]
    if with_evidence:
        found = {case.id: _of_evidence(case, documents) for case in with_evidence}
        origin = f"evidence of {len(found)} of {len(cases)} cases"
    elif not documents:
        return Gold(problem="the examples carry no evidence, and there are no documents")
    elif sources.usecase.output.kind != "text":
        return Gold(problem="the examples carry no evidence, and only a text answer can be looked up in the documents")
    else:
        found = _holding_the_answer(cases, documents)
        origin = f"the documents' passages that hold the expected answer, for {len(found)} of {len(cases)} cases"
        if not found:
            return Gold(problem="the examples carry no evidence, and no document holds an expected answer")
    others = documents or tuple({p.text: p for p in found.values()}.values())
    distractors = {case.id: _distractor(case, found[case.id], others) for case in cases if case.id in found}
    return Gold(found, {name: p for name, p in distractors.items() if p is not None}, origin)


def _documents(sources: Sources) -> tuple[Passage, ...]:
    folder = sources.usecase.docs_folder
    if folder is None:
        return ()
    from tuneworthy.retrievers.documents import read_passages

    return read_passages(sources.folder / folder, chunk_words=CHUNK_WORDS)


def _of_evidence(case: Case, documents: Sequence[Passage]) -> Passage:
    wanted = _plain(case.evidence)
    held = next((p for p in documents if wanted in _plain(p.text)), None)
    return held or Passage(id="evidence", title="Evidence", text=case.evidence)


def _holding_the_answer(cases: Sequence[Case], documents: tuple[Passage, ...]) -> dict[str, Passage]:
    from tuneworthy.retrievers.bm25 import Bm25

    index = Bm25(documents)
    found = {}
    for case in cases:
        holding = [i for i, p in enumerate(documents) if _holds(p.text, case)]
        if holding:
            scores = index.scores(query_text(case.input))
            found[case.id] = documents[max(holding, key=lambda i: (scores[i], -i))]
    return found


def _distractor(case: Case, gold: Passage, others: Sequence[Passage]) -> Passage | None:
    """Of the passages without the answer the nearest in length; among equals, another one for each case."""
    length, evidence = len(gold.text.split()), _plain(case.evidence)
    fitting = [
        p
        for p in others
        if p.text != gold.text and not _holds(p.text, case) and not (evidence and evidence in _plain(p.text))
    ]
    return min(
        fitting, key=lambda p: (abs(len(p.text.split()) - length), digest([case.id, p.id, p.text])), default=None
    )


def _holds(text: str, case: Case) -> bool:
    """Does an accepted answer stand in the text, as whole words? Only texts are looked up."""
    answers = case.expected if isinstance(case.expected, list) else [case.expected]
    return any(
        isinstance(answer, str)
        and bool(_plain(answer))
        and re.search(rf"(?<!\w){re.escape(_plain(answer))}(?!\w)", _plain(text)) is not None
        for answer in answers
    )


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
