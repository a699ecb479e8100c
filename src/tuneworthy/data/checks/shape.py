"""Shape: rows that do not fit the use case, leftovers of templates, damaged and cut-off texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tuneworthy.data.findings import Batch, Finding, Found, RowRef, RowWise, Seen, excerpt, many, that
from tuneworthy.usecase import UseCase

ENDS = 0.95
"""Share of the outputs that must end with a full stop or the like before one without counts as cut off."""
CUT_AT_ONE_LENGTH = 5
"""Outputs of exactly the greatest length from which a limit, not chance, is the likelier reason."""

_LEFTOVERS = re.compile(
    r"<\|[\w ]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>"
    r"|\[(?:PAD|CLS|SEP|UNK|MASK)\]|\{\{[^{}\n]{1,60}\}\}|\{%.{1,60}?%\}"
    r"|^\s*#{2,} ?(?:Instruction|Response|Input|Output|Assistant|Human)\b"
    r"|\blorem ipsum\b|\[(?:insert|your|company|customer)[ _][^\]\n]{1,40}\]",
    re.IGNORECASE | re.MULTILINE,
)
_ROLES = re.compile(r"^(?:Human|Assistant|User|System) ?: ", re.IGNORECASE | re.MULTILINE)
"""Leftovers of a template in an output; an input may be a conversation."""
_REFUSAL = re.compile(
    r"\bas an ai\b|\bi(?:'m| am) (?:just )?an ai\b|\bals (?:ein )?(?:ki|sprachmodell)\b"
    r"|\bi (?:cannot|can't|am unable to) (?:assist|help) with (?:that|this)\b",
    re.IGNORECASE,
)
_NOTHING = {"n/a", "na", "none", "null", "nan", "tbd", "todo", "-", "--", "?", "#n/a", "undefined", "xxx"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd\u200b\ufeff]")
_ENTITY = re.compile(r"&(?:[a-z]{2,8}|#\d{2,5});|</?(?:p|br|div|span|li|ul|b|i|a)\b[^>]{0,80}>", re.IGNORECASE)
_MOJIBAKE = re.compile(r"[ÃÂâ][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|ï»¿|ã€|Ð[\x80-\xbf°-¿]")
"""A cheap sign; ftfy then says whether it is one."""
_CLOSED = re.compile(r"""[.!?…:;。！？)\]}"'”’»>*`]\s*$""")


def check(batch: Batch) -> Found:
    """Everything about the form of a row."""
    yield from _unreadable(batch)
    yield from ROW_WISE(batch)
    yield from _cut(batch)
    yield from _too_long(batch)


def _unreadable(batch: Batch) -> Iterator[Finding]:
    rows = tuple(RowRef(name="", where=problem.where, note=problem.reason) for problem in batch.problems)
    if rows:
        yield Finding(
            check="shape",
            kind="unreadable",
            severity="refuse",
            what=f"{many(len(rows))} cannot be used as they are",
            why="the output is not what usecase.toml declares, or a field is missing, empty or too long",
            rows=rows,
            next="repair these lines; or set them aside: tuneworthy data import FILE --skip-bad",
        )


def _leftover(asked: str, wanted: str) -> str:
    for where, text in (("output", wanted), ("input", asked)):
        found = _LEFTOVERS.search(text) or (where == "output" and _ROLES.search(text))
        if found:
            return f"{where}: {excerpt(found.group())}"
    return ""


def _refusal(asked: str, wanted: str) -> str:
    found = _REFUSAL.search(wanted[:400])
    return excerpt(wanted) if found else ""


def _placeholder(asked: str, wanted: str) -> str:
    return f"output: {wanted.strip()}" if wanted.strip().casefold() in _NOTHING else ""


def _damaged(asked: str, wanted: str) -> str:
    for where, text in (("output", wanted), ("input", asked)):
        found = _CONTROL.search(text) or _ENTITY.search(text) or (_MOJIBAKE.search(text) if _garbled(text) else None)
        if found:
            start = max(0, found.start() - 15)
            return f"{where}: {excerpt(text[start : found.end() + 15])!r}"
    return ""


def _garbled(text: str) -> bool:
    if text.isascii() or not _MOJIBAKE.search(text):
        return False
    import ftfy

    return str(ftfy.fix_encoding(text)) != text


def _stray(asked: str, wanted: str) -> str:
    return repr(excerpt(wanted)) if wanted != wanted.strip() else ""


def _cut(batch: Batch) -> Iterator[Finding]:
    """Free texts that stop in the middle, told by what all others do."""
    if batch.usecase.output.kind != "text" or not batch.outputs:
        return
    longer = [number for number, text in enumerate(batch.outputs) if len(text.split()) >= 6]
    open_endings = {number for number in longer if not _CLOSED.search(batch.outputs[number])}
    rows = {
        number: f"… {excerpt(batch.outputs[number][-40:])}" for number in longer if _unclosed(batch.outputs[number])
    }
    if longer and len(open_endings) <= (1 - ENDS) * len(longer):
        rows |= {number: f"… {excerpt(batch.outputs[number][-40:])}" for number in open_endings}
    longest = max(map(len, batch.outputs))
    at_the_limit = [n for n in open_endings if len(batch.outputs[n]) == longest]
    if len(at_the_limit) >= CUT_AT_ONE_LENGTH:
        rows |= dict.fromkeys(at_the_limit, f"exactly {longest} characters")
    if rows:
        yield Finding(
            check="shape",
            kind="cut_off",
            severity="review",
            what=f"{that(len(rows), 'have')} an output that seems to be cut off",
            why="the model learns to stop in the middle of a sentence",
            rows=tuple(batch.ref(number, rows[number]) for number in sorted(rows)),
            share=batch.share(len(rows)),
            next="complete these answers, or leave the rows out: tuneworthy data fix --drop",
        )


def _unclosed(text: str) -> bool:
    return text.count("```") % 2 == 1 or text.count("(") > text.count(")") + 1 or text.count("[") > text.count("]") + 1


def _too_long(batch: Batch) -> Iterable[Finding]:
    """A word is at least one token, so more words than max_tokens cannot be generated."""
    most = batch.usecase.output.max_tokens
    lengths = {number: len(text.split()) for number, text in enumerate(batch.outputs)}
    rows = [number for number, words in lengths.items() if words > most]
    if rows:
        yield Finding(
            check="shape",
            kind="longer_than_generated",
            severity="refuse",
            what=f"{that(len(rows), 'have')} an output of more words than max_tokens = {most}",
            why="such an answer can be learnt but never given: it is cut when it is generated",
            rows=tuple(batch.ref(number, f"{lengths[number]} words") for number in rows),
            share=batch.share(len(rows)),
            next="raise output.max_tokens in usecase.toml, or shorten these outputs",
        )


# --- what a look at one row shows ----------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    look: Callable[[str, str], str]
    """(input, output) → what is wrong; empty = nothing"""
    verb: str
    what: str
    why: str
    next: str


_KINDS = {
    "leftover": _Kind(
        _leftover,
        "carry",
        "parts of a template or special tokens",
        "the model learns to write them, and a special token can end an answer early",
        "correct the export that wrote them, and import again",
    ),
    "refusal": _Kind(
        _refusal,
        "refuse",
        "to answer in a chat model's words",
        "the model learns to refuse where it should answer",
        "write the answer that is wanted, or leave the row out: tuneworthy data fix --drop",
    ),
    "placeholder": _Kind(
        _placeholder,
        "have",
        "a sign for `nothing` as their output",
        "the model learns to answer with it",
        "fill in the answer, or leave the row out: tuneworthy data fix --drop",
    ),
    "damaged_text": _Kind(
        _damaged,
        "hold",
        "damaged characters or remains of HTML",
        "the model learns to read and write what no user types",
        "tuneworthy data fix --rule encoding (every repair is on record)",
    ),
    "stray_space": _Kind(
        _stray,
        "have",
        "white space around their output",
        "an exact scorer counts it, and the model learns it",
        "tuneworthy data fix --rule trim",
    ),
}


def _look(batch: Batch) -> dict[str, list[Seen]]:
    texts = list(zip(batch.inputs, batch.outputs, strict=True))
    found = {
        kind: [Seen(row=batch.ref(n, note)) for n, pair in enumerate(texts) if (note := defect.look(*pair))]
        for kind, defect in _KINDS.items()
    }
    return {kind: rows for kind, rows in found.items() if rows}


def _tell(usecase: UseCase, rows: int, kind: str, seen: Sequence[Seen]) -> Finding:
    defect = _KINDS[kind]
    return Finding(
        check="shape",
        kind=kind,
        severity="review",
        what=f"{that(len(seen), defect.verb)} {defect.what}",
        why=defect.why,
        rows=tuple(one.row for one in seen),
        share=round(len(seen) / rows, 6),
        next=defect.next,
    )


ROW_WISE = RowWise(_look, _tell)
"""Leftovers, refusals, placeholders, damaged texts, stray white space."""
