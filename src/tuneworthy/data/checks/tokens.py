"""Length in tokens of the base model: what does not fit its context, or is cut when it is generated.

Counted are instruction, input and output. The chat template adds some tokens, and so do examples and passages in the
prompt: a row that is too long here is too long everywhere, one that is not may still be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tuneworthy.data.findings import Batch, Finding, Found, NotMeasured, Tokens, that
from tuneworthy.rendering import input_block, render_expected

NEARLY = 0.8
"""Share of the context from which the longest hundredth of the rows is worth a note."""


def check(batch: Batch) -> Found:
    """Rows that training refuses, and outputs that cannot be generated whole."""
    if batch.tokens is None:
        reason = "the tokenizer of the base model is not here (an endpoint, or not downloaded)"
        yield NotMeasured(check="shape", what="length in tokens", reason=reason)
        return
    if not batch.examples:
        return
    usecase, tokens = batch.usecase, batch.tokens
    told = tokens.count(usecase.instruction)
    asked = np.asarray([told + tokens.count(input_block(usecase.input, e.input)) for e in batch.examples])
    answered = np.asarray([tokens.count(render_expected(usecase.output, e.expected)) for e in batch.examples])
    yield from _beyond_the_context(batch, tokens, asked, answered)
    yield from _cut(batch, answered)


def _beyond_the_context(
    batch: Batch, tokens: Tokens, asked: np.ndarray, answered: np.ndarray
) -> Iterator[Finding | NotMeasured]:
    if tokens.context is None:
        reason = "config.json of the base model does not name it"
        yield NotMeasured(check="shape", what="rows longer than the context", reason=reason)
        return
    total = asked + answered
    rows = np.flatnonzero(total > tokens.context).tolist()
    if rows:
        lost = {n: min(int(answered[n]), int(total[n]) - tokens.context) for n in rows}
        yield _finding(
            batch,
            rows,
            "beyond_the_context",
            f"more tokens than the context of the base model ({tokens.context:,})",
            "they cannot be asked whole; nothing is cut in silence: training refuses them",
            [f"{total[n]:,} tokens; a cut would take {lost[n]:,} of {answered[n]:,} of the output" for n in rows],
            "shorten these inputs, leave the rows out (tuneworthy data fix --drop), or take a model with more context",
        )
    long = float(np.quantile(total, 0.99))
    if not rows and long > NEARLY * tokens.context:
        yield Finding(
            check="shape",
            kind="nearly_the_context",
            severity="note",
            what=f"the longest hundredth of the rows has more than {long:,.0f} of {tokens.context:,} tokens",
            why="examples and passages in the prompt need room too",
            next="keep the prompt short, or take a model with more context",
        )


def _cut(batch: Batch, answered: np.ndarray) -> Iterator[Finding]:
    most = batch.usecase.output.max_tokens
    rows = np.flatnonzero(answered > most).tolist()
    if rows:
        yield _finding(
            batch,
            rows,
            "cut_when_generated",
            f"an output of more tokens than max_tokens = {most}",
            "such an answer can be learnt but never given: it is cut when it is generated",
            [f"{answered[n]:,} tokens" for n in rows],
            "raise output.max_tokens in usecase.toml, or shorten these outputs",
        )


def _finding(
    batch: Batch, rows: Sequence[int], kind: str, what: str, why: str, notes: Sequence[str], step: str
) -> Finding:
    return Finding(
        check="shape",
        kind=kind,
        severity="refuse",
        what=f"{that(len(rows), 'have')} {what}",
        why=why,
        rows=tuple(batch.ref(number, note) for number, note in zip(rows, notes, strict=True)),
        share=batch.share(len(rows)),
        next=step,
    )
