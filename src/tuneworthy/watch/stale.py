"""Do live answers rest on passages that the documents no longer say?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuneworthy.records import Record, Trace
from tuneworthy.release.package import DOCS, Release
from tuneworthy.retrievers.documents import read_passages


class StalePassage(Record):
    """A passage of the release that is not in the documents any more."""

    passage: str
    """`file#number`"""
    state: str
    """`changed`, or `removed` with its file"""
    answers: int
    """live answers that it was put before"""


class Stale(Record):
    """The documents that the release answers from, held against those of the use case now."""

    passages: int
    """of the release"""
    gone: tuple[StalePassage, ...]
    """most cited first; those that no answer cites as well"""
    new_files: tuple[str, ...]
    """documents that the release does not know"""
    answers: int
    """live answers with passages"""
    stale_answers: int
    """of them, those with at least one passage that is gone"""


def check(release: Release, docs: Path | None, traces: Sequence[Trace]) -> Stale | None:
    """None where the release answers without documents, or the use case has none any more.

    A passage counts as there when its text still stands in the file that it came from, whatever its number is by now.

    Raises:
        DataError: a document cannot be read.
    """
    ref = release.manifest.candidate.retriever
    if ref is None or docs is None or not docs.is_dir():
        return None
    then = read_passages(release.folder / DOCS, chunk_words=ref.chunk_words)
    texts: dict[str, str] = {}
    for passage in read_passages(docs, chunk_words=1_000_000):  # whole sections: cutting points do not count
        texts[_file(passage.id)] = f"{texts.get(_file(passage.id), '')} {_plain(passage.text)} "
    gone = {p.id for p in then if _plain(p.text) not in texts.get(_file(p.id), "")}
    cited = [set(trace.passages) for trace in traces if trace.passages]
    found = [
        StalePassage(
            passage=name,
            state="changed" if _file(name) in texts else "removed",
            answers=sum(name in passages for passages in cited),
        )
        for name in gone
    ]
    return Stale(
        passages=len(then),
        gone=tuple(sorted(found, key=lambda p: (-p.answers, p.passage))),
        new_files=tuple(sorted(set(texts) - {_file(p.id) for p in then})),
        answers=len(cited),
        stale_answers=sum(not gone.isdisjoint(passages) for passages in cited),
    )


def _file(passage: str) -> str:
    return passage.rpartition("#")[0]


def _plain(text: str) -> str:
    return " ".join(text.split())
