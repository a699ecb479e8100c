"""Bias of source: one author, month, customer or file that most rows come from."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from tuneworthy.data.findings import Batch, Finding, Found, NotMeasured, excerpt, many, some, that

DOMINANT = 0.5
"""Share of one value from which the rows speak for it rather than for all."""
FEWEST = 20
"""Rows below which a share says nothing."""

_TELLING = re.compile(
    r"author|agent|user|customer|client|company|account|person|editor|annotator|team|channel|product|region|country|"
    r"source|month|year|date|time|created|kunde|autor|bearbeiter",
    re.IGNORECASE,
)
_MONTH = re.compile(r"\b((?:19|20)\d{2})-(\d{2})(?:-\d{2})?|\b\d{1,2}\.(\d{1,2})\.((?:19|20)\d{2})")
_SIGNED = re.compile(
    r"(?:^|\n|[.!?,] )(?:(?:kind|best|warm) regards|regards|best wishes|sincerely|cheers|yours|thank you|thanks|"
    r"(?:viele|beste|freundliche) grüße|cordialement|saludos)[,!\s]+"
    r"((?-i:[A-ZÄÖÜ])[\w'’-]+(?: (?-i:[A-ZÄÖÜ])[\w'’-]+)?)\s*[.!]?\s*$",
    re.IGNORECASE,
)


def check(batch: Batch) -> Found:
    """Every field that tells where a row comes from, months, signatures, and files."""
    values: dict[str, dict[int, str]] = defaultdict(dict)
    for number, example in enumerate(batch.examples):
        for field, value in example.input.items():
            if isinstance(value, str | int) and not isinstance(value, bool) and _TELLING.search(field):
                values[f"field {field}"][number] = _coarse(str(value))
        for where, text in (("input", batch.inputs[number]), ("output", batch.outputs[number])):
            signed = _SIGNED.search(text[-200:])
            if signed:
                values[f"signature of the {where}"][number] = signed.group(1)
        origin = example.provenance
        if origin.licence:
            values["licence"][number] = origin.licence
        if origin.date:
            values["date of the source"][number] = _coarse(origin.date)
    for what, of_row in values.items():
        yield from _dominant(batch, what, of_row)
    yield from _unjudged(batch)
    if not any(what.startswith(("field", "signature", "date")) for what in values):
        reason = "no field, signature or date tells author, month or customer"
        yield NotMeasured(check="sources", what="bias of source", reason=reason)


def _unjudged(batch: Batch) -> Iterator[Finding]:
    """Outputs that a model wrote and no person judged, as traces bring them."""
    written = {number: e.provenance.model for number, e in enumerate(batch.examples) if e.provenance.model}
    if written:
        models = sorted(set(written.values()))
        yield Finding(
            check="sources",
            kind="unjudged",
            severity="review",
            what=f"{that(len(written), 'have')} an output that a model wrote ({some(models)}) and nobody judged",
            why="its mistakes are learnt like what is right, and its licence may forbid to learn from it",
            rows=tuple(batch.ref(number, model) for number, model in written.items()),
            share=batch.share(len(written)),
            next="judge them: tuneworthy data check --review; and read what the model's licence says",
        )


def _coarse(value: str) -> str:
    """A date counts as its month."""
    found = _MONTH.search(value)
    if not found:
        return value.strip()
    year, month = found.group(1) or found.group(4), found.group(2) or found.group(3)
    return f"{year}-{int(month):02d}"


def _dominant(batch: Batch, what: str, of_row: dict[int, str]) -> Iterator[Finding]:
    counts = Counter(of_row.values())
    value, most = counts.most_common(1)[0]
    if len(of_row) < FEWEST or len(counts) < 2 or most <= DOMINANT * len(of_row):
        return
    rows = [number for number, found in of_row.items() if found == value]
    yield Finding(
        check="sources",
        kind="dominant",
        severity="review",
        what=f"{what}: {excerpt(value)!r} has {100 * most / len(of_row):.0f} % of {many(len(of_row))} that tell it, of "
        f"{many(len(counts), 'value')}",
        why="what is learnt is the way of one source; others may be answered worse, which a random suite hides",
        rows=tuple(batch.ref(number) for number in rows),
        share=batch.share(len(rows)),
        next="bring rows of other sources, or keep at most as many of this one",
    )
