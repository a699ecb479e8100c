"""After it is live, on one screen: what traces and feedback say, the suite asked again, and the question asked again.

    traces, feedback → watch → other? worse? → data label --feedback, rollback, or a new run

Everything below is called by the command line and by nothing else; it prints nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import JsonValue

from tuneworthy import readiness
from tuneworthy.content import append_line
from tuneworthy.errors import GateRefused, ModelError, TuneworthyError
from tuneworthy.flow import climb_without_training
from tuneworthy.ground import prepare
from tuneworthy.ladder import Listener
from tuneworthy.measure.compare import compare
from tuneworthy.measure.evaluate import measure
from tuneworthy.models.open import open_model
from tuneworthy.models.openai_compatible import require_allowed
from tuneworthy.plan.prices import token_price
from tuneworthy.project import Project, open_project
from tuneworthy.records import Comparison, Input, Record
from tuneworthy.release import package
from tuneworthy.release.package import Release
from tuneworthy.runs import ArmReport
from tuneworthy.serving import deployments, gate
from tuneworthy.suite import openings
from tuneworthy.watch import feedback, report, stale, traces
from tuneworthy.watch.looking import open_looker
from tuneworthy.watch.report import Report

LIVE = "live"
"""name of the arm that the live release is"""


def watch(folder: Path, *, alias: str, days: int) -> Report:
    """What is live under an alias, held against its first days and against what was measured.

    Raises:
        GateRefused: nothing is or was live. DataError: documents or prices cannot be read.
    """
    project = open_project(folder)
    release = _live(project, alias)
    today = datetime.now(UTC).date()
    found, bad = traces.read(project.traces)
    said, bad_said = feedback.read(project.feedback)
    suite = _reevaluations(project, release.name)
    own = {str(number) for one in suite for number in _list(one.get("ids"))}
    mine = [t for t in found if t.release == release.name and t.alias == alias and t.id not in own]
    recent = [t for t in mine if t.when[:10] >= (today - timedelta(days=days)).isoformat()]
    return report.build(
        project,
        release,
        alias,
        mine,
        [one for one in said if one.release == release.name and one.alias == alias],
        today=today,
        last=days,
        price=token_price(project.folder, release.usecase.model.base, today=today),
        looker=open_looker(project, release),
        stale=stale.check(release, project.docs, recent),
        suite=[{key: value for key, value in one.items() if key != "ids"} for one in suite],
        bad_lines=bad + bad_said,
        gone=_gone(project, release, alias),
    )


def reevaluate(folder: Path, *, alias: str, url: str, key: str) -> dict[str, JsonValue]:
    """Ask a part of the suite through the running gateway, as a client, and keep what came of it.

    Raises:
        ModelError: the gateway does not answer, or another release answers than the log says is live.
        PrivacyRefused: the cases may not travel there.
    """
    project = open_project(folder)
    require_allowed(url, project.usecase.privacy)
    release = _live(project, alias)
    ids: list[str] = []
    check = asyncio.run(_ask_suite(release, alias, url, key, ids))
    line: dict[str, JsonValue] = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": release.name,
        "alias": alias,
        **check,
    }
    append_line(project.reevaluations, json.dumps({**line, "ids": ids}, ensure_ascii=False))
    return line


async def _ask_suite(release: Release, alias: str, url: str, key: str, ids: list[str]) -> dict[str, JsonValue]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(timeout=60, trust_env=False, headers=headers) as client:

        async def ask(row: Input) -> str:
            body = {"model": alias, "messages": [{"role": "user", "content": json.dumps(dict(row))}]}
            reply = await client.post(f"{url.rstrip('/')}/v1/chat/completions", json=body)
            reply.raise_for_status()
            answer = reply.json()
            ids.append(str(answer["id"]))
            if answer["model"] != release.name:
                raise ModelError(
                    f"{answer['model']} answers, and not {release.name}", next="run: tuneworthy release log", where=url
                )
            return str(answer["choices"][0]["message"]["content"])

        try:
            found = gate.suite(release, await gate.through_endpoint(release, ask))
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise ModelError(
                f"the gateway does not answer: {type(error).__name__}: {error}",
                next="start it: tuneworthy serve; or name it: --url http://127.0.0.1:8321",
                where=url,
            ) from None
    return {"state": found.state, "found": found.found}


# --- re-decide ------------------------------------------------------------------------------------


class Redecision(Record):
    """Does what is live still earn its place?"""

    release: str
    changes: tuple[str, ...]
    """what is other in usecase.toml than when it was measured; empty = nothing, so nothing was asked"""
    reference: str = ""
    """the best lever that trains nothing, on the base model that usecase.toml names now"""
    arms: tuple[ArmReport, ...] = ()
    live: ArmReport | None = None
    comparison: Comparison | None = None
    """live minus reference"""
    decision: str = "unchanged"
    """unchanged, stays, goes, undecided"""
    sentence: str = ""


def redecide(folder: Path, listener: Listener, *, alias: str) -> Redecision:
    """Where base model or prices changed since the live release was measured: climb the ladder again without training,
    with the live candidate as an arm, on the locked cases.

    Raises:
        GateRefused: nothing is live, or the suite is not locked. ModelError: the live release's base is gone.
    """
    project = open_project(folder)
    release = _live(project, alias)
    with project.busy("watch"):
        changes = changed(release, project)
        if not changes:
            return Redecision(
                release=release.name,
                changes=(),
                sentence="base model, prices and bar are those that it was measured with: there is nothing to decide",
            )
        ground = prepare(project)
        if ground.lock is None:
            raise GateRefused("the suite is not locked", next="run: tuneworthy suite lock")
        ladder = climb_without_training(ground, readiness.check(ground), listener)
        best = ladder.reference()
        if best is None or best not in ladder.arms:
            raise TuneworthyError(
                "no lever without training could be measured on the new base", next="see: tuneworthy run"
            )
        contrast = f"{LIVE} against {best}"
        candidate = release.manifest.candidate
        opening = openings.open_cases(
            project.openings_file,
            lock_digest=ground.lock.digest,
            arm=LIVE,
            arm_digest=candidate.digest,
            contrast=contrast,
        )
        live = measure(
            LIVE,
            release.answerer(open_model(release.usecase, project.folder)),
            ground.cases,
            ground.yardstick,
            cases_digest=ground.lock.digest,
            store=project.answers,
            on_progress=lambda done, total: listener.step("live: locked cases", done, total),
            exploratory=opening.exploratory,
        )
        ladder.arms[LIVE] = live
        found = compare(
            ladder.arms[best],
            live,
            binary=ground.yardstick.primary.binary,
            registered=False,
            seed=ground.usecase.seed,
            alpha=ground.usecase.bar.alpha,
            clusters={case.id: case.cluster for case in ground.cases if case.cluster},
            judge=ground.yardstick.calibration,
        )
        decision, sentence = decided(found, best, ground.usecase.bar.smallest_difference)
        return Redecision(
            release=release.name,
            changes=tuple(changes),
            reference=best,
            arms=tuple(ladder.report(name) for name in ladder.arms if name != LIVE),
            live=ladder.report(LIVE),
            comparison=found,
            decision=decision,
            sentence=sentence,
        )


def changed(release: Release, project: Project) -> list[str]:
    """What usecase.toml says of base model, prices, bar and use that is other than when the release was measured."""
    then, now = release.usecase, project.usecase
    found = []
    for table in ("model", "value", "bar", "use"):
        before, after = (getattr(usecase, table).model_dump(mode="json") for usecase in (then, now))
        found += [f"{table}.{key}: {before[key]!r} → {after[key]!r}" for key in after if before.get(key) != after[key]]
    if not found and open_model(now, project.folder).digest != release.manifest.base.identity:
        found.append(f"model.base: the files of {now.model.base!r} are others")
    return found


def decided(found: Comparison, best: str, smallest: float) -> tuple[str, str]:
    """(stays, goes or undecided; why). It stays where it is better beyond chance; it goes where it is shown not to be
    better by the smallest difference that pays."""
    if found.difference is None:
        return "undecided", f"live and {best} cannot be told apart on {found.n} cases"
    d = found.difference
    told = (
        f"live minus {best}: {100 * d.value:+.1f} points ({100 * d.low:+.1f} to {100 * d.high:+.1f}, n = {found.n}); "
        f"{100 * smallest:g} points are worth paying for"
    )
    if d.low > 0:
        return "stays", f"it still earns its place. {told}"
    if d.high < smallest:
        return "goes", f"{best} on the new base does as well without it. {told}"
    return "undecided", f"more cases would tell. {told}"


# --- parts ----------------------------------------------------------------------------------------


def _live(project: Project, alias: str) -> Release:
    name = deployments.live(deployments.read(project)).get(alias)
    if name is None:
        raise GateRefused(
            f"nothing is live under {alias!r}",
            why="there is nothing to watch",
            next="run: tuneworthy release deploy, and tuneworthy serve",
            where=str(project.deployments_file),
        )
    return package.find(project, name)


def _gone(project: Project, release: Release, alias: str) -> str:
    """The day on which a release began to answer, where no trace goes back as far; else empty."""
    began = next(
        (
            entry.at[:10]
            for entry in deployments.read(project)
            if (entry.alias, entry.release, entry.action) == (alias, release.name, "live") and entry.mode != "shadow"
        ),
        "",
    )
    oldest = next((day.isoformat() for _, day in traces.days(project.traces)), "")
    return began if began < oldest else ""


def _reevaluations(project: Project, release: str) -> list[dict[str, Any]]:
    path, found = project.reevaluations, []
    for line in path.read_text("utf-8").split("\n") if path.exists() else ():
        try:
            one = json.loads(line)
        except ValueError:
            continue  # torn by a killed process
        if isinstance(one, dict) and one.get("release") == release:
            found.append(one)
    return found


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
