"""Documents on disk → passages: split at headings and paragraphs, each with its titles.

A passage carries the title of its document and section, because a paragraph such as “It takes 14 days.” cannot be
found, nor understood, without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tuneworthy.content import digest
from tuneworthy.errors import DataError, Problem
from tuneworthy.records import Passage

ENDINGS = (".md", ".txt")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def read_passages(folder: Path, *, chunk_words: int) -> tuple[Passage, ...]:
    """Every document of a folder, cut into passages of at most `chunk_words` words, in the order of file names.

    Raises:
        DataError: no document, or one that is not UTF-8.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not files:
        raise DataError(
            f"no documents ({', '.join(ENDINGS)}) found", [], next="put the documents there, as text", where=str(folder)
        )
    return tuple(passage for path in files for passage in _passages(path, folder, chunk_words))


def passages_digest(passages: tuple[Passage, ...]) -> str:
    """Names the passages by their content."""
    return digest([[p.id, p.title, p.text] for p in passages])


def _passages(path: Path, folder: Path, chunk_words: int) -> Iterator[Passage]:
    name = str(path.relative_to(folder))
    number = 0
    for title, paragraphs in _sections(_read(path), path.stem):
        for text in _pack(paragraphs, chunk_words):
            number += 1
            yield Passage(id=f"{name}#{number}", title=title, text=text)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = Problem(f"{path.name}: byte {error.start}", "", "is not UTF-8")
        raise DataError("a document cannot be read", [problem], next="save it as UTF-8", where=str(path)) from None


def _sections(text: str, stem: str) -> Iterator[tuple[str, list[str]]]:
    """(title path, paragraphs) of each section; the title path joins the headings above."""
    titles: dict[int, str] = {}
    paragraphs: list[str] = []
    lines: list[str] = []

    def title() -> str:
        return " — ".join(titles[level] for level in sorted(titles)) or stem.replace("-", " ").replace("_", " ")

    def close_paragraph() -> None:
        if lines:
            paragraphs.append(" ".join(lines))
            lines.clear()

    for line in text.splitlines():
        heading = _HEADING.match(line)
        if heading:
            close_paragraph()
            if paragraphs:
                yield title(), list(paragraphs)
                paragraphs.clear()
            level = len(heading[1])
            titles = {k: v for k, v in titles.items() if k < level} | {level: heading[2]}
        elif line.strip():
            lines.append(line.strip())
        else:
            close_paragraph()
    close_paragraph()
    if paragraphs:
        yield title(), paragraphs


def _pack(paragraphs: list[str], chunk_words: int) -> Iterator[str]:
    """Join short paragraphs and split long ones at sentence ends, up to `chunk_words` words each."""
    held: list[str] = []
    for piece in (sentence for paragraph in paragraphs for sentence in _pieces(paragraph, chunk_words)):
        if held and sum(len(part.split()) for part in held) + len(piece.split()) > chunk_words:
            yield " ".join(held)
            held = []
        held.append(piece)
    if held:
        yield " ".join(held)


def _pieces(paragraph: str, chunk_words: int) -> list[str]:
    return [paragraph] if len(paragraph.split()) <= chunk_words else _SENTENCE_END.split(paragraph)
