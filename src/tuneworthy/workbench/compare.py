"""Compare: two arms of the last run, case by case, with what differs between them marked."""

from __future__ import annotations

import difflib
from typing import Any

from markupsafe import Markup, escape
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tuneworthy import flow
from tuneworthy.report.wording import visible
from tuneworthy.runs import CaseRow, RunRecord
from tuneworthy.workbench.visit import TEXT_MOST, Visit

A_PAGE = 25
MARKED_MOST = 2000
"""longest answers whose differences are marked: the search grows with the square"""


async def page(visit: Visit) -> Response:
    """Cases of two arms, a page of them."""
    record = flow.last_run(visit.bench.project)
    query = visit.request.query_params
    names = [arm.name for arm in record.arms]
    if len(names) < 2:
        return visit.page("compare.html", names=names, comparison=None, cases=[], shown=None)
    candidate = query.get("candidate", "") if query.get("candidate", "") in names else _told(record, names)
    reference = query.get("reference", "") if query.get("reference", "") in names else names[0]
    if reference == candidate:
        reference = next(name for name in names if name != candidate)
    only, tag = query.get("only", ""), query.get("tag", "")
    rows = [row for row in record.cases if _wanted(row, reference, candidate, only, tag)]
    number = visit.number("page")
    comparison = await run_in_threadpool(flow.compare, visit.bench.project.folder, reference, candidate)
    return visit.page(
        "compare.html",
        names=names,
        reference=reference,
        candidate=candidate,
        only=only,
        tag=tag,
        tags=sorted({tag for row in record.cases for tag in row.tags}),
        comparison=comparison,
        cases=[_case(row, reference, candidate) for row in rows[number * A_PAGE : (number + 1) * A_PAGE]],
        shown=len(rows),
        number=number,
        last=max(0, (len(rows) - 1) // A_PAGE),
    )


def marked(one: str, two: str) -> tuple[Markup, Markup]:
    """Two texts, escaped, with the words in which they differ marked."""
    if max(len(one), len(two)) > MARKED_MOST:
        return Markup(escape(visible(one[:TEXT_MOST]))), Markup(escape(visible(two[:TEXT_MOST])))
    a, b = _words(one), _words(two)
    left, right = Markup(""), Markup("")
    for kind, a0, a1, b0, b1 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        same = kind == "equal"
        left += _piece("".join(a[a0:a1]), same)
        right += _piece("".join(b[b0:b1]), same)
    return left, right


def _piece(text: str, same: bool) -> Markup:
    shown = escape(visible(text))
    return Markup(shown) if same or not text else Markup("<mark>{}</mark>").format(shown)


def _words(text: str) -> list[str]:
    found, word = [], ""
    for character in text:
        if character.isalnum():
            word += character
            continue
        found += [word, character] if word else [character]
        word = ""
    return [*found, word] if word else found


def _told(record: RunRecord, names: list[str]) -> str:
    lever = record.verdict.lever or ""
    return lever if lever in names[1:] else names[-1]


def _wanted(row: CaseRow, reference: str, candidate: str, only: str, tag: str) -> bool:
    if reference not in row.outputs or candidate not in row.outputs or (tag and tag not in row.tags):
        return False
    theirs, ours = row.outputs[reference].score, row.outputs[candidate].score
    match only:
        case "differ":
            return theirs != ours
        case "better":
            return theirs is not None and ours is not None and ours > theirs
        case "worse":
            return theirs is not None and ours is not None and ours < theirs
        case "wrong":
            return ours is None or ours < 1
    return True


def _case(row: CaseRow, reference: str, candidate: str) -> dict[str, Any]:
    theirs, ours = row.outputs[reference], row.outputs[candidate]
    left, right = marked(theirs.text, ours.text)
    return {"row": row, "theirs": theirs, "ours": ours, "left": left, "right": right}
