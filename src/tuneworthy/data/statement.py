"""The data statement: one Markdown page of what was measured about the examples, and what was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tuneworthy.data.decisions import Decision
from tuneworthy.data.findings import Batch, CheckReport, Finding, many


def page(batch: Batch, report: CheckReport, log: Sequence[Decision]) -> str:
    """Markdown."""
    usecase = batch.usecase
    parts = [
        f"# Data statement: {usecase.name}",
        usecase.description or "_No description is given in usecase.toml._",
        "## What it is",
        _table(
            ("", ""),
            [
                ("data version", f"`{report.version[:16]}`" if report.version else "none"),
                ("examples", f"{report.examples:,}"),
                ("cases of the suite", f"{report.cases:,}"),
                ("input", ", ".join(f"`{name}` ({field.type})" for name, field in usecase.input.items())),
                ("output", f"{usecase.output.kind}{_labels(batch)}"),
                ("words per input (median, longest)", _lengths(batch.inputs)),
                ("words per output (median, longest)", _lengths(batch.outputs)),
            ],
        ),
        "## Where it comes from",
        _table(("source", "licence", "format", "rows"), _sources(batch)),
        "## How much of it is wrong",
        _told(report, "audit") or "not measured: no random sample was judged (`tuneworthy data check --review`).",
        "## Personal data",
        _told(report, "personal_data") or "None of the kinds looked for was found.",
        _missing(report, "personal_data"),
        f"The use case says that inputs or answers {'name' if usecase.use.personal_data else 'do not name'} people; "
        f"privacy: `{usecase.privacy}`.",
        "## What else was found",
        _table(
            ("severity", "finding", "rows", "cost"),
            [
                (f.severity, f"{f.check}: {f.what}", f"{len(f.rows):,}", f.cost)
                for f in report.findings
                if f.check not in ("audit", "personal_data")
            ],
        ),
        "## What was not looked at",
        "\n".join(f"- {m.check}: {m.what} ({m.reason})" for m in report.not_measured) or "Nothing was left out.",
        "## What was decided",
        _table(
            ("when", "who", "rule", "rows", "why", "version after"),
            [
                (
                    d.when,
                    d.who,
                    "undo" if d.undoes else d.rule,
                    f"{d.rows:,}",
                    d.why,
                    f"`{d.version_after[:16]}`",
                )
                for d in log
            ],
        )
        if log
        else "Nothing was changed since the import.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _labels(batch: Batch) -> str:
    return f", {len(batch.usecase.output.labels)} labels" if batch.usecase.output.kind == "label" else ""


def _lengths(texts: Sequence[str]) -> str:
    lengths = sorted(len(text.split()) for text in texts)
    return f"{lengths[len(lengths) // 2]:,}, {lengths[-1]:,}" if lengths else "none"


def _sources(batch: Batch) -> list[tuple[str, ...]]:
    origins = [example.provenance for example in batch.examples]
    counts = Counter((p.source or "not known", p.licence or "not known", p.format or "not known") for p in origins)
    return [(*origin, f"{count:,}") for origin, count in counts.most_common()]


def _told(report: CheckReport, check: str) -> str:
    return "\n".join(f"- {_sentence(f)}" for f in report.findings if f.check == check)


def _sentence(finding: Finding) -> str:
    return f"{finding.what} ({many(len(finding.rows))})" if finding.rows else finding.what


def _missing(report: CheckReport, check: str) -> str:
    return "\n".join(f"Not looked for: {m.what}." for m in report.not_measured if m.check == check)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_rows(head, rows)) if rows else "Nothing."


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in row)} |"
