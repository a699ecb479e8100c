"""From the verdict into service, on one screen: what each verb does after `run`.

    verdict → release → deploy → gate → live → rollback

Everything below is called by the command line and by nothing else; it prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tuneworthy import readiness
from tuneworthy.data.read import read_examples
from tuneworthy.errors import GateRefused
from tuneworthy.flow import climb_without_training, last_run, open_bench
from tuneworthy.ground import prepare
from tuneworthy.ladder import TRAINED, Listener
from tuneworthy.models.local.files import resolve
from tuneworthy.models.open import open_model
from tuneworthy.project import open_project
from tuneworthy.records import Example
from tuneworthy.release import export as exporting
from tuneworthy.release import package, verify
from tuneworthy.release.export import Export
from tuneworthy.release.package import Release
from tuneworthy.release.reproduce import Reproduction, compared, lay_out
from tuneworthy.serving import deployments, keys, pairs
from tuneworthy.serving import drill as drilling
from tuneworthy.serving import replay as replaying
from tuneworthy.serving.deployments import Entry
from tuneworthy.serving.drill import Drill
from tuneworthy.serving.engines import EngineChoice, InProcess
from tuneworthy.serving.gateway import Limits
from tuneworthy.serving.naming import require_name
from tuneworthy.serving.replay import Replay
from tuneworthy.serving.server import Server
from tuneworthy.watch.traces import Keeping


def release(folder: Path, arm: str, *, override: str, key: Path | None = None) -> Release:
    """Package what the last run measured. `arm`: empty = the lever that the verdict names.

    Raises:
        GateRefused: the verdict does not carry it, or something changed since.
    """
    project = open_project(folder)
    with project.busy("release"):
        record = last_run(project)
        ground = prepare(project)
        wanted = arm or record.verdict.lever or ""
        return package.build(ground, open_bench(ground).sources, record, wanted, override=override, key=key)


def releases(folder: Path) -> list[Release]:
    """Every release of a use case, oldest first."""
    return package.releases(open_project(folder))


def verify_release(folder: Path, name: str, *, key: Path | None = None) -> tuple[Release, list[str]]:
    """A release, and what is not as its manifest says: its files, those of the base model, and with a public key
    its signature.

    Raises:
        ModelError: there is no such release, its manifest is damaged, or the base model is not here.
    """
    project = open_project(folder)
    found = package.find(project, name)
    base = resolve(found.usecase.model, project.folder) if found.manifest.base.files else None
    return found, verify.problems(found, base, key)


def reproduce(folder: Path, name: str, listener: Listener) -> Reproduction:
    """Make the candidate of a release again from the recorded versions, in a folder of its own, and compare.

    Raises:
        GateRefused: usecase.toml says something else by now, or a gate is closed. DataError: the data are gone.
    """
    project = open_project(folder)
    release = package.find(project, name)
    lever = release.manifest.candidate.lever
    with TemporaryDirectory(prefix="tuneworthy-") as there:
        ground = prepare(lay_out(release, project, Path(there)))
        ladder = climb_without_training(ground, readiness.check(ground), listener)
        if lever in TRAINED:
            ladder.try_levers(["lora", "full"] if lever == "full" else [lever])
        if lever not in ladder.bench.found:
            raise GateRefused(f"{lever} was not found again: {ladder.results[lever].reason}", next="see the reason")
        return compared(release, ladder.bench.found[lever])


def export(folder: Path, name: str, form: str, *, out: Path | None) -> tuple[Export, Path]:
    """A release in a form that other engines load, asked the suite again, and where it lies.

    Raises:
        GateRefused: there are no weights, or an export is there already. ModelError: it cannot be written in this form.
    """
    project = open_project(folder)
    release = package.find(project, name)
    there = out or project.exports / f"{release.name}-{form}"
    return exporting.export(release, open_model(release.usecase, project.folder), form, there), there


def deploy(
    folder: Path, name: str, *, alias: str, why: str, mode: deployments.Mode = "all", share: float = 1.0
) -> Entry:
    """Ask for a release under an alias, for all traffic or beside what is live. The gateway takes it through the gate.

    Raises:
        TuneworthyError: the alias is no plain word.
        GateRefused: it is not for clients, or the release was taken out as a canary and no reason is given.
    """
    require_name("an alias", alias)
    project = open_project(folder)
    release = package.find(project, name).name
    if alias == deployments.DRILL:
        raise GateRefused(f"the alias {alias!r} is for drills", next="take another name")
    out = deployments.taken_out(deployments.read(project), alias, release)
    if mode == "canary" and out is not None and not why:
        raise GateRefused(
            f"{release} was taken out as a canary on {out.at[:10]}: {out.why}",
            why="the same release would fail the same way",
            next="release another one, or say what changed: --why",
        )
    return deployments.write(project, alias, "asked", release, why=why, mode=mode, share=share)


def rollback(folder: Path, *, alias: str, why: str) -> Entry:
    """Take back what was put into service last: the challenger beside what is live, or else what is live.

    Raises:
        GateRefused: there is nothing to go back to.
    """
    project = open_project(folder)
    entries = deployments.read(project)
    if beside := deployments.challengers(entries).get(alias):
        return deployments.write(project, alias, "ended", beside.release, why=why, mode=beside.mode, share=beside.share)
    return deployments.write(project, alias, "rollback", deployments.before(entries, alias), why=why)


def drill(folder: Path, *, alias: str, patience: float, tell: Callable[[str], None]) -> Drill:
    """Put a bad copy of what is live under an alias of its own, and time until it is out again.

    Raises:
        GateRefused: no gateway runs, or nothing is live.
    """
    return drilling.drill(open_project(folder), alias, patience=patience, tell=tell)


class Traffic(NamedTuple):
    """A challenger, and what live traffic says of it."""

    entry: Entry
    champion: str
    margin: float
    found: pairs.Found
    needed: pairs.Needed


def traffic(folder: Path) -> list[Traffic]:
    """The last challenger of each alias, running or not, beside what was live then."""
    project = open_project(folder)
    entries = deployments.read(project)
    last = {e.alias: n for n, e in enumerate(entries) if e.mode != "all" and e.action in ("asked", "live")}
    found = []
    for alias, number in last.items():
        entry, champion = entries[number], deployments.live(entries[:number]).get(alias, "")
        margin = package.find(project, entry.release).usecase.bar.smallest_difference
        amount = pairs.amount(pairs.read(project.pairs_file(entry.release, champion)), margin)
        found.append(Traffic(entry, champion, margin, amount, pairs.needed(amount, margin)))
    return found


def replay(folder: Path, file: Path | None, *, name: str, against: str) -> Replay:
    """Stored requests through two releases. `file`: traces or examples; None = the inputs of the locked suite.

    Raises:
        GateRefused: nothing is live that it could be compared with. DataError: the file cannot be read.
        ModelError: a release cannot be opened here.
    """
    project = open_project(folder)
    challenger = package.find(project, name)
    live = against or deployments.live(deployments.read(project)).get(deployments.CHAMPION, "")
    if not live:
        raise GateRefused("nothing is live as champion", next="name a release to compare with: --against NAME")
    champion = package.find(project, live)
    if champion.name == challenger.name:
        raise GateRefused(f"{champion.name} would be compared with itself", next="name another release: --release")
    if file is None:
        rows = tuple(Example(input=case.input, expected=None) for case in challenger.cases)
    else:
        rows = read_examples(file, project.usecase).examples
    engine = InProcess(EngineChoice(), project)
    return replaying.replay(rows, champion, challenger, engine)


def history(folder: Path) -> Sequence[Entry]:
    """The deployment log, oldest first. Raises LogEdited."""
    return deployments.read(open_project(folder))


def live_now(folder: Path) -> dict[str, str]:
    """Alias → the release that answers. Raises LogEdited."""
    return deployments.live(history(folder))


def challengers_now(folder: Path) -> dict[str, Entry]:
    """Alias → the challenger beside what is live. Raises LogEdited."""
    return deployments.challengers(history(folder))


def new_key(folder: Path, name: str, aliases: Sequence[str]) -> str:
    """A key for the gateway, to be shown once."""
    return keys.make(open_project(folder).keys_file, name, tuple(aliases))


def take_back_key(folder: Path, name: str) -> None:
    """Make a key worthless at once."""
    keys.take_back(open_project(folder).keys_file, name)


def serve(
    folder: Path,
    *,
    host: str,
    port: int,
    limits: Limits,
    keeping: Keeping,
    tell: Callable[[str], None],
    engine: EngineChoice = EngineChoice(),  # noqa: B008  (frozen)
    heartbeat: float = 60.0,
    admin_port: int = 0,
) -> None:
    """Answer requests until stopped. `keeping`: what is kept of answers.

    Raises:
        GateRefused: nothing was deployed, or it could be reached from elsewhere without keys.
        ProjectBusy: another gateway serves this folder.
    """
    project = open_project(folder)
    if not deployments.wanted(deployments.read(project)):
        raise GateRefused(
            "there is nothing to serve", why="no release was deployed", next="run: tuneworthy release deploy"
        )
    Server(
        project, host, port, tell, limits, keeping=keeping, engine=engine, heartbeat=heartbeat, admin_port=admin_port
    ).run()
