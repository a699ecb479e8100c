"""Blind: two answers to one input, without saying whose; which is better? The votes are counted by the sign test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tuneworthy import flow, judging
from tuneworthy.content import append_line, write_whole
from tuneworthy.data.files import read_rows
from tuneworthy.errors import DataError, TuneworthyError
from tuneworthy.measure.side_by_side import BlindPair
from tuneworthy.project import Project
from tuneworthy.records import Vote
from tuneworthy.workbench.visit import Visit

WHY_MOST = 2000
BETTER = ("one", "two", "tie")


class Round(NamedTuple):
    """The pairs that are voted on, and the votes so far."""

    reference: str
    candidate: str
    pairs: dict[str, BlindPair]
    votes: dict[tuple[str, str], Vote]
    """(pair, person) → the last vote"""


async def page(visit: Visit) -> Response:
    """The next pair, or the choice of two arms."""
    return _page(visit)


async def start(visit: Visit) -> Response:
    """Draw the pairs of two arms. Votes on the round before stay in its file."""
    form = await visit.form()
    project, reference, candidate = visit.bench.project, form.get("reference", ""), form.get("candidate", "")
    pairs, round_file = project.votes / f"pairs-{len(list(project.votes.glob('pairs-*')))}.jsonl", _round_file(project)
    await run_in_threadpool(judging.blind_pairs, project.folder, reference, candidate, pairs)
    write_whole(round_file, json.dumps({"pairs": pairs.name, "reference": reference, "candidate": candidate}) + "\n")
    return visit.go("/blind")


async def vote(visit: Visit) -> Response:
    """One vote; then the next pair."""
    form = await visit.form()
    project = visit.bench.project
    held = _round(project)
    pair = held.pairs.get(form.get("pair", "")) if held else None
    better = form.get("better", "")
    if pair is None or better not in BETTER:
        raise DataError("there is no such pair to vote on", [], next="reload the page")
    values = {**pair.model_dump(mode="json"), "better": better, "by": visit.who, "why": form.get("why", "")[:WHY_MOST]}
    append_line(_votes_file(project), Vote.model_validate(values).model_dump_json())
    return _page(visit)


async def result(visit: Visit) -> Response:
    """What the votes say; whoever sees it knows which arm is which, so it is asked for, not shown."""
    project = visit.bench.project
    held = _round(project)
    if held is None or not held.votes:
        raise TuneworthyError("nobody has voted yet", next="vote on some pairs first")
    path = project.votes / "counted.jsonl"
    write_whole(path, "".join(f"{vote.model_dump_json()}\n" for vote in held.votes.values()))
    found = await run_in_threadpool(judging.count_votes, project.folder, held.reference, held.candidate, path)
    return visit.page("blind_result.html", found=found, voters=len({by for _, by in held.votes}))


def _page(visit: Visit) -> Response:
    project = visit.bench.project
    held = _round(project)
    names = [arm.name for arm in flow.last_run(project).arms] if project.latest_run() else []
    pair, done = None, 0
    if held is not None:
        mine = {name for name, by in held.votes if by == visit.who}
        done = len(mine)
        pair = next((pair for name, pair in held.pairs.items() if name not in mine), None)
    return visit.page("blind.html", names=names, held=held, pair=pair, done=done)


def _round_file(project: Project) -> Path:
    return project.votes / "round.json"


def _votes_file(project: Project) -> Path:
    return project.votes / "votes.jsonl"


def _round(project: Project) -> Round | None:
    try:
        table = json.loads(_round_file(project).read_text("utf-8"))
        rows = read_rows(project.votes / table["pairs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    pairs = {}
    for raw in rows:
        shown = {key: raw.values[key] for key in BlindPair.model_fields if key in raw.values}
        pair = BlindPair.model_validate(shown)
        pairs[pair.pair] = pair
    votes: dict[tuple[str, str], Vote] = {}
    path = _votes_file(project)
    for raw in read_rows(path) if path.exists() else []:
        if not raw.problem and raw.values.get("pair") in pairs:
            found = Vote.model_validate(raw.values)
            if (found.one, found.two) == (pairs[found.pair].one, pairs[found.pair].two):  # of this very round
                votes[found.pair, found.by] = found
    return Round(table["reference"], table["candidate"], pairs, votes)
